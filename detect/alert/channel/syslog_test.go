package channel

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/detect/alert/alerttest"
	"github.com/portcullis/portcullis/fixtures/testbed"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
	"github.com/portcullis/portcullis/internal/hook"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // closed already where the test did
	return l
}

func split(t *testing.T, address string) (string, int) {
	t.Helper()
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

// serveSMTP speaks as little SMTP as one message needs, and answers it.
func serveSMTP(l net.Listener, answer string) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	say := func(s string) { _, _ = io.WriteString(conn, s+"\r\n") } // the client tells what is wrong
	say("220 here")
	for data := false; ; {
		line, err := in.ReadString('\n')
		switch {
		case err != nil:
			return
		case data:
			if line == ".\r\n" {
				data = false
				say(answer)
			}
		case strings.HasPrefix(line, "DATA"):
			data = true
			say("354 go on")
		default:
			say("250 well")
		}
	}
}

// TestSyslogNG: the real syslog-ng takes both formats by all transports, and reads the
// headers as they were meant.
func TestSyslogNG(t *testing.T) {
	dir, p, authority := t.TempDir(), ports(t, 3), servetest.NewAuthority(t)
	cert, key := authority.Issue("127.0.0.1")
	log := filepath.Join(dir, "received")
	ng := testbed.SyslogNG(t, fmt.Sprintf(`source far {
  syslog(ip("127.0.0.1") port(%d) transport("tcp"));
  syslog(ip("127.0.0.1") port(%d) transport("udp"));
  syslog(ip("127.0.0.1") port(%d) transport("tls") tls(cert-file(%q) key-file(%q) peer-verify(optional-untrusted)));
};
destination here { file(%q template("$FACILITY.$LEVEL $HOST $PROGRAM $MSGID $MESSAGE\n")); };
log { source(far); destination(here); };
`, p[0], p[1], p[2], cert, key, log))
	want := 0
	for i, transport := range []string{"tcp", "udp", "tls"} {
		for _, format := range []string{"cef", "leef"} {
			s, err := NewSyslog(SyslogConfig{Address: address(p[i]), Transport: transport, Format: format, Hostname: "edge", TLS: hook.TLS{CA: authority.CA}})
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []*alert.Notice{alerttest.Notice(alert.Firing), alerttest.Hostile(), alerttest.Notice(alert.Resolved)} {
				if err := s.Notify(t.Context(), n); err != nil {
					t.Fatalf("%s %s: %v", transport, format, err)
				}
				want++
			}
		}
	}
	await(t, "all messages are there", func() string { return readFile(t, log) + ng.Said() }, func() bool { return strings.Count(readFile(t, log), "\n") >= want })
	lines := strings.Split(strings.TrimSpace(readFile(t, log)), "\n")
	if len(lines) != want {
		t.Fatalf("%d lines, want %d", len(lines), want)
	}
	count := map[string]int{}
	for _, line := range lines {
		header, _, _ := strings.Cut(line, "|")
		count[header]++
	}
	for header, n := range map[string]int{"local5.info edge portcullis alert CEF:0": 0, "security.err edge portcullis alert CEF:0": 6, "security.info edge portcullis alert CEF:0": 3,
		"security.err edge portcullis alert LEEF:2.0": 6, "security.info edge portcullis alert LEEF:2.0": 3} {
		if count[header] != n {
			t.Errorf("%d of %q, want %d: %v", count[header], header, n, count)
		}
	}
}

// TestSyslogTrouble: a server that hangs up before it took the message, one that is silent,
// and one that is not there.
func TestSyslogTrouble(t *testing.T) {
	l := listen(t)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.(*net.TCPConn).SetLinger(0) // so that the close is a reset
			_ = conn.Close()
		}
	}()
	s, err := NewSyslog(SyslogConfig{Address: l.Addr().String(), Transport: "tcp", Format: "cef"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Notify(t.Context(), alerttest.Notice(alert.Firing)); err == nil {
		t.Error("a reset is taken for an answer")
	}
	full := listen(t) // accepts nothing: a TLS handshake waits for ever
	s, err = NewSyslog(SyslogConfig{Address: full.Addr().String(), Transport: "tls", Format: "cef"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Notify(ctx, alerttest.Notice(alert.Firing)); err == nil {
		t.Error("silence is taken for an answer")
	}
	s, err = NewSyslog(SyslogConfig{Address: address(ports(t, 1)[0]), Transport: "tcp", Format: "leef"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Notify(t.Context(), alerttest.Notice(alert.Firing)); err == nil {
		t.Error("nobody is taken for a server")
	}
}
