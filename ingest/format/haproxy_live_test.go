package format

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/fixtures/gateways"
	"github.com/portcullis/portcullis/ingest"
)

// startHAProxy starts a real HAProxy that answers every request itself, and returns
// where, and the lines that it logs.
func startHAProxy(t *testing.T, logging string) (addr string, lines *bufio.Reader) {
	t.Helper()
	binary := gateways.Program(t, "haproxy")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	conf := filepath.Join(t.TempDir(), "haproxy.cfg")
	text := "defaults\n mode http\n timeout connect 1s\n timeout client 2s\n timeout server 2s\n log stdout format raw local0\n" +
		"frontend www\n bind fd@3\n capture request header Host len 64\n capture request header User-Agent len 64\n" + logging +
		" http-request set-var(txn.uri) url\n http-request set-var(txn.method) method\n http-request return status 404 content-type text/plain string no\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-db", "-f", conf)
	cmd.ExtraFiles = []*os.File{socket}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// A line that never comes ends the test: not before a busy machine has had its time.
	kill := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		inTime := kill.Stop()
		_ = cmd.Process.Kill()
		ended := cmd.Wait()
		if t.Failed() {
			t.Logf("ended before its time was over: %v; %v\n%s", inTime, ended, stderr.String())
		}
	})
	return l.Addr().String(), bufio.NewReader(out)
}

// exchange sends a request as it is and waits for the end of the answer.
func exchange(t *testing.T, addr, request string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err = io.WriteString(c, request); err == nil {
		_, err = io.Copy(io.Discard, c)
	}
	if err != nil {
		t.Logf("%v", err)
	}
}

// TestHAProxyLive: what a client sends through a real HAProxy comes out of its log
// again, in each of the formats.
func TestHAProxyLive(t *testing.T) {
	const jsonFormat = `{"a":"%ci","t":%[date(0,ms)],"m":"%[var(txn.method),json(utf8s)]","uri":"%[var(txn.uri),json(utf8s)]","s":%ST,"ua":"%[capture.req.hdr(1),json(utf8s)]","T":%Ta}`
	for _, c := range []struct{ name, conf, spec string }{
		{"httplog", " option httplog\n", "haproxy-http:captures=host,user-agent"},
		{"cookies", " option httplog\n capture cookie SID len 60\n", "haproxy-http:captures=host,user-agent"},
		{"clf", " option httplog clf\n", "haproxy-clf:captures=host,user-agent"},
		{"httpslog", " option httpslog\n", "haproxy-https:captures=host,user-agent"},
		{"json", " log-format '" + jsonFormat + "'\n", "haproxy:" + jsonFormat},
		{"flags", " log-format \"%ci %t %{+Q,+E}r %ST  %hr %hs %Ta\"\n", "haproxy:captures=host,user-agent log-format \"%ci %t %{+Q,+E}r %ST  %hr %hs %Ta\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := open(t, c.spec)
			addr, lines := startHAProxy(t, c.conf)
			for i, agent := range []string{"curl/8", `a"b\c]#{|}`, "é\xff", `x" 200 5 "-" "`, "", "-"} {
				target := []string{"/", `/a?b="c"&d=\`, "/%23%41", "/" + strings.Repeat("a", 300), "*", "/]["}[i]
				sid := []string{"1", `- - ---- 1/1/0/0/0 0/0 "GET /fake HTTP/1.1"`, "a b", "-", "x", `"`}[i]
				exchange(t, addr, fmt.Sprintf("OPTIONS %s HTTP/1.0\r\nHost: h%d\r\nUser-Agent: %s\r\nCookie: SID=%s\r\n\r\n", target, i, agent, sid))
				line, err := lines.ReadString('\n')
				if err != nil {
					t.Fatalf("no line: %v", err)
				}
				if c.name == "json" {
					agent = strings.ToValidUTF8(agent, "") // the converter leaves other bytes out
				}
				checkLive(t, p, strings.TrimSuffix(line, "\n"), target, agent, c.name == "cookies" && i > 0)
			}
		})
	}
}

// checkLive: with a cookie captured, what comes behind it may be unknown, but never wrong.
func checkLive(t *testing.T, p ingest.Parser, line, target, agent string, cookie bool) {
	t.Helper()
	var ev ingest.Event
	if r := p.Parse([]byte(line), &ev); r != ingest.OK {
		t.Errorf("%s: %s", r, line)
		return
	}
	since := time.Since(time.Unix(0, ev.Time))
	if ev.Peer.String() != "127.0.0.1" || ev.Status != 404 || since < -2*time.Second || since > time.Minute {
		t.Errorf("%s\ngives %+v", line, ev)
	}
	if agent == "-" {
		agent = ev.Agent // what stands for nothing
	}
	if cookie && ev.Target == "" {
		return
	}
	if ev.Target != target || ev.Method != "OPTIONS" || ev.Agent != agent {
		t.Errorf("%s\ngives target %q, agent %q; sent were %q, %q", line, ev.Target, ev.Agent, target, agent)
	}
}
