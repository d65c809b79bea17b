package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const hiding = "identity: {hide_addresses: true}\n"

// traces are the bytes by which an address could be known: its text, and its 4
// or 16 bytes in either order.
func traces(addr string) map[string][]byte {
	a := netip.MustParseAddr(addr)
	raw := a.AsSlice()
	turned := slices.Clone(raw)
	slices.Reverse(turned)
	out := map[string][]byte{"text": []byte(addr), "bytes": raw, "bytes turned round": turned}
	if a.Is6() { // what acts on an IPv6 client is its /64
		out["text of the network"] = []byte(strings.TrimSuffix(netip.PrefixFrom(a, 64).Masked().Addr().String(), ":"))
		out["bytes of the network"] = raw[:8]
	}
	return out
}

// found says where in the state folder, and in what the service has said, an
// address can be told.
func (r *rig) found(addrs ...string) []string {
	r.t.Helper()
	var where []string
	look := func(name string, data []byte) {
		for _, addr := range addrs {
			for kind, trace := range traces(addr) {
				if n := bytes.Count(data, trace); n > 0 {
					i := bytes.Index(data, trace)
					where = append(where, fmt.Sprintf("%s: %d times the %s of %s: %q", name, n, kind, addr, data[max(0, i-60):min(len(data), i+60)]))
				}
			}
		}
	}
	err := filepath.WalkDir(r.state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		look(filepath.Base(path), data)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	look("the service's log", []byte(r.words()))
	return where
}

// shown are all the places where findings and decisions are shown.
func (r *rig) shown(ids ...string) string {
	r.t.Helper()
	var all strings.Builder
	show := func(args ...string) {
		for _, output := range []string{"table", "jsonl"} {
			all.WriteString(r.cli(exitRan, append(args, "--output", output)...))
		}
	}
	show("findings")
	show("decisions")
	show("status")
	show("allow")
	for _, id := range ids {
		show("decisions", "why", id)
		_, text := r.get("/api/v1/decisions/" + id)
		all.WriteString(text)
	}
	for _, f := range objects[struct{ ID string }](r, "findings") {
		show("findings", f.ID)
		_, text := r.get("/api/v1/findings/" + f.ID)
		all.WriteString(text)
	}
	for _, path := range []string{"/api/v1/findings", "/api/v1/decisions", "/api/v1/status", "/api/v1/allow", "/api/v1/commands/1", "/metrics", "/"} {
		code, text := r.get(path)
		if code != http.StatusOK {
			r.t.Errorf("%s: %d %.200s", path, code, text)
		}
		all.WriteString(text)
	}
	return all.String()
}

// clear fails for every address that can be told where none should be.
func (r *rig) clear(outputs string, addrs ...string) {
	r.t.Helper()
	for _, where := range r.found(addrs...) {
		r.t.Error(where)
	}
	for _, addr := range addrs {
		if i := strings.Index(outputs, addr); i >= 0 {
			r.t.Errorf("an output shows %s: %q", addr, outputs[max(0, i-100):min(len(outputs), i+100)])
		}
	}
}

var hiddenForm = regexp.MustCompile(`^ip_[a-z2-7]{26}$`)

// TestE2EHide goes the whole way with hide_addresses: attack, block, 403,
// verified, kill -9, still 403, released by the hidden form; and looks for the
// addresses in every byte that is stored, shown and said.
func TestE2EHide(t *testing.T) {
	t.Parallel()
	s := newSite(t, hiding)
	s.r.up()
	const addr, six, friend, office = "203.0.113.121", "2001:db8:0:79::31", "203.0.113.122", "198.51.100.0/24"
	made := s.blocked(addr)
	if made.Subject.Kind != "ip" || !hiddenForm.MatchString(made.Subject.Value) {
		t.Fatalf("the decision is about %+v, want ip_...", made.Subject)
	}
	hidden := made.Subject.Value
	if list := s.r.decisions(hidden); len(list) != 1 || list[0].ID != made.ID {
		t.Errorf("--subject %s lists %+v", hidden, list)
	}
	if !strings.Contains(s.entries(), addr) {
		t.Errorf("the gateway needs the address itself:\n%s", s.entries())
	}
	s.ask(six, attackTarget)
	s.awaitStatus(six, http.StatusForbidden)
	network := s.r.awaitDecision(six, "is in force", func(d decisionObject) bool { return d.Live })

	s.r.cli(exitRan, "allow", "add", friend, "--why", "a load test from "+friend)
	s.r.cli(exitRan, "allow", "add", office, "--why", "the office")
	s.ask(friend, attackTarget)
	write(t, s.Log, addr+" no line of a log, of "+addr+"\n")
	await(t, "the finding on whom is allowed", s.r.words, func() bool {
		return strings.Contains(s.r.cli(exitRan, "findings", "--subject", friend), "injection")
	})
	await(t, "the reject", s.r.words, func() bool { return s.r.source("nginx").Rejected > 0 })
	s.r.clear(s.r.shown(made.ID, network.ID), addr, six, friend)

	first := s.r.words()
	s.r.signal(syscall.SIGKILL)
	<-s.r.ended
	s.r.up()
	s.ask(addr, attackTarget) // denied, and no new offence
	throughout(t, "the block holds over a kill -9", time.Second, func() bool { return s.ask(addr, "/api/v1/products") == http.StatusForbidden })
	after := s.r.awaitDecision(addr, "is verified", func(d decisionObject) bool { return d.State == "verified" })
	if after.ID != made.ID || after.Expires != made.Expires {
		t.Errorf("the decision changed over the restart: %+v, was %+v", after, made)
	}
	if got := s.ask(friend, attackTarget); got != http.StatusOK {
		t.Errorf("somebody allowed is answered %d after the restart", got)
	}
	s.revealed(hidden, addr)
	s.r.cli(exitRan, "decisions", "release", hidden, "--why", "it was "+addr)
	s.awaitStatus(addr, http.StatusOK)
	s.r.cli(exitRan, "decisions", "release", six, "--why", "a mistake")
	s.awaitStatus(six, http.StatusOK)
	s.allowed(hidden, addr)
	s.r.clear(first+s.r.shown(made.ID, network.ID), addr, six, friend)
	s.r.down()
	s.r.clear("", addr, six, friend)
	s.refusedWithoutKey(addr, hidden)
}

// revealed shows an address for a reason, and that it is written down.
func (s *site) revealed(hidden, addr string) {
	s.r.t.Helper()
	s.r.cli(exitUsage, "reveal", hidden)
	if out := s.r.cli(exitRan, "reveal", hidden, "--reason", "ticket 4711, of "+addr); strings.TrimSpace(out) != addr {
		s.r.t.Errorf("reveal %s = %q, want %s", hidden, out, addr)
	}
	if out := s.r.cli(exitRan, "reveal"); !strings.Contains(out, hidden) || !strings.Contains(out, "ticket 4711") || strings.Contains(out, addr) {
		s.r.t.Errorf("the audit: %q", out)
	}
}

// allowed puts somebody on the allow-list by the hidden form and takes it off by
// the clear one.
func (s *site) allowed(hidden, addr string) {
	t := s.r.t
	t.Helper()
	s.r.cli(exitRan, "allow", "add", hidden, "--why", "by the hidden form")
	if list := objects[allowObject](s.r, "allow"); !slices.ContainsFunc(list, func(a allowObject) bool { return a.Value == hidden }) {
		t.Errorf("the allow-list lacks %s: %+v", hidden, list)
	}
	s.ask(addr, attackTarget)
	throughout(t, "who is allowed is not acted on", time.Second, func() bool { return s.ask(addr, "/api/v1/products") == http.StatusOK })
	s.r.cli(exitRan, "allow", "remove", addr)
	if list := objects[allowObject](s.r, "allow"); slices.ContainsFunc(list, func(a allowObject) bool { return a.Value == hidden }) {
		t.Errorf("the allow-list still has %s: %+v", hidden, list)
	}
}

// refusedWithoutKey has a copy of the database without the key file.
func (s *site) refusedWithoutKey(addr, hidden string) {
	t := s.r.t
	t.Helper()
	if err := os.Remove(filepath.Join(s.r.state, keyFile)); err != nil {
		t.Fatal(err)
	}
	if out := s.r.cli(exitRan, "findings", "--subject", hidden); !strings.Contains(out, hidden) {
		t.Errorf("what is hidden can be listed without the key: %q", out)
	}
	for _, args := range [][]string{{"findings", "--subject", addr}, {"decisions", "--subject", addr}, {"allow", "add", addr, "--why", "x"}, {"decisions", "release", hidden, "--why", addr}} {
		if out := s.r.cli(exitFailed, args...); !strings.Contains(out, "addresses are hidden here") {
			t.Errorf("%v without the key: %q", args, out)
		}
	}
	s.r.clear("", addr)
}

// TestE2EHideSwitched switches hiding on and off again: what was stored in clear
// is hidden, and blocks outlive both.
func TestE2EHideSwitched(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.r.up()
	const addr, friend = "203.0.113.131", "203.0.113.132"
	made := s.blocked(addr)
	s.r.cli(exitRan, "allow", "add", friend, "--why", "a load test from "+friend)
	await(t, "the address is saved", s.r.words, func() bool { return len(s.r.found(addr)) > 0 && len(s.r.found(friend)) > 0 })
	s.r.down()
	for _, c := range []struct {
		name, more string
		hidden     bool
	}{{"on", hiding, true}, {"off again", "", false}} {
		s.r.settings(s.gateway() + c.more)
		s.r.up()
		throughout(t, "the block holds with hiding "+c.name, time.Second, func() bool { return s.ask(addr, "/api/v1/products") == http.StatusForbidden })
		d := s.r.awaitDecision(addr, "is verified", func(d decisionObject) bool { return d.State == "verified" })
		if d.ID != made.ID || !hiddenForm.MatchString(d.Subject.Value) {
			t.Errorf("hiding %s: decision %+v, want %s, hidden since it was first switched on", c.name, d, made.ID)
		}
		if got := s.ask(friend, attackTarget); got != http.StatusOK {
			t.Errorf("hiding %s: somebody allowed is answered %d", c.name, got)
		}
		if c.hidden {
			s.r.clear(s.r.shown(made.ID), addr, friend)
		}
		s.r.down()
	}
	s.r.up()
	s.r.cli(exitRan, "decisions", "release", addr, "--why", "a mistake")
	s.awaitStatus(addr, http.StatusOK)
	s.r.cli(exitRan, "allow", "remove", friend)
	if list := objects[allowObject](s.r, "allow"); len(list) != 0 {
		t.Errorf("the allow-list still has %+v", list)
	}
}
