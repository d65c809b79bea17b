package syslog_test

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

	"github.com/portcullis/portcullis/ingest/source/spool"
	"github.com/portcullis/portcullis/ingest/source/syslog"
	"github.com/portcullis/portcullis/internal/config"
)

func TestUDP(t *testing.T) {
	for _, where := range []string{"udp://127.0.0.1:0", "udp://[::1]:0", "udp://:0"} {
		in := newIntake()
		r, _ := serve(t, syslog.Config{Listen: []string{where}, MaxMessage: 1000}, in)
		conn := dial(t, r, 0)
		send(t, conn, "<13>one\n", strings.Repeat("x", 1001), "<13>two\nlines\x00", "\n", strings.Repeat("y", 1000))
		in.await(t, "<13>one\n<13>two lines\n"+strings.Repeat("y", 1000)+"\n")
		await(t, "stats", func() bool { return r.Stats() == spool.Stats{Received: 3, Rejected: 1} })
	}
}

func TestUDPOfStrangersAndFullSpool(t *testing.T) {
	in := newIntake()
	r, _ := serve(t, syslog.Config{Listen: []string{"udp://127.0.0.1:0"}, Allow: []string{"192.0.2.0/24"}}, in)
	send(t, dial(t, r, 0), "<13>stranger")
	await(t, "the stranger is counted", func() bool { return r.Stats().Rejected == 1 })
	for _, err := range []error{spool.ErrFull, syscall.EIO} {
		in = newIntake()
		in.set(err)
		r, _ = serve(t, syslog.Config{Listen: []string{"udp://127.0.0.1:0"}, Allow: []string{"127.0.0.0/8"}}, in)
		send(t, dial(t, r, 0), "<13>lost", "<13>lost")
		await(t, "drops are counted", func() bool { return r.Stats().Dropped == 2 })
		in.set(nil)
		send(t, dial(t, r, 0), "<13>kept")
		in.await(t, "<13>kept\n")
	}
}

// gate is an intake that is shut until the test opens it.
type gate struct {
	*intake
	open chan struct{}
}

func (g *gate) Append(lines []byte) error {
	<-g.open
	return g.intake.Append(lines)
}

// TestKernelDrops: what the kernel throws away while we are busy is counted to
// the last message.
func TestKernelDrops(t *testing.T) {
	g := &gate{newIntake(), make(chan struct{})}
	r, _ := serve(t, syslog.Config{Listen: []string{"udp://127.0.0.1:0"}, ReadBuffer: 64 << 10}, g)
	conn := dial(t, r, 0)
	const sent = 5000
	for i := range sent {
		send(t, conn, fmt.Sprintf("<13>message %d", i))
	}
	close(g.open)
	await(t, "all messages are accounted for", func() bool {
		send(t, conn, "\n") // the count comes with the next datagram; this one holds no message
		s := r.Stats()
		return s.Received+s.Dropped >= sent
	})
	s := r.Stats()
	if s.Dropped == 0 || s.Received == 0 || int64(strings.Count(g.String(), "\n")) != s.Received {
		t.Errorf("%d sent, %+v, %d stored", sent, s, strings.Count(g.String(), "\n"))
	}
	t.Logf("%d sent, %d received, %d dropped by the kernel", sent, s.Received, s.Dropped)
}

func TestTCPFramings(t *testing.T) {
	in := newIntake()
	r, _ := serve(t, syslog.Config{Listen: []string{"tcp://127.0.0.1:0"}, MaxMessage: 500}, in)
	conn := dial(t, r, 0)
	send(t, conn, "<13>line\n<13>dos\r\n<13>nul\x00", "9 <13>cou", "nt", "10 <13>a\nb c\n", "2026 is no length\n",
		strings.Repeat("l", 501)+"\n", "501 <13>"+strings.Repeat("c", 497), "\n\n<13>", "half")
	want := "<13>line\n<13>dos\n<13>nul\n<13>count\n<13>a b c\n2026 is no length\n"
	in.await(t, want)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || err.Error() != "EOF" {
		t.Fatalf("the orderly end is answered by %v, want EOF", err)
	}
	in.await(t, want+"<13>half\n")
	if s := r.Stats(); s.Rejected != 2 || s.Received != 7 {
		t.Errorf("%+v", s)
	}
	await(t, "the connection is gone", func() bool { return r.Stats().Senders == 0 })
}

