package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// posted is somebody's program that alerts are posted to.
type posted struct {
	*httptest.Server
	mu     sync.Mutex
	got    []alert.Notice
	secret string // file
}

func newPosted(t *testing.T) *posted {
	c := &posted{secret: filepath.Join(t.TempDir(), "secret")}
	if err := os.WriteFile(c.secret, []byte("of the test"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var n alert.Notice
		if err == nil {
			err = json.Unmarshal(body, &n)
		}
		if err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.got = append(c.got, n)
	}))
	t.Cleanup(c.Close)
	return c
}

// yaml is a section of alerts that posts to it.
func (c *posted) yaml() string {
	return fmt.Sprintf("alerts: {wait: 1s, resolve: 1h, channels: [{type: webhook, name: desk, redact: no, webhook: {url: %q, secret_file: %q}}]}\n", c.URL, c.secret)
}

// count is how often a kind of notice came about a subject.
func (c *posted) count(kind alert.Kind, about string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.got {
		if x.Kind == kind && slices.Contains(x.Subjects, about) {
			n++
		}
	}
	return n
}

func (c *posted) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%+v", c.got)
}

// metrics is what Prometheus would be told.
func (r *rig) metrics() string {
	r.t.Helper()
	page, err := http.Get(r.url() + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer page.Body.Close()
	text, err := io.ReadAll(page.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// TestE2EAlerts: an attack in the log is told once, also over a kill; a silence keeps the
// next one quiet, an acknowledgement is known, all is written down.
func TestE2EAlerts(t *testing.T) {
	t.Parallel()
	c := newPosted(t)
	r := newRig(t, c.yaml())
	if err := os.WriteFile(r.log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.up()
	attack := func(addr string) {
		for range 3 {
			write(t, r.log, line(addr, time.Now(), "GET "+attackTarget, 200, "Mozilla/5.0"))
		}
	}
	said := func() string { return c.String() + "\n" + r.words() }
	attack("203.0.113.5")
	await(t, "the attack is told", said, func() bool { return c.count(alert.Firing, "ip:203.0.113.5") == 1 })
	list := objects[map[string]any](r, "alert", "list")
	id := fmt.Sprint(list[0]["id"])
	if len(list) != 1 || list[0]["state"] != "open" || list[0]["rule"] != "injection" {
		t.Fatalf("alerts %+v", list)
	}
	r.cli(exitRan, "alert", "ack", id[:8], "--why", "looking at it")
	r.cli(exitRan, "alert", "silence", "add", "subject=203.0.113.6", "--for", "1h", "--why", "a pentest")
	if err := r.proc.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-r.ended
	r.up()
	attack("203.0.113.6")
	attack("203.0.113.7")
	await(t, "the next attack is told", said, func() bool { return c.count(alert.Firing, "ip:203.0.113.7") == 1 })
	if c.count(alert.Firing, "ip:203.0.113.5") != 1 || c.count(alert.Firing, "ip:203.0.113.6") != 0 {
		t.Errorf("told %s", c)
	}
	if out := r.cli(exitRan, "alert"); !strings.Contains(out, "acknowledged") || !strings.Contains(out, "silenced: ") {
		t.Errorf("alerts\n%s", out)
	}
	if text := r.metrics(); !strings.Contains(text, `portcullis_alert_notices_total{channel="desk",kind="firing"} 1`) {
		t.Errorf("metrics\n%s", text)
	}
	r.cli(exitRan, "alert", "test", "desk", "-c", r.config)
	if out := r.cli(exitFailed, "alert", "test", "dsk", "-c", r.config); !strings.Contains(out, "did you mean desk?") {
		t.Errorf("a channel that is not there: %s", out)
	}
	var did []string
	for _, e := range objects[map[string]string](r, "alert", "history") {
		did = append(did, e["what"])
	}
	if !slices.Equal(did, []string{"test", "silence", "acknowledge"}) {
		t.Errorf("history %v", did)
	}
	silences := objects[silenceObject](r, "alert", "silence")
	if len(silences) != 1 || !slices.Equal(silences[0].Match, []string{"subject=203.0.113.6"}) {
		t.Fatalf("silences %+v", silences)
	}
	r.cli(exitRan, "alert", "silence", "remove", silences[0].ID[:5])
	await(t, "what was silent is told", said, func() bool { return c.count(alert.Firing, "ip:203.0.113.6") == 1 })
	r.down()
}

// TestE2EClusterAlerts: of two enforcers one sends. When it is killed the other goes on: it
// knows what was told, who looks after it, and what a person silenced on the machine that
// is gone.
func TestE2EClusterAlerts(t *testing.T) {
	t.Parallel()
	c := newPosted(t)
	f := newFleet(t, kafkatest.Full(t).Plain(), 1, c.yaml())
	for _, m := range []*member{f.add("collect", "collect"), f.add("detect", "detect"), f.add("enforce", "enforce"), f.add("enforce", "enforce-2")} {
		m.start()
	}
	said := func() string { return c.String() }
	attack := func(addr string) {
		for range 3 {
			write(t, f.log, line(addr, time.Now(), "GET "+attackTarget, 200, "Mozilla/5.0"))
		}
	}
	attack("203.0.113.5")
	await(t, "the attack is told", said, func() bool { return c.count(alert.Firing, "ip:203.0.113.5") == 1 })
	active, other := f.members["enforce"], f.members["enforce-2"]
	if strings.Contains(other.said.String(), "this enforcer is active") {
		active, other = other, active
	}
	active.cli("alert", "silence", "add", "subject=203.0.113.6", "--for", "1h", "--why", "a pentest")
	listed := func(m *member, args ...string) string {
		return string(m.cli(append(append([]string{"alert"}, args...), "--output", "jsonl")...))
	}
	await(t, "the one that stands by knows of both", func() string { return listed(other, "list") + listed(other, "silence") }, func() bool {
		return strings.Contains(listed(other, "silence"), "203.0.113.6") && strings.Contains(listed(other, "list"), `"kind":"firing"`)
	})
	var first struct{ ID string }
	if err := json.Unmarshal([]byte(listed(other, "list")), &first); err != nil {
		t.Fatal(err)
	}
	other.cli("alert", "ack", first.ID, "--why", "looking at it")
	active.kill()
	attack("203.0.113.6")
	attack("203.0.113.7")
	await(t, "the other one tells of the next attack", func() string { return said() + tail(other.said.String(), 3000) }, func() bool { return c.count(alert.Firing, "ip:203.0.113.7") == 1 })
	if c.count(alert.Firing, "ip:203.0.113.5") != 1 || c.count(alert.Firing, "ip:203.0.113.6") != 0 {
		t.Errorf("told %s", c)
	}
	active.start()
	await(t, "the one that comes back knows of all", func() string { return listed(active, "list") + tail(active.said.String(), 3000) }, func() bool {
		return strings.Count(listed(active, "list"), "\n") == 3 && strings.Contains(listed(active, "list"), `"acknowledged_why":"looking at it"`)
	})
}
