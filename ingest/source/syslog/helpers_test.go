package syslog_test

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
	"github.com/portcullis/portcullis/ingest/source/spool"
	"github.com/portcullis/portcullis/ingest/source/syslog"
)

var quiet = slog.New(slog.DiscardHandler)

// intake keeps what it is given; fail makes it refuse.
type intake struct {
	mu   sync.Mutex
	text strings.Builder
	fail error
	grew chan struct{}
}

func newIntake() *intake { return &intake{grew: make(chan struct{}, 1)} }

func (in *intake) Append(lines []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.fail != nil {
		return in.fail
	}
	in.text.Write(lines)
	select {
	case in.grew <- struct{}{}:
	default:
	}
	return nil
}

func (in *intake) set(err error) {
	in.mu.Lock()
	in.fail = err
	in.mu.Unlock()
}

func (in *intake) String() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.text.String()
}

// await polls, with a deadline, until what holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (in *intake) await(t testing.TB, want string) {
	t.Helper()
	await(t, "the intake has what was sent", func() bool { return len(in.String()) >= len(want) })
	if got := in.String(); got != want {
		t.Fatalf("stored %.300q, want %.300q", got, want)
	}
}

// serve runs a receiver until the test ends.
func serve(t testing.TB, cfg syslog.Config, in spool.Intake) (r *syslog.Receiver, stop func()) {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = quiet
	}
	r, err := syslog.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, in) }()
	select {
	case <-r.Listening():
	case err := <-done:
		cancel()
		t.Fatalf("Serve = %v", err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Serve = %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return r, stop
}

func dial(t testing.TB, r *syslog.Receiver, i int) net.Conn {
	t.Helper()
	a := r.Addr()[i]
	conn, err := net.Dial(a.Network(), a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func send(t testing.TB, conn net.Conn, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

// path names a file of an authority.
func path(a *servetest.Authority, name string) string { return filepath.Join(a.Dir, name) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
