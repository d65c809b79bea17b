package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
	"github.com/portcullis/portcullis/fixtures/gateways"
	"github.com/portcullis/portcullis/fixtures/testbed"
)

// rig is a real gateway on loopback in front of an API that answers 200 to everything. The
// gateway's test writes its configuration.
type rig struct {
	t       testing.TB
	dir     string
	addr    string // the gateway's
	api     string // the upstream's
	program []string
	env     []string
	proc    *exec.Cmd
	client  *http.Client
	header  map[string]string // kind of a subject → the header that tells it
	proxy   bool              // clients are told by the PROXY protocol instead of X-Forwarded-For
	drops   bool              // a reload of it may close a connection that a request is under way on
}

// newRig makes one of the kinds of fixtures/gateways; it is not started.
func newRig(t testing.TB, kind string) *rig {
	t.Helper()
	gateways.Need(t, kind)
	dir, err := os.MkdirTemp("", "portcullis-"+kind+"-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the gateway may work as another user
		t.Fatal(err)
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-From", "api")
	}))
	r := &rig{t: t, dir: dir, addr: testbed.FreeAddr(t), api: api.Listener.Addr().String(),
		client: &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{MaxIdleConnsPerHost: 8}},
		header: map[string]string{"consumer": "X-Consumer", "key": "X-Api-Key", "session": "X-Session", "fingerprint": "X-Print", "country": "X-Country", "asn": "X-Asn"}}
	t.Cleanup(func() {
		r.stop()
		api.Close()
		r.client.CloseIdleConnections()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return r
}

// path names a file of the rig.
func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) write(name, text string) string {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
	return r.path(name)
}

// start runs the program until it answers.
func (r *rig) start() {
	r.t.Helper()
	out, err := os.OpenFile(r.path("out"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		r.t.Fatal(err)
	}
	defer out.Close()
	r.proc = exec.Command(r.program[0], r.program[1:]...)
	r.proc.Dir, r.proc.Stdout, r.proc.Stderr, r.proc.Env = r.dir, out, out, append(os.Environ(), r.env...)
	r.proc.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.proc.Start(); err != nil {
		r.t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; waitBriefly() {
		resp, err := r.client.Get("http://" + r.addr + "/")
		if err == nil {
			resp.Body.Close()
			if resp.Header.Get("X-From") == "api" {
				return
			}
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s does not come up: %v\n%s", r.program[0], err, r.said())
		}
	}
}

// said is what the program printed, the end of it.
func (r *rig) said() string {
	text, err := os.ReadFile(r.path("out"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-3000):])
}

// stop ends the program with all its workers, as a kill -9 of the service would.
func (r *rig) stop() {
	if r.proc != nil {
		_ = syscall.Kill(-r.proc.Process.Pid, syscall.SIGKILL)
		_ = r.proc.Wait()
		r.proc = nil
	}
	r.client.CloseIdleConnections()
}

// ask sends one request and returns its status. A reload may close the connection under a
// request, as honest counts: it is asked again then.
func (r *rig) ask(a enforcetest.Ask) int {
	r.t.Helper()
	resp, err := r.fetch(a)
	for try := 0; err != nil && try < 3; try++ {
		resp, err = r.fetch(a)
	}
	if err != nil {
		r.t.Fatalf("%v\n%s", err, r.said())
	}
	return resp.StatusCode
}

func (r *rig) fetch(a enforcetest.Ask) (*http.Response, error) {
	path := a.Path
	if path == "" {
		path = "/"
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+r.addr+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Forwarded-For", a.Client.String())
	if h := r.header[a.As.Kind]; h != "" {
		req.Header.Set(h, a.As.Value)
	}
	client := r.client
	if r.proxy {
		client = &http.Client{Timeout: r.client.Timeout, Transport: &http.Transport{DisableKeepAlives: true, DialContext: r.proxied(a.Client)}}
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp, errors.Join(err, resp.Body.Close())
}

// proxied dials and says who the client is, by the PROXY protocol, version 1.
func (r *rig) proxied(client netip.Addr) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		family, us := "TCP4", "192.0.2.255"
		if client.Is6() {
			family, us = "TCP6", "2001:db8::ffff"
		}
		_, err = fmt.Fprintf(conn, "PROXY %s %s %s 40000 80\r\n", family, client, us)
		return conn, err
	}
}

// status is the Status of a probe.
func (r *rig) status(_ testing.TB, client netip.Addr) int {
	return r.ask(enforcetest.Ask{Client: client})
}

// want asserts the status that clients see.
func (r *rig) want(status int, clients ...string) {
	r.t.Helper()
	for _, c := range clients {
		if got := r.ask(enforcetest.Ask{Client: netip.MustParseAddr(c)}); got != status {
			r.t.Errorf("client %s got %d, want %d", c, got, status)
		}
	}
}

// honest asks as ordinary clients until stopped, and counts what is not 200, and what got no
// answer at all.
func (r *rig) honest() (stop func() (bad, dropped, all int64)) {
	var bad, dropped, all atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		client := netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + i)})
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				all.Add(1)
				resp, err := r.fetch(enforcetest.Ask{Client: client, Path: "/orders/1"})
				switch {
				case err != nil:
					dropped.Add(1)
				case resp.StatusCode != 200:
					bad.Add(1)
				}
			}
		})
	}
	return func() (int64, int64, int64) {
		close(done)
		wg.Wait()
		return bad.Load(), dropped.Load(), all.Load()
	}
}

