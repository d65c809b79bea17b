package format

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest"
)

// apacheLive are formats of one server, each with the spec that reads it.
var apacheLive = []struct{ file, conf, spec string }{
	{"combined", `"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\""`, "apache-combined"},
	{"vhost", `"%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\""`, "apache-vhost_combined"},
	{"json", `"{\"t\":\"%{%Y-%m-%dT%H:%M:%S}t.%{usec_frac}t%{%z}t\",\"a\":\"%{c}a\",\"r\":\"%r\",\"s\":%>s,\"b\":%B,\"ua\":\"%{User-Agent}i\",\"ref\":\"%{Referer}i\",\"d\":%{us}T}"`, ""},
	{"words", `"%a %{usec}t %k %X %P %{remote}p %R %{ms}T %I %{X-None}i \"%r\" %s \"%{User-Agent}i\" \"%{Referer}i\" %L"`, ""},
}

// startApache starts a real Apache and returns where, and the folder of its logs.
func startApache(t *testing.T) (addr, dir string) {
	t.Helper()
	binary, err := exec.LookPath("apache2")
	modules := "/usr/lib/apache2/modules/"
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED, apache2 is missing: apt-get install -y apache2-bin")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr, dir = l.Addr().String(), t.TempDir()
	l.Close()
	var conf strings.Builder
	fmt.Fprintf(&conf, "ServerName api.example\nServerRoot %[1]s\nPidFile %[1]s/pid\nErrorLog %[1]s/error.log\nListen %[2]s\nUser nobody\nGroup nogroup\n"+
		"LoadModule mpm_event_module %[3]smod_mpm_event.so\nLoadModule authz_core_module %[3]smod_authz_core.so\nDocumentRoot %[1]s\n", dir, addr, modules)
	for _, f := range apacheLive {
		fmt.Fprintf(&conf, "CustomLog %s/%s.log %s\n", dir, f.file, f.conf)
	}
	path := filepath.Join(dir, "apache.conf")
	if err := os.WriteFile(path, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	cmd := exec.CommandContext(ctx, binary, "-f", path, "-DFOREGROUND")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	until(t, "Apache answers", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr, dir
}

// until looks again and again until something is so, for at most ten seconds.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, limit := time.NewTicker(5*time.Millisecond), time.NewTimer(10*time.Second)
	defer tick.Stop()
	defer limit.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("not within ten seconds: %s", what)
		}
	}
}

// TestApacheLive: what a client sends to a real Apache comes out of its logs again, in
// each of the formats.
func TestApacheLive(t *testing.T) {
	addr, dir := startApache(t)
	targets := []string{"/", `/a?b="c"&d=\`, "/%23%41", "/" + strings.Repeat("a", 3000), "*", "/][{}|^", "/\xc3\xa9\xff"}
	agents := []string{"curl/8", `a"b\c]#{|}`, "é\xff", `x" 200 5 "-" "`, "", `\x22\"\n`, "tab\tin"}
	for i, target := range targets {
		exchange(t, addr, fmt.Sprintf("GET %s HTTP/1.0\r\nHost: h\r\nUser-Agent: %s\r\nReferer: %s\r\n\r\n", target, agents[i], agents[len(agents)-1-i]))
	}
	for _, f := range apacheLive {
		spec := f.spec
		if spec == "" {
			spec = "apache:LogFormat " + f.conf
		}
		var lines [][]byte
		until(t, "all requests are logged", func() bool {
			data, _ := os.ReadFile(filepath.Join(dir, f.file+".log"))
			lines = nil
			for _, l := range bytes.SplitAfter(data, []byte("\n")) {
				if !bytes.Contains(l, []byte("408")) && bytes.HasSuffix(l, []byte("\n")) && bytes.Contains(l, []byte("GET ")) {
					lines = append(lines, bytes.TrimSuffix(l, []byte("\n")))
				}
			}
			return len(lines) >= len(targets)
		})
		p := open(t, spec)
		for i, line := range lines {
			var ev ingest.Event
			r := p.Parse(line, &ev)
			since := time.Since(time.Unix(0, ev.Time))
			if r != ingest.OK || ev.Peer.String() != "127.0.0.1" || ev.Status < 200 || ev.Status > 599 || since < -2*time.Second || since > time.Minute {
				t.Errorf("%s: %s %s\n%+v", f.file, r, line, ev)
			}
			if ev.Target != targets[i] || ev.Agent != agents[i] && ev.Status != 400 || ev.Referer != agents[len(agents)-1-i] && ev.Status != 400 {
				t.Errorf("%s: %s\ngives %q %q %q\nsent  %q %q", f.file, line, ev.Target, ev.Agent, ev.Referer, targets[i], agents[i])
			}
		}
	}
}
