package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestE2ERelease goes the whole way: attack, finding, decision, 403, verified,
// released by a person, and never acted on again once allowed.
func TestE2ERelease(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.r.up()
	const addr = "203.0.113.21"
	if got := s.ask(addr, "/api/v1/products"); got != http.StatusOK {
		t.Fatalf("an ordinary request was answered %d", got)
	}
	d := s.blocked(addr)
	if len(d.Findings) == 0 || d.Rule != "injection" || d.Why == "" || d.Expires <= d.Created {
		t.Errorf("decision %+v", d)
	}
	if got := s.ask("203.0.113.22", "/api/v1/products"); got != http.StatusOK {
		t.Errorf("a bystander was answered %d", got)
	}
	if out := s.r.cli(exitRan, "decisions", "release", addr, "--why", "our own test"); strings.TrimSpace(out) == "" {
		t.Error("release says nothing")
	}
	s.awaitStatus(addr, http.StatusOK)
	throughout(t, "what a person released is left alone", time.Second, func() bool { return s.ask(addr, "/api/v1/products") == http.StatusOK })
	s.r.awaitDecision(addr, "is released", func(d decisionObject) bool { return d.State == "released" && !d.Live })
	story := s.r.cli(exitRan, "decisions", "why", d.ID)
	for _, part := range []string{"approved → pushed", "pushed → verified", "verified → released: our own test", "union select"} {
		if !strings.Contains(strings.ToLower(story), part) {
			t.Errorf("the story lacks %q:\n%s", part, story)
		}
	}

	const friend = "203.0.113.23"
	s.r.cli(exitRan, "allow", "add", friend, "--why", "a load test")
	for range 5 {
		if got := s.ask(friend, attackTarget); got != http.StatusOK {
			t.Fatalf("somebody allowed was answered %d", got)
		}
	}
	await(t, "the finding on whom is allowed", s.r.words, func() bool {
		return strings.Contains(s.r.cli(exitRan, "findings", "--subject", friend), "injection")
	})
	throughout(t, "who is allowed is not acted on", time.Second, func() bool { return s.ask(friend, "/api/v1/products") == http.StatusOK })
	for _, d := range s.r.decisions(friend) {
		if d.Live {
			t.Errorf("a decision on whom is allowed: %+v", d)
		}
	}
	s.r.down()
}

// TestE2EAllowLifts allows somebody who is blocked already.
func TestE2EAllowLifts(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.r.up()
	const addr = "203.0.113.31"
	s.blocked(addr)
	s.r.cli(exitRan, "allow", "add", "203.0.113.0/24", "--why", "the office")
	s.awaitStatus(addr, http.StatusOK)
	s.ask(addr, attackTarget)
	throughout(t, "who is allowed is not acted on", time.Second, func() bool { return s.ask(addr, "/api/v1/products") == http.StatusOK })
}

// TestE2EIPv6 has a block of a whole /64: who looks for the address that the log
// shows has to find it.
func TestE2EIPv6(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.r.up()
	const addr, neighbour, net = "2001:db8:0:7::31", "2001:db8:0:7::32", "2001:db8:0:7::/64"
	s.ask(addr, attackTarget)
	s.awaitStatus(addr, http.StatusForbidden)
	if got := s.ask(neighbour, "/api/v1/products"); got != http.StatusForbidden {
		t.Errorf("the same network is answered %d", got)
	}
	d := s.r.awaitDecision(net, "is in force", func(d decisionObject) bool { return d.Live })
	if list := s.r.decisions(addr); len(list) != 1 || list[0].ID != d.ID {
		t.Errorf("--subject %s lists %+v, want the decision on %s that blocks it", addr, list, net)
	}
	var said spoken
	cmd := exec.Command("portcullis", "decisions", "release", addr, "--why", "a mistake", "--state-dir", s.r.state)
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if !strings.Contains(said.String(), net) && !strings.Contains(said.String(), d.ID) {
		t.Errorf("release %s (%v) does not lead to the decision on %s that blocks it: %s", addr, err, net, &said)
	}
	if err != nil { // it has named the decision instead
		s.r.cli(exitRan, "decisions", "release", net, "--why", "a mistake")
	}
	s.awaitStatus(addr, http.StatusOK)
}

