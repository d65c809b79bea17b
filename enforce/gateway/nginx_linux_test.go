package gateway

import (
	"context"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// TestNginxReadOnlyDir gives up the right to write on one thread, as a root's
// test would otherwise pass where a service user's push fails.
func TestNginxReadOnlyDir(t *testing.T) {
	s := newSite(t, "")
	g := s.gateway()
	if err := os.Chmod(s.cfg.Dir, 0o555); err != nil {
		t.Fatal(err)
	}
	failures := make(chan error, 2)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if os.Geteuid() == 0 {
			_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0)
		}
		_, err := g.Apply(context.Background(), []enforce.Entry{block("192.0.2.1/32")})
		failures <- err
		failures <- g.checkDir()
	}()
	for range 2 {
		wantError(t, <-failures, "cannot write the include files in "+s.cfg.Dir, "let the user that Portcullis runs as write there", "permission denied")
	}
}

// TestNginxConverges: a reload that outlasts our patience leaves nginx with a
// state that the files do not have; going back to the old one must reach it.
func TestNginxConverges(t *testing.T) {
	s := newSite(t, "")
	s.start()
	g := s.gateway()
	apply(t, g, block("192.0.2.1/32"))
	hasty := s.gateway()
	hasty.cfg.TestCommand = []string{"true"}
	hasty.cfg.Timeout = 60 * time.Millisecond // nginx itself pauses for 100 ms in a reload
	_, err := hasty.Apply(context.Background(), []enforce.Entry{block("192.0.2.9/32")})
	wantError(t, err, "old workers still accept")
	s.eventually(403, "192.0.2.9")
	apply(t, g, block("192.0.2.1/32"))
	s.eventually(403, "192.0.2.1")
	s.eventually(200, "192.0.2.9")
	if done := apply(t, g, block("192.0.2.1/32")); done.Changed != 0 {
		t.Errorf("reconciled, then again: %+v", done)
	}
}

// eventually polls for a status: two reloads overlap here.
func (s *site) eventually(status int, client string) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); s.get(client) != status; waitBriefly() {
		if time.Now().After(deadline) {
			s.t.Fatalf("client %s never got %d", client, status)
		}
	}
}