// TestFullSpoolHoldsTCP: the sender waits, and nothing is lost.
func TestFullSpoolHoldsTCP(t *testing.T) {
	in := newIntake()
	in.set(spool.ErrFull)
	r, _ := serve(t, syslog.Config{Listen: []string{"tcp://127.0.0.1:0"}}, in)
	conn := dial(t, r, 0)
	line := "<13>" + strings.Repeat("w", 1000) + "\n"
	sent := 0
	for { // until the socket buffers are full
		if err := conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Write([]byte(line)[sent%len(line):])
		sent += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil || sent > 64<<20 {
			t.Fatalf("after %d bytes: %v: a full spool must be felt by the sender", sent, err)
		}
	}
	if s := r.Stats(); s.Refused == 0 || s.Dropped != 0 || s.Senders != 1 {
		t.Errorf("%+v", s)
	}
	in.set(nil)
	if err := conn.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	send(t, conn, line[sent%len(line):])
	n := sent/len(line) + 1
	in.await(t, strings.Repeat(line, n))
}

// TestStopResets: a receiver that stops does not pretend that all was stored.
func TestStopResets(t *testing.T) {
	in := newIntake()
	in.set(spool.ErrFull)
	r, stop := serve(t, syslog.Config{Listen: []string{"tcp://127.0.0.1:0"}}, in)
	conn := dial(t, r, 0)
	send(t, conn, "<13>kept back\n")
	await(t, "it is held back", func() bool { return r.Stats().Refused == 1 })
	stop()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the sender read %v, want a reset", err)
	}
	if s := r.Stats(); s.Dropped != 1 {
		t.Errorf("%+v: what cannot be sent again is counted", s)
	}
}

func TestConnectionLimits(t *testing.T) {
	in := newIntake()
	r, _ := serve(t, syslog.Config{Listen: []string{"tcp://127.0.0.1:0"}, MaxConnections: 1, Idle: 200 * time.Millisecond}, in)
	first := dial(t, r, 0)
	send(t, first, "<13>first\n")
	in.await(t, "<13>first\n")
	if _, err := dial(t, r, 0).Read(make([]byte, 1)); err == nil {
		t.Error("one connection too many was taken")
	}
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("an idle connection was kept")
	}
	await(t, "it is gone", func() bool { s := r.Stats(); return s.Senders == 0 && s.Refused == 1 })
	r, _ = serve(t, syslog.Config{Listen: []string{"tcp://127.0.0.1:0"}, Allow: []string{"192.0.2.1"}}, in)
	if _, err := dial(t, r, 0).Read(make([]byte, 1)); err == nil || r.Stats().Refused != 1 {
		t.Errorf("a stranger was taken in: %v, %+v", err, r.Stats())
	}
}

func TestUnixSockets(t *testing.T) {
	dir, in := t.TempDir(), newIntake()
	gram, stream := filepath.Join(dir, "gram"), filepath.Join(dir, "stream")
	stale, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: gram, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	stale.Close() // a killed process leaves the file
	cfg := syslog.Config{Listen: []string{"unixgram://" + gram, "unix://" + stream}, SocketMode: "0600", MaxMessage: 1000, Log: quiet}
	r, stop := serve(t, cfg, in)
	if info, err := os.Stat(gram); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	send(t, dial(t, r, 0), "<13>gram\n", strings.Repeat("g", 1001), "<13>again\x00")
	in.await(t, "<13>gram\n<13>again\n")
	send(t, dial(t, r, 1), "<13>stream\n")
	in.await(t, "<13>gram\n<13>again\n<13>stream\n")
	second, err := syslog.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Serve(t.Context(), in); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "another program") {
		t.Errorf("a second listener said %v", err)
	}
	stop()
	if _, err := os.Stat(gram); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// TestLogger is what the logger(1) of util-linux sends, by every way it knows.
