package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/fixtures/gateways"
	"github.com/portcullis/portcullis/fixtures/testbed"
)

// inlineSite is a real Caddy that asks authz, and whose log the service reads.
type inlineSite struct {
	r    *rig
	g    *gateways.Gateway
	lapi string
	key  string
}

// newInlineSite starts both. Nothing is pushed to Caddy: it asks.
func newInlineSite(t *testing.T, more string) *inlineSite {
	t.Helper()
	gateways.Need(t, "caddy")
	s := &inlineSite{r: newRig(t, ""), lapi: testbed.FreeAddr(t)}
	at, log := testbed.FreeAddr(t), filepath.Join(s.r.dir, "caddy.log")
	s.r.settings(fmt.Sprintf("authz: {listen: %q}\nlapi: {listen: %q}\nsources: [{name: caddy, path: %s, format: caddy, poll: 20ms, grace: 60ms}]\n", at, s.lapi, log) + more)
	s.key = strings.TrimSpace(s.r.cli(exitRan, "keys", "bouncer", "add", "edge")[:64])
	s.r.up()
	s.g = gateways.Start(t, "caddy", gateways.Options{Log: log, Variant: "trust-xff", Extra: "forward_auth " + at + " {\n\turi /authz\n}"})
	return s
}

func (s *inlineSite) ask(client, target string) int {
	s.r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.g.URL+target, nil)
	if err != nil {
		s.r.t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", client)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func (s *inlineSite) awaitStatus(client string, want int) {
	s.r.t.Helper()
	await(s.r.t, fmt.Sprintf("%s is answered %d", client, want), s.r.words, func() bool { return s.ask(client, "/api/v1/orders/1") == want })
}

// list asks the bouncers' API.
func (s *inlineSite) list(path string) string {
	s.r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+s.lapi+path, nil)
	if err != nil {
		s.r.t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", s.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.r.t.Fatal(err)
	}
	return string(body)
}

// TestE2EInline goes the whole way by authz: attack, finding, decision, the next request
// refused by Caddy, verified in its log, told to bouncers, released, let in again.
func TestE2EInline(t *testing.T) {
	t.Parallel()
	s := newInlineSite(t, "")
	const addr = "203.0.113.61"
	if got := s.ask(addr, attackTarget); got == http.StatusForbidden {
		t.Fatalf("the first attack was answered %d", got)
	}
	s.awaitStatus(addr, http.StatusForbidden)
	d := s.r.awaitDecision(addr, "is verified", func(d decisionObject) bool {
		s.ask(addr, "/api/v1/orders/1")
		return d.State == "verified"
	})
	if got := s.ask("203.0.113.62", "/api/v1/orders/1"); got != http.StatusOK {
		t.Errorf("a bystander was answered %d", got)
	}
	if got := s.list("/v1/decisions?ip=" + addr); !strings.Contains(got, `"scenario":"injection"`) || !strings.Contains(got, `"value":"`+addr+`"`) {
		t.Errorf("bouncers are told %s", got)
	}
	if got := s.list("/lists/blocked.txt"); got != addr+"\n" {
		t.Errorf("the list is %q", got)
	}
	s.list("/v1/decisions/stream?startup=true")
	s.r.cli(exitRan, "decisions", "release", d.ID, "--why", "our own test")
	s.awaitStatus(addr, http.StatusOK)
	if got := s.list("/v1/decisions/stream?"); !strings.Contains(got, `"new":[]`) || !strings.Contains(got, addr) {
		t.Errorf("after the release bouncers are told %s", got)
	}
	s.r.down()
}

// TestE2EForeignList: a list of others blocks, but never whom the settings or a person
// allow, and the panic switch lifts it too.
func TestE2EForeignList(t *testing.T) {
	t.Parallel()
	pub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "203.0.113.71\n203.0.113.72 ; partner\n127.0.0.0/8\n10.0.0.0/8")
	}))
	defer pub.Close()
	s := newInlineSite(t, fmt.Sprintf("lists: [{name: drop, url: %q, action: block}]\n%s", pub.URL, strings.Replace(acting, "enforce:\n", "enforce:\n  guard: {allow: [203.0.113.72]}\n", 1)))
	s.awaitStatus("203.0.113.71", http.StatusForbidden)
	if got := s.ask("203.0.113.72", "/api/v1/orders/1"); got != http.StatusOK {
		t.Errorf("who is allowed was answered %d", got)
	}
	await(t, "bouncers are told", s.r.words, func() bool {
		return strings.Contains(s.list("/v1/decisions?origins=lists"), `"scenario":"drop"`)
	})
	s.r.cli(exitRan, "decisions", "panic", "--why", "a wrong list")
	s.awaitStatus("203.0.113.71", http.StatusOK)
	s.r.down()
}
