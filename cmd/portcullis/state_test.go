package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/internal/config"
)

// lines writes combined lines into an engine, in blocks.
type lines struct {
	feeder
	buf  []byte
	at   time.Time
	text string // of the second in at
}

func stateEngine(t *testing.T, change func(*Settings)) *lines {
	t.Helper()
	s := &Settings{Detectors: sections()}
	if err := config.Load("defaults", nil, nil, s); err != nil {
		t.Fatal(err)
	}
	s.StateDir = t.TempDir()
	if change != nil {
		change(s)
	}
	const source = "state"
	e, err := newEngine(s, engineOptions{formats: map[string]string{source: "nginx-combined"}, workers: 1, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return &lines{feeder: feeder{source: source, engine: e, found: map[string]detect.Finding{}}}
}

// add writes one request. Times may not go back.
func (l *lines) add(at time.Time, client netip.Addr, request string, status int) {
	if at = at.Truncate(time.Second); !at.Equal(l.at) || l.text == "" {
		l.at, l.text = at, at.Format(" - - [02/Jan/2006:15:04:05 +0000] \"")
	}
	l.buf = client.AppendTo(l.buf)
	l.buf = append(append(append(l.buf, l.text...), request...), " HTTP/1.1\" "...)
	l.buf = fmt.Appendf(l.buf, "%d 512 \"-\" \"okhttp/4.12.0\"\n", status)
	if len(l.buf) >= 64<<10 {
		l.flush()
	}
}

func (l *lines) flush() {
	_, _ = l.Write(l.buf) // a feeder never fails
	l.buf = l.buf[:0]
	for id, f := range l.found { // those of the churn are many, and of no interest
		if !strings.HasPrefix(f.Subject.Value, suspectNet) {
			delete(l.found, id)
		}
	}
}

// heap is what is in use after a collection.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// churner gives the i-th address of an attacker who has many: /64s of the documentation
// range, of which there are four thousand million.
func churner(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i), 15: 1})
}

// neighbour gives the i-th address of honest people (RFC 6598).
func neighbour(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{100, byte(64 + i>>16), byte(i >> 8), byte(i)})
}

var stateStart = time.Date(2026, 3, 3, 8, 0, 0, 0, time.UTC)

// TestStatePerClient measures what clients and routes cost with all detectors on: clients
// with three requests within ten minutes, of whom some were refused or asked for what is
// not there. PORTCULLIS_SOAK=1 tracks a million.
func TestStatePerClient(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	const perClient, fixed = 512, 64 << 20 // bytes; the target is 512 MB for a million, tables of a fixed size included
	clients, limit := 50_000, int64(50_000*perClient+fixed)
	if soak() {
		clients, limit = 1_000_000, 512<<20
	}
	l := stateEngine(t, nil)
	before := heap()
	const rounds = 3
	for i := range rounds * clients {
		at := stateStart.Add(time.Duration(i) * 10 * time.Minute / time.Duration(rounds*clients))
		who := neighbour(i % clients)
		switch {
		case i%37 == 0:
			l.add(at, who, "POST /api/v1/login", 401)
		case i%23 == 0:
			l.add(at, who, "GET /static/lost.js", 404)
		default:
			l.add(at, who, fmt.Sprintf("GET /api/v1/products/%d", i%5000), 200)
		}
	}
	l.flush()
	full := heap()
	l.engine.Publish()
	if got := l.engine.Stats().Clients; got < clients*99/100 {
		t.Errorf("%d clients are tracked, want %d", got, clients)
	}
	const routes = 1500
	for i := range 20 * routes {
		l.add(stateStart.Add(11*time.Minute+time.Duration(i)*time.Minute/routes), neighbour(i%clients), fmt.Sprintf("GET /api/%s/list", word(i%routes)), 200)
	}
	l.flush()
	wide := heap()
	runtime.KeepAlive(l)
	t.Logf("%d clients: %.1f MB, %d bytes each; %d routes: %d bytes each; the engine's own estimate %.1f MB", clients, mb(full-before), (full-before)/int64(clients),
		routes, (wide-full)/routes, mb(l.engine.Stats().Bytes))
	if full-before > limit {
		t.Errorf("%d clients take %.1f MB, want at most %.1f MB", clients, mb(full-before), mb(limit))
	}
}

func mb(n int64) float64 { return float64(n) / (1 << 20) }

