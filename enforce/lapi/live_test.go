package lapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// bouncer finds a real one, as deploy/testbed/fetch.sh brings it.
func bouncer(t *testing.T, name string) string {
	t.Helper()
	at, err := filepath.Abs(filepath.Join("..", "..", ".testbed", "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if path, err := exec.LookPath(at); err == nil {
		return path
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: deploy/testbed/fetch.sh bouncers", name)
	}
	t.Skipf("SKIPPED, %s is missing: deploy/testbed/fetch.sh bouncers, or apt-get install crowdsec-firewall-bouncer crowdsec-custom-bouncer", name)
	return ""
}

// listening runs the API for real.
func (r *rig) listening(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	until(t, "the API listens", func() bool { return r.Addr() != nil })
	return r.Addr().String()
}

// until polls for what has to come about within half a minute.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// startBouncer starts one with a configuration, and stops it with the test.
func startBouncer(t *testing.T, program, config string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "bouncer.yaml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(config, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c", path)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // gone already is well
		<-ended
		out.Close()
		if said, _ := os.ReadFile(out.Name()); t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(program), said)
		}
	})
}

// TestLiveCustomBouncer: an unmodified custom bouncer calls its program for what comes
// and what goes.
func TestLiveCustomBouncer(t *testing.T) {
	program := bouncer(t, "crowdsec-custom-bouncer")
	r := newRig(t, Config{})
	r.at = time.Now()
	r.decide("d1", "192.0.2.1/32", "auth-burst", enforce.Block, time.Hour)
	r.apply(t)
	at := r.listening(t)
	calls := filepath.Join(t.TempDir(), "calls")
	script := filepath.Join(t.TempDir(), "act.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$1 $2 $4\" >>"+calls+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	startBouncer(t, program, fmt.Sprintf(`bin_path: %s
piddir: DIR
update_frequency: 100ms
cache_retention_duration: 10s
daemonize: false
log_mode: stdout
log_level: debug
api_url: http://%s/
api_key: %s
prometheus: {enabled: false}
`, script, at, testKey))
	called := func(line string) func() bool {
		return func() bool {
			text, _ := os.ReadFile(calls)
			return strings.Contains(string(text), line+"\n")
		}
	}
	until(t, "add of what there is", called("add 192.0.2.1 auth-burst"))
	r.decide("d2", "2001:db8:1::/64", "scan", enforce.Block, time.Hour)
	r.apply(t)
	until(t, "add of what comes", called("add 2001:db8:1::/64 scan"))
	r.release("d1")
	r.apply(t)
	until(t, "del of what goes", called("del 192.0.2.1 auth-burst"))
}

const inNamespace = "LAPI_NETNS"

// ownNetwork runs the test again in a network namespace of its own, and reports that it
// did.
func ownNetwork(t *testing.T) (done bool) {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		return false
	}
	name := fmt.Sprintf("portcullis-lapi-%d", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no network namespace can be made: %v: %.200s", err, out)
		}
		t.Skipf("SKIPPED: no network namespace can be made (%v: %.200s); it takes root, and apt-get install iproute2", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "delete", name).CombinedOutput(); err != nil {
			t.Errorf("ip netns delete: %v: %s", err, out)
		}
	})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", name, self, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"="+name)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("in the network namespace: %v\n%s", err, out)
	}
	return true
}

// TestLiveFirewallBouncer: an unmodified firewall bouncer with nftables drops what we
// block, and lets it in again, in a network namespace of its own.
func TestLiveFirewallBouncer(t *testing.T) {
	program := bouncer(t, "crowdsec-firewall-bouncer")
	if ownNetwork(t) {
		return
	}
	for _, args := range [][]string{{"link", "set", "lo", "up"}, {"addr", "add", "192.0.2.1/32", "dev", "lo"}, {"addr", "add", "192.0.2.2/32", "dev", "lo"}, {"addr", "add", "192.0.2.9/32", "dev", "lo"}} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	l, err := net.Listen("tcp4", "192.0.2.9:80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	reach := func(from string) bool {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 200 * time.Millisecond}
		conn, err := d.Dial("tcp4", l.Addr().String())
		if err == nil {
			conn.Close()
			return true
		}
		var slow net.Error
		if !errors.As(err, &slow) || !slow.Timeout() {
			t.Fatalf("from %s: %v, which is no packet dropped", from, err)
		}
		return false
	}
	r := newRig(t, Config{})
	r.at = time.Now()
	r.apply(t)
	if !reach("192.0.2.1") {
		t.Fatal("nothing is dropped yet, but the server is not reached")
	}
	startBouncer(t, program, fmt.Sprintf(`mode: nftables
pid_dir: DIR
update_frequency: 100ms
daemonize: false
log_mode: stdout
log_level: debug
api_url: http://%s/
api_key: %s
deny_action: DROP
supported_decisions_types: [ban]
nftables:
  ipv4: {enabled: true, set-only: false, table: crowdsec, chain: crowdsec-chain}
  ipv6: {enabled: true, set-only: false, table: crowdsec6, chain: crowdsec6-chain}
prometheus: {enabled: false}
`, r.listening(t), testKey))
	until(t, "the bouncer came", func() bool { return len(r.Bouncers()) == 1 })
	r.decide("d1", "192.0.2.1/32", "auth-burst", enforce.Block, time.Hour)
	r.apply(t)
	until(t, "the blocked client is dropped", func() bool { return !reach("192.0.2.1") })
	if !reach("192.0.2.2") {
		t.Error("another client is dropped too")
	}
	r.release("d1")
	r.apply(t)
	until(t, "the released client is let in", func() bool { return reach("192.0.2.1") })
}
