package demo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/gateway"
	"github.com/portcullis/portcullis/fixtures/traffic"
)

// startSite starts the demo's world; it skips loudly without nginx, and fails in CI.
func startSite(t *testing.T) *Site {
	t.Helper()
	binary, err := FindNginx(context.Background(), io.Discard, false)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED, nginx is missing: apt-get install -y nginx-light")
	}
	s, err := Start(context.Background(), binary, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStartAndStop(t *testing.T) {
	s := startSite(t)
	d := &driver{base: s.URL}
	c := newClient(1)
	target := "/static/css/..%2f..%2fetc/passwd?a=%27b"
	status, err := d.send(context.Background(), c, call{client: netip.MustParseAddr("2001:db8::5"), method: "GET", agent: "test/1", target: target})
	if err != nil || status != http.StatusNotFound {
		t.Errorf("got %d, %v", status, err)
	}
	awaitLog(t, s, "2001:db8::5 - - [", `"GET `+target+` HTTP/1.1" 404 `)
	g, err := gateway.NewNginx(s.Gateway("nginx"))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Check(context.Background()); err != nil {
		t.Error(err)
	}
	pid := s.PID
	c.CloseIdleConnections()
	if err := errors.Join(s.Stop(), s.Stop()); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("nginx %d goes on: %v", pid, err)
	}
	if _, err := os.Stat(s.Dir); !os.IsNotExist(err) {
		t.Errorf("%s is left", s.Dir)
	}
}

// awaitLog polls, since nginx logs a request after it has answered it.
func awaitLog(t *testing.T, s *Site, parts ...string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; {
		log, err := os.ReadFile(s.Log)
		missing := ""
		for _, p := range parts {
			if !strings.Contains(string(log), p) {
				missing = p
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log lacks %q: %s, %v", missing, log, err)
		}
		pause(context.Background(), 5*time.Millisecond)
	}
}

func TestStartFails(t *testing.T) {
	if _, err := Start(context.Background(), "/no/such/nginx", t.TempDir()); err == nil || !strings.Contains(err.Error(), "start nginx") {
		t.Errorf("error %v", err)
	}
	if _, err := Start(context.Background(), "false", t.TempDir()); err == nil || !strings.Contains(err.Error(), "ended at once") {
		t.Errorf("error %v", err)
	}
}

// enforcer stands for Portcullis here: it denies each attacker a while after
// its start, through the real gateway.
type enforcer struct {
	t    *testing.T
	g    *gateway.Nginx
	mu   sync.Mutex
	want []enforce.Entry
}

func (e *enforcer) deny(a AttackerReport) {
	e.mu.Lock()
	defer e.mu.Unlock()
	entry := enforce.Entry{Prefix: netip.PrefixFrom(a.Addr, a.Addr.BitLen()), Action: enforce.Block}
	if a.Kind == traffic.Flooder {
		entry.Action, entry.Rate = enforce.Throttle, 1
	}
	e.want = append(e.want, entry)
	if _, err := e.g.Apply(context.Background(), e.want); err != nil {
		e.t.Error(err)
	}
}

func TestTraffic(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED, takes some 12 s: leave out -short")
	}
	s := startSite(t)
	g, err := gateway.NewNginx(s.Gateway("nginx"))
	if err != nil {
		t.Fatal(err)
	}
	e := &enforcer{t: t, g: g}
	var steps []string
	var pushes sync.WaitGroup
	r, err := Traffic(context.Background(), s.URL, Options{Persist: time.Second, Progress: func(p Progress) {
		steps = append(steps, fmt.Sprintf("%s %s", p.Attacker.Kind, p.Step))
		if p.Step == Starts {
			pushes.Go(func() {
				if pause(context.Background(), time.Second) {
					e.deny(p.Attacker)
				}
			})
		}
	}})
	pushes.Wait()
	if err != nil || r.Took > 20*time.Second {
		t.Fatalf("took %v, %v", r.Took, err)
	}
	o := r.Ordinary
	if o.Denied != 0 || o.Errors != 0 || o.Refused == 0 || o.Requests < 300 || o.Addresses < 60 {
		t.Errorf("ordinary clients: %+v", o)
	}
	if len(steps) != 12 {
		t.Errorf("steps: %q", steps)
	}
	for _, a := range r.Attackers {
		if a.Denied == 0 || a.FirstDeny.Before(a.Sent[0]) || a.Errors > 4 {
			t.Errorf("%s: first denied %v (%d), %d denied, %d errors", a.Kind, a.FirstDeny, a.DenyStatus, a.Denied, a.Errors)
		}
		want := http.StatusForbidden
		if a.Kind == traffic.Flooder {
			want = http.StatusTooManyRequests
			// 250 a second until then, so far above any rate rule for one client.
			if n := len(a.Sent); n < 200 {
				t.Errorf("the flooder sent %d requests only", n)
			}
		} else if a.Passed > 0 {
			t.Errorf("%s: %d requests passed after the first denial", a.Kind, a.Passed)
		}
		if a.DenyStatus != want {
			t.Errorf("%s: denied with %d, want %d", a.Kind, a.DenyStatus, want)
		}
	}
	t.Logf("ordinary %+v, took %v", o, r.Took)
}

func TestTrafficEndsInTime(t *testing.T) {
	api := httptest.NewServer(API())
	defer api.Close()
	began := time.Now()
	r, err := Traffic(context.Background(), api.URL, Options{Longest: 700 * time.Millisecond})
	if err != nil || time.Since(began) > 5*time.Second || r.Ordinary.Requests == 0 {
		t.Errorf("%+v, %v after %v", r.Ordinary, err, time.Since(began))
	}
	if _, err := Traffic(context.Background(), "nonsense", Options{}); err == nil {
		t.Error("nonsense was taken for a gateway")
	}
}

func TestReplay(t *testing.T) {
	if len(recordedLog) > 300<<10 {
		t.Errorf("the recorded log has %d bytes", len(recordedLog))
	}
	var out bytes.Buffer
	n, err := Replay(context.Background(), &out, 1000)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	count := map[string]int{}
	lines := 0
	var last time.Time
	for scan := bufio.NewScanner(&out); scan.Scan(); lines++ {
		line := scan.Text()
		addr, _, _ := strings.Cut(line, " ")
		count[addr]++
		at, err := time.Parse(logTime, line[strings.IndexByte(line, '[')+1:strings.IndexByte(line, ']')])
		if err != nil || at.After(now) {
			t.Fatalf("line %d: %s, %v", lines+1, line, err)
		}
		if strings.Contains(line, `" 403 `) || strings.Contains(line, `" 429 `) {
			t.Errorf("something was enforced: %s", line)
		}
		last = at
	}
	if lines != n || now.Sub(last) > 5*time.Second {
		t.Errorf("%d lines of %d, the last one %v old", lines, n, now.Sub(last))
	}
	for addr, least := range map[string]int{traffic.GuesserAddr: 40, traffic.InjectorAddr: 15, traffic.ScannerAddr: 50, traffic.FlooderAddr: 1000} {
		if count[addr] < least {
			t.Errorf("%s has %d lines, want %d at least", addr, count[addr], least)
		}
		delete(count, addr)
	}
	if len(count) < 60 {
		t.Errorf("%d ordinary addresses", len(count))
	}
	stop, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Replay(stop, io.Discard, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled replay: %v", err)
	}
}