func TestLogger(t *testing.T) {
	if _, err := exec.LookPath("logger"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("logger is missing: apt-get install -y bsdutils")
		}
		t.Skip("logger is missing: apt-get install -y bsdutils")
	}
	in, gram := newIntake(), filepath.Join(t.TempDir(), "gram")
	r, _ := serve(t, syslog.Config{Listen: []string{"udp://127.0.0.1:0", "tcp://127.0.0.1:0", "unixgram://" + gram}}, in)
	port := func(i int) string { _, p, _ := net.SplitHostPort(r.Addr()[i].String()); return p }
	for i, args := range [][]string{
		{"-n", "127.0.0.1", "-d", "-P", port(0), "--rfc3164"}, {"-n", "127.0.0.1", "-d", "-P", port(0), "--rfc5424"},
		{"-n", "127.0.0.1", "-T", "-P", port(1), "--rfc3164"}, {"-n", "127.0.0.1", "-T", "-P", port(1), "--octet-count", "--rfc5424"},
		{"-u", gram},
	} {
		text := fmt.Sprintf("message %d", i)
		if out, err := exec.Command("logger", append(args, "-t", "api_gateway", "-p", "local7.info", text)...).CombinedOutput(); err != nil {
			t.Fatalf("logger %v: %v: %s", args, err, out)
		}
		await(t, text, func() bool { return strings.HasSuffix(in.String(), text+"\n") })
		lines := strings.Split(strings.TrimSpace(in.String()), "\n")
		if line := lines[len(lines)-1]; len(lines) != i+1 || !strings.HasPrefix(line, "<190>") {
			t.Errorf("logger %v came as %q", args, line)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	r, _ := serve(t, syslog.Config{Listen: []string{"udp://127.0.0.1:0", "tcp://127.0.0.1:0"}}, newIntake())
	for i, scheme := range []string{"udp", "tcp"} {
		second, err := syslog.New(syslog.Config{Listen: []string{scheme + "://" + r.Addr()[i].String()}, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		err = second.Serve(context.Background(), newIntake())
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "listen "+scheme) || !strings.Contains(err.Error(), "stop it") {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

// TestDefaults: the defaults of the tags are those of the zero value, and right.
func TestDefaults(t *testing.T) {
	var cfg struct {
		Spool  spool.Config  `yaml:"spool"`
		Syslog syslog.Config `yaml:"syslog"`
	}
	if err := config.Load("portcullis.yaml", nil, nil, &cfg); err != nil {
		t.Fatal(err)
	}
	if cfg.Spool.Sync != time.Second || cfg.Spool.MaxBytes != 1<<30 || cfg.Syslog.MaxMessage != 64<<10 || len(cfg.Syslog.Listen) != 1 {
		t.Errorf("%+v", cfg)
	}
	if _, err := syslog.New(cfg.Syslog); err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	ok := []string{"udp://:514"}
	for key, cfg := range map[string]syslog.Config{
		"listen:":         {},
		"listen[0]":       {Listen: []string{"514"}},
		"listen[1]":       {Listen: []string{"udp://[::1]:514", "unixgram://relative/path"}},
		"cert":            {Listen: []string{"tls://:6514"}},
		"allow[0]":        {Listen: ok, Allow: []string{"10.0.0.0/99"}},
		"max_message":     {Listen: ok, MaxMessage: 10},
		"max_connections": {Listen: ok, MaxConnections: -1},
		"read_buffer":     {Listen: ok, ReadBuffer: 1},
		"idle":            {Listen: ok, Idle: -1},
		"socket_mode":     {Listen: ok, SocketMode: "0999"},
		"tls":             {Listen: []string{"tls://:6514"}, Cert: "missing.pem", Key: "missing.key"},
	} {
		if _, err := syslog.New(cfg); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: New said %v", key, err)
		}
	}
	for _, bad := range []string{"udp://:99999", "tcp://host", "http://x:1", "udp://u@h:1", "unix:///" + strings.Repeat("x", 120)} {
		if _, err := syslog.New(syslog.Config{Listen: []string{bad}}); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