// held reads all files below the folders.
func (r *rig) held(dirs ...string) string {
	r.t.Helper()
	var all strings.Builder
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
	if all.Len() == 0 {
		r.t.Fatalf("no file in %v", dirs)
	}
	return all.String()
}

// pushes measures the time from Apply to the first refused request of one more address
// among n, with honest clients asking all the while. It reports the median.
func (r *rig) pushes(gw enforce.Gateway, n, times int) time.Duration {
	r.t.Helper()
	list := addresses(n)
	for i := range list {
		if enforce.Holds(gw, list[i].Target(), list[i].Action) != nil {
			list[i].Action = enforce.Block
		}
	}
	apply(r.t, gw, list...)
	var took []time.Duration
	for i := range times {
		client := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		one := enforce.Entry{Prefix: netip.PrefixFrom(client, 32), Action: enforce.Block}
		start := time.Now()
		apply(r.t, gw, append(list[:len(list):len(list)], one)...)
		for r.ask(enforcetest.Ask{Client: client}) != 403 {
			if time.Since(start) > 30*time.Second {
				r.t.Fatalf("%s is not refused", client)
			}
		}
		took = append(took, time.Since(start))
	}
	return median(took)
}

// measure logs what pushes takes at some sizes, and fails for one failed honest request;
// where drops is set, the gateway closes connections when it reloads, and only a wrong
// answer is a failure.
func (r *rig) measure(gw enforce.Gateway, sizes ...int) {
	r.t.Helper()
	for _, n := range sizes {
		stop := r.honest()
		took := r.pushes(gw, n, 3)
		bad, dropped, all := stop()
		r.t.Logf("MEASURED %s: %d entries: %s to the first refusal; of %d honest requests %d got a wrong answer, %d none", gw.Name(), n, took.Round(time.Millisecond), all, bad, dropped)
		if bad > 0 || dropped > 0 && !r.drops {
			r.t.Errorf("of %d honest requests %d got a wrong answer and %d none during pushes of %d entries", all, bad, dropped, n)
		}
	}
}

// measured are the sizes that tests push: all of them with PORTCULLIS_BENCH.
func measured() []int {
	if os.Getenv("PORTCULLIS_BENCH") != "" {
		return []int{10, 10_000, 100_000}
	}
	return []int{10, 2_000}
}

func median(list []time.Duration) time.Duration {
	best := append([]time.Duration(nil), list...)
	for i := range best {
		for j := i; j > 0 && best[j] < best[j-1]; j-- {
			best[j], best[j-1] = best[j-1], best[j]
		}
	}
	return best[len(best)/2]
}

// onSubject is an entry on a subject that is no address.
func onSubject(kind, value string, a enforce.Action) enforce.Entry {
	e := enforce.Entry{Decision: "d-" + kind, Action: a}
	e.Subject.Kind, e.Subject.Value = kind, value
	if a == enforce.Throttle {
		e.Rate, e.Burst = 1, 3
	}
	return e
}

// fuzzed are an address on a route and a key, so named, as far as the gateway holds them.
func fuzzed(g enforce.Gateway, key, route string) (want []enforce.Entry) {
	on := block("192.0.2.1/32")
	on.Route = route
	for _, e := range []enforce.Entry{on, onSubject("key", key, enforce.Block)} {
		if enforce.Holds(g, e.Target(), e.Action) == nil {
			want = append(want, e)
		}
	}
	return want
}

// entries makes n distinct subjects of a kind.
func subjectEntries(kind string, n int) []enforce.Entry {
	out := make([]enforce.Entry, n)
	for i := range out {
		out[i] = onSubject(kind, fmt.Sprintf("name-%07d", i), enforce.Block)
	}
	return out
}
