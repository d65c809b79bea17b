package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/deploy/demo"
)

// site is a real nginx that a rig stands beside.
type site struct {
	*demo.Site
	r      *rig
	binary string
}

// newSite starts nginx and a rig that protects it; it skips loudly without
// nginx, and fails in CI.
func newSite(t *testing.T, enforcement string) *site {
	t.Helper()
	binary, err := demo.FindNginx(context.Background(), io.Discard, false)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED, nginx is missing: apt-get install -y nginx-light")
	}
	s, err := demo.Start(context.Background(), binary, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	r := newRig(t, "")
	r.log = s.Log
	here := &site{Site: s, r: r, binary: binary}
	r.settings(here.gateway() + enforcement)
	return here
}

// gateway is the section of the settings that names the site's nginx.
func (s *site) gateway() string {
	return fmt.Sprintf("gateways: [{type: nginx, nginx: {binary: %s, conf: %s, dir: %s, pid_file: %s}}]\n", s.binary, s.Conf, s.IncludeDir, s.PIDFile)
}

// ask sends one request as a client and returns the status; 0 = no answer.
func (s *site) ask(addr, target string) int {
	s.r.t.Helper()
	return s.askAs(addr, "e2e/1", target)
}

func (s *site) askAs(addr, agent, target string) int {
	s.r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.URL+target, nil)
	if err != nil {
		s.r.t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", addr)
	req.Header.Set("User-Agent", agent)
	req.Close = true // a reload must not be told apart by an old connection
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return 0
	}
	return resp.StatusCode
}

// emptyLog makes room for lines that are older than nginx's own first one, which would make
// them late. It comes after the answer.
func (s *site) emptyLog() {
	s.r.t.Helper()
	await(s.r.t, "nginx has logged its first answer", func() string { return s.Log }, func() bool { i, err := os.Stat(s.Log); return err == nil && i.Size() > 0 })
	if err := os.Truncate(s.Log, 0); err != nil {
		s.r.t.Fatal(err)
	}
}

// siteWorkers is worker_processes of the site.
const siteWorkers = 2

// workers counts the processes that nginx has started.
func (s *site) workers() (n int) {
	s.r.t.Helper()
	parents, err := exec.Command("ps", "-A", "-o", "ppid=").Output()
	if err != nil {
		s.r.t.Fatalf("ps: %v", err)
	}
	for ppid := range strings.FieldsSeq(string(parents)) {
		if ppid == strconv.Itoa(s.PID) {
			n++
		}
	}
	return n
}

// awaitStatus asks for something ordinary until the answer is as wanted, and every
// worker gives it: while nginx reloads, workers of the settings before answer too, for
// a tenth of a second or more.
func (s *site) awaitStatus(addr string, want int) {
	s.r.t.Helper()
	got := -1
	await(s.r.t, fmt.Sprintf("%s is answered %d", addr, want), func() string {
		return fmt.Sprintf("last answer %d\n%+v\n%s", got, s.r.decisions(addr), s.r.said)
	}, func() bool {
		got = s.ask(addr, "/api/v1/products")
		return got == want && s.workers() <= siteWorkers
	})
}

// blocked attacks and follows the block until the log has shown it to hold.
func (s *site) blocked(addr string) decisionObject {
	s.r.t.Helper()
	if got := s.ask(addr, attackTarget); got != http.StatusOK {
		s.r.t.Fatalf("the first attack was answered %d", got)
	}
	s.awaitStatus(addr, http.StatusForbidden)
	return s.r.awaitDecision(addr, "is verified", func(d decisionObject) bool {
		s.ask(addr, "/api/v1/products")
		return d.State == "verified" && d.Action == "block"
	})
}