func TestE2EExpiry(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(acting, "policy: {", "policy: {expiry: {first: 4s}, repeat: 1s, ", 1))
	s.r.up()
	const addr = "203.0.113.41"
	s.blocked(addr)
	if !strings.Contains(s.entries(), addr) {
		t.Errorf("the include file lacks %s:\n%s", addr, s.entries())
	}
	s.awaitStatus(addr, http.StatusOK)
	s.r.awaitDecision(addr, "is expired", func(d decisionObject) bool { return d.State == "expired" && !d.Live })
	if strings.Contains(s.entries(), addr) {
		t.Errorf("the include file still has %s:\n%s", addr, s.entries())
	}
}

// TestE2EReturns has somebody attack again as soon as the block is over: that is
// a second offence, and blocked for longer.
func TestE2EReturns(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(acting, "policy: {", "policy: {expiry: {first: 2s, second: 1h}, repeat: 1s, ", 1))
	s.r.up()
	const addr = "203.0.113.45"
	s.blocked(addr)
	s.awaitStatus(addr, http.StatusOK)
	await(t, "a second decision, while the attacks go on", func() string { return s.r.words() + s.r.cli(exitRan, "decisions") }, func() bool {
		s.ask(addr, attackTarget)
		list := s.r.decisions(addr)
		return len(list) == 2 && list[0].Offence == 2 && list[0].Live
	})
}

// entries is what the gateway holds.
func (s *site) entries() string {
	text, err := os.ReadFile(filepath.Join(s.IncludeDir, "portcullis-http.conf"))
	if err != nil {
		s.r.t.Fatal(err)
	}
	return string(text)
}

// TestE2ERestarts kills one side, then the other, while a block is in force.
func TestE2ERestarts(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.r.up()
	const addr, other = "203.0.113.51", "203.0.113.52"
	before := s.blocked(addr)
	s.blocked(other)

	s.killNginx()
	// What is released while nginx is down must be gone when it comes back.
	s.r.cli(exitRan, "decisions", "release", other, "--why", "a mistake")
	s.startNginx()
	if got := s.ask(addr, "/api/v1/products"); got != http.StatusForbidden {
		t.Errorf("after the restart of nginx the blocked one is answered %d", got)
	}
	s.awaitStatus(other, http.StatusOK)
	s.r.awaitDecision(addr, "is verified", func(d decisionObject) bool { return d.State == "verified" })

	s.r.signal(syscall.SIGKILL)
	<-s.r.ended
	if got := s.ask(addr, "/api/v1/products"); got != http.StatusForbidden {
		t.Errorf("without portcullis the blocked one is answered %d", got)
	}
	s.r.up()
	s.ask(addr, attackTarget) // denied, and no new offence
	throughout(t, "the block holds over a kill -9", time.Second, func() bool { return s.ask(addr, "/api/v1/products") == http.StatusForbidden })
	after := s.r.awaitDecision(addr, "is verified", func(d decisionObject) bool { return d.State == "verified" })
	if after.ID != before.ID || after.Expires != before.Expires {
		t.Errorf("the decision changed over the restart: %+v, was %+v", after, before)
	}
	if got := s.ask(other, "/api/v1/products"); got != http.StatusOK {
		t.Errorf("the released one is answered %d after the restart", got)
	}
}

// killNginx kills the master and its workers, which are one process group.
func (s *site) killNginx() {
	s.r.t.Helper()
	if err := syscall.Kill(-s.PID, syscall.SIGKILL); err != nil {
		s.r.t.Fatal(err)
	}
	await(s.r.t, "nginx is gone", s.r.words, func() bool { return s.ask("192.0.2.1", "/healthz") == 0 })
}

