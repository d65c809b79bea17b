package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/fixtures/gateways"
	"github.com/portcullis/portcullis/fixtures/testbed"
)

// shownBlocks are the blocks of a language that a document shows, in order.
func shownBlocks(t *testing.T, file, language string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(text), "\n```"+language+"\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```")
		blocks = append(blocks, block)
	}
	return blocks
}

// TestE2EConsumer goes the way of a consumer: its keys are checked inline, by NGINX as
// docs/authentication.md sets it up; the log has its name; what it does too much of is found
// under its name, from whatever address and by whatever key; and authz acts on it.
func TestE2EConsumer(t *testing.T) {
	t.Parallel()
	gateways.Need(t, "nginx")
	blocks := shownBlocks(t, "../../docs/authentication.md", "nginx")
	if len(blocks) != 6 {
		t.Fatalf("docs/authentication.md shows %d blocks for NGINX", len(blocks))
	}
	blocks = blocks[2:] // the first two are of certificates
	_, format, _ := strings.Cut(strings.TrimSuffix(blocks[3], ";"), " portcullis ")
	r := newRig(t, "")
	at, log := testbed.FreeAddr(t), filepath.Join(r.dir, "nginx.log")
	r.settings(fmt.Sprintf(`engine: {late: 1s}
authz: {listen: %q, access: [{route: /api/*, need: key}]}
sources: [{name: nginx, path: %s, format: 'nginx:%s', poll: 20ms, grace: 60ms}]
detectors: {limit: {limits: [{name: much, per: consumer, rate: 0.01, burst: 20}]}}
`, at, log, strings.Trim(format, "'")))
	issue := func(name, consumer string) string {
		key, _, _ := strings.Cut(r.cli(exitRan, "keys", "client", "issue", name, "--consumer", consumer), "\n")
		return key
	}
	first, second, other := issue("acme-1", "acme"), issue("acme-2", "acme"), issue("other-1", "other")
	r.up()
	g := gateways.Start(t, "nginx", gateways.Options{Log: log, Format: strings.Trim(format, "'"), More: blocks[2],
		Extra: strings.ReplaceAll(blocks[0], "127.0.0.1:8471", at) + "\n" + blocks[1]})
	asked := 0
	ask := func(key string) int {
		asked++
		req, err := http.NewRequest(http.MethodGet, g.URL+"/api/v1/orders/1", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Api-Key", key)
		req.Header.Set("X-Forwarded-For", fmt.Sprintf("203.0.113.%d", asked%200+1))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if a, b := ask(first), ask("none"); a != 200 || b != 401 {
		t.Fatalf("a key is answered %d, none %d", a, b)
	}
	await(t, "the finding on the consumer", r.words, func() bool {
		ask(first)
		out := r.cli(exitRan, "findings", "--subject", "acme")
		return strings.Contains(out, "limit") && strings.Contains(out, "acme")
	})
	await(t, "the consumer's other key is refused", r.words, func() bool { got := ask(second); return got == 403 || got == 429 })
	if got := ask(other); got != 200 {
		t.Errorf("another consumer is answered %d", got)
	}
	if text, err := os.ReadFile(log); err != nil || strings.Contains(string(text), first[17:]) {
		t.Errorf("the key stands in the gateway's log, or %v", err)
	}
	r.down()
}