// word names a route: letters only, so that it is no id.
func word(i int) string {
	return string([]byte{'a' + byte(i%26), 'a' + byte(i/26%26), 'a' + byte(i/676%26), 's'})
}

// TestChurnKeepsSuspects lets an attacker come from address after address, each new, in
// order to push suspects out of the tables. What is found about the suspects is what is found
// without, and memory stays as it is once the tables are full. PORTCULLIS_SOAK=1 comes from
// ten million.
func TestChurnKeepsSuspects(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	clients, addresses := 16384, 150_000
	if soak() {
		clients, addresses = 1_000_000, 10_000_000
	}
	want := suspects(t, clients, 0, "", 0)
	if len(want) < manySuspects {
		t.Fatalf("without churn, %d of %d suspects are found", len(want), manySuspects)
	}
	for _, c := range []struct {
		name, request string
		status        int
	}{
		{"harmless", "GET /api/v1/products/17", 200},
		{"refused", "POST /api/v1/login", 401},
		{"lost", "GET /old/page", 404},
		{"probing", "GET /.env", 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := suspects(t, clients, addresses, c.request, c.status)
			if !slices.Equal(got, want) {
				t.Errorf("%d findings about suspects, %d without churn; the first that differ: %s", len(got), len(want), differ(got, want))
			}
		})
	}
}

const (
	manySuspects = 200
	suspectNet   = "198.18."
)

// suspects guess for an hour, a try every 20 s or so, then more quickly; in between comes the
// churn. It returns what is found about them.
func suspects(t *testing.T, clients, churn int, request string, status int) []string {
	t.Helper()
	l := stateEngine(t, func(s *Settings) { s.Engine.MaxClients = clients })
	suspect := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(i), 7}) }
	guess := func(at time.Time) {
		for i := range manySuspects {
			l.add(at, suspect(i), "POST /api/v1/login", 401)
		}
	}
	at := stateStart // the churn comes within the same clock hour
	for range 100 {
		guess(at)
		at = at.Add(20 * time.Second)
	}
	for range 6 {
		guess(at)
		at = at.Add(time.Second)
	}
	l.churn(t, at, churn, request, status, func(at time.Time) {
		for range 6 {
			guess(at)
			at = at.Add(time.Second)
		}
	})
	l.flush()
	merge(l.found, l.engine.Finish().Findings)
	var out []string
	for _, f := range l.found {
		if strings.HasPrefix(f.Subject.Value, suspectNet) && f.Subject.Kind == "ip" {
			out = append(out, fmt.Sprintf("%s %s %s %d", f.Subject.Value, f.Rule, f.Severity, f.Count))
		}
	}
	slices.Sort(out)
	return out
}

// churn lets addresses come for two and a half minutes, each once, and compares memory when
// seconds have long begun to close with what it is in the end. between is called 48 seconds on:
// detectors that look at a minute still know what was before.
func (l *lines) churn(t *testing.T, at time.Time, addresses int, request string, status int, between func(time.Time)) {
	t.Helper()
	const long, soon, full = 150 * time.Second, 48 * time.Second, 100 * time.Second
	var filled int64
	met, measured := false, false
	for i := range addresses {
		after := time.Duration(i) * long / time.Duration(addresses)
		if after >= soon && !met {
			between(at.Add(soon))
			met = true
		}
		if after >= full && !measured {
			l.flush()
			filled, measured = heap(), true
		}
		l.add(at.Add(after), churner(i), request, status)
	}
	if l.flush(); !met {
		between(at.Add(soon))
		return
	}
	end := heap()
	t.Logf("%d addresses: %.1f MB after two thirds of them, %.1f MB after all", addresses, mb(filled), mb(end))
	if end > filled+filled/20+(4<<20) {
		t.Errorf("memory grows from %.1f MB to %.1f MB while addresses come and go", mb(filled), mb(end))
	}
}

// differ shows what only one of two sorted lists holds.
func differ(got, want []string) string {
	var b bytes.Buffer
	for _, x := range []struct {
		sign       string
		list, than []string
	}{{"+", got, want}, {"-", want, got}} {
		n := 0
		for _, s := range x.list {
			if _, in := slices.BinarySearch(x.than, s); !in && n < 3 {
				fmt.Fprintf(&b, "%s%s; ", x.sign, s)
				n++
			}
		}
	}
	return b.String()
}