// startNginx starts it on the same files, as an init system does.
func (s *site) startNginx() {
	s.r.t.Helper()
	cmd := exec.Command(s.binary, "-c", s.Conf, "-g", "daemon off;")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.r.t.Fatal(err)
	}
	s.r.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait() // killed: its error says so
	})
	await(s.r.t, "nginx answers again", s.r.words, func() bool { return s.ask("192.0.2.1", "/healthz") == http.StatusOK })
}

func TestE2EPanic(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.r.up()
	const first, second, third = "203.0.113.61", "203.0.113.62", "203.0.113.63"
	s.blocked(first)
	s.r.cli(exitRan, "decisions", "panic", "--why", "customers call")
	s.awaitStatus(first, http.StatusOK)
	s.ask(second, attackTarget)
	s.r.awaitDecision(second, "waits", func(d decisionObject) bool { return d.State == "proposed" && strings.Contains(d.Reason, "panic") })
	throughout(t, "nobody is denied", 500*time.Millisecond, func() bool {
		return s.ask(first, "/api/v1/products") == http.StatusOK && s.ask(second, "/api/v1/products") == http.StatusOK
	})
	await(t, "status says it", s.r.words, func() bool {
		text := s.r.cli(exitRan, "status")
		return strings.Contains(text, "nothing is enforced: ") && strings.Contains(text, "customers call") && strings.Contains(text, "every gateway has confirmed that it holds nothing")
	})
	// It outlives a crash: nobody may find everything blocked again by a restart.
	s.r.signal(syscall.SIGKILL)
	<-s.r.ended
	s.r.up()
	throughout(t, "nobody is denied after a restart", 500*time.Millisecond, func() bool { return s.ask(first, "/api/v1/products") == http.StatusOK })
	s.r.cli(exitRan, "decisions", "resume", "--why", "it was the office")
	s.blocked(third)
	await(t, "status says nothing of it any more", s.r.words, func() bool {
		return !strings.Contains(s.r.cli(exitRan, "status"), "nothing is enforced")
	})
}

// TestE2EBrokenConf breaks nginx.conf by hand while a block is in force.
func TestE2EBrokenConf(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.r.up()
	const first, second = "203.0.113.71", "203.0.113.72"
	s.blocked(first)
	good, err := os.ReadFile(s.Conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Conf, append(good, "bogus_directive on;\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	s.ask(second, attackTarget)
	s.r.awaitDecision(second, "says why it is not in force", func(d decisionObject) bool {
		return d.State == "approved" && strings.Contains(d.Reason, "bogus_directive") && strings.Contains(d.Reason, "refuses its configuration without our change too")
	})
	await(t, "status shows it", s.r.words, func() bool {
		return strings.Contains(strings.Join(s.r.status().Service.Trouble, "\n"), "bogus_directive")
	})
	if a, b := s.ask(first, "/api/v1/products"), s.ask(second, "/api/v1/products"); a != http.StatusForbidden || b != http.StatusOK {
		t.Errorf("the last good state did not stay: the blocked one is answered %d, the other one %d", a, b)
	}
	if n := strings.Count(s.r.words(), "level=WARN msg=\"gateway nginx"); n != 1 {
		t.Errorf("the trouble is said %d times, want once\n%s", n, s.r.said)
	}
	// What a person takes back cannot be carried out now either, and has to be said.
	s.r.cli(exitRan, "decisions", "release", first, "--why", "a mistake")
	if err := os.WriteFile(s.Conf, good, 0o644); err != nil {
		t.Fatal(err)
	}
	s.awaitStatus(first, http.StatusOK)
	s.awaitStatus(second, http.StatusForbidden)
	s.r.awaitDecision(second, "is verified", func(d decisionObject) bool { return d.State == "verified" })
	await(t, "status is in order again", s.r.words, func() bool { return len(s.r.status().Service.Trouble) == 0 })
}
