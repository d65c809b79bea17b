package output_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/store/output"
	"github.com/portcullis/portcullis/detect/store/output/outputtest"
	"github.com/portcullis/portcullis/fixtures/testbed"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
)

// syslogFar reads messages with octet counting over TCP, and closes a connection that was
// ended on the other side.
type syslogFar struct {
	t       *testing.T
	address string
	serving sync.WaitGroup

	mu    sync.Mutex
	l     net.Listener
	conns []net.Conn
	got   []string
	fault string
}

func (s *syslogFar) Address() string    { return s.address }
func (s *syslogFar) Got() []string      { s.mu.Lock(); defer s.mu.Unlock(); return slices.Clone(s.got) }
func (s *syslogFar) Break(fault string) { s.mu.Lock(); defer s.mu.Unlock(); s.fault = fault }
func (s *syslogFar) Poison(string) bool { return false }
func (s *syslogFar) Faults() []string {
	return []string{"closed at once", "cut in the middle", "not read", "not closed"}
}

func (s *syslogFar) Start(t *testing.T) {
	t.Helper()
	at := s.address
	if at == "" {
		at = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	s.t, s.address, s.l = t, l.Addr().String(), l
	s.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // stopped
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			fault := s.fault
			s.mu.Unlock()
			s.serving.Go(func() { s.serve(conn.(*net.TCPConn), fault) })
		}
	})
}

func (s *syslogFar) Stop() {
	_ = s.l.Close() // that it is closed is all that counts
	s.mu.Lock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.serving.Wait()
}

func (s *syslogFar) serve(conn *net.TCPConn, fault string) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	switch fault {
	case "closed at once":
		return
	case "cut in the middle":
		_ = conn.SetLinger(0)                // what was not read is told as a reset
		_, _ = io.CopyN(io.Discard, in, 100) // less came: it is cut all the same
		return
	case "not read":
		_, _ = conn.Write([]byte{}) // and nothing else, until the sender gives up
		_, _ = in.Peek(1)
		s.await(conn)
		return
	}
	for {
		m, err := frame(in)
		if err != nil {
			if err != io.EOF {
				return // cut off by the kill of a sender
			}
			break
		}
		id := s.read(m)
		s.mu.Lock()
		s.got = append(s.got, id)
		s.mu.Unlock()
	}
	if fault == "not closed" {
		s.await(conn)
	}
}

// await keeps a connection open until the other side gives it up, which a write notices.
func (s *syslogFar) await(conn *net.TCPConn) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := conn.Write([]byte("x")); err != nil {
			return
		}
	}
}

// frame reads a message of RFC 6587 with octet counting.
func frame(in *bufio.Reader) (string, error) {
	size, err := in.ReadString(' ')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, " "))
	if err != nil {
		return "", fmt.Errorf("a frame begins with %q", size)
	}
	m := make([]byte, n)
	_, err = io.ReadFull(in, m)
	return string(m), err
}

// read takes a message apart, as RFC 5424 has it.
func (s *syslogFar) read(m string) string {
	part := strings.SplitN(m, " ", 8)
	if len(part) != 8 || !slices.Equal(part[2:5], []string{"edge", "gate", "-"}) || part[6] != "-" {
		s.t.Errorf("the message is %.200q", m)
		return ""
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(part[7]), &doc); err != nil {
		s.t.Errorf("%v: %.200q", err, part[7])
	}
	pri := "<132>1" // facility 16, warning
	if part[5] == "finding" {
		pri = "<131>1"
	}
	if at, err := time.Parse(time.RFC3339, part[1]); part[0] != pri || doc["event.dataset"] != "portcullis."+part[5] || err != nil || at.Format("2006-01-02T15:04:05.000Z") != doc["@timestamp"] {
		s.t.Errorf("the message is %.200q", m)
	}
	id, _ := doc["portcullis.id"].(string)
	return id
}

// TestSyslog runs the contract suite over TCP.
func TestSyslog(t *testing.T) {
	outputtest.Run(t, outputtest.Subject{Kind: "syslog", Far: func() outputtest.Far { return &syslogFar{} }, Section: func(_ *testing.T, address string) any {
		return &output.SyslogConfig{Address: address, Transport: "tcp", Facility: 16, App: "gate"}
	}})
}

// TestSyslogNG: the real syslog-ng takes documents by all transports, hostile ones too,
// and each is one line with the fields that it had.
func TestSyslogNG(t *testing.T) {
	port, err := testbed.FreePorts(18400, 18800, 3)
	if err != nil {
		t.Fatal(err)
	}
	authority := servetest.NewAuthority(t)
	cert, key := authority.Issue("127.0.0.1")
	log := filepath.Join(t.TempDir(), "received")
	ng := testbed.SyslogNG(t, fmt.Sprintf(`source far {
  syslog(ip("127.0.0.1") port(%d) transport("tcp"));
  syslog(ip("127.0.0.1") port(%d) transport("udp") so-rcvbuf(4194304));
  syslog(ip("127.0.0.1") port(%d) transport("tls") tls(cert-file(%q) key-file(%q) peer-verify(optional-untrusted)));
};
destination here { file(%q template("$FACILITY.$LEVEL $HOST $PROGRAM $MSGID $MESSAGE\n")); };
log { source(far); destination(here); };
`, port, port+1, port+2, cert, key, log))
	docs := outputtest.Docs(t, 2*len(outputtest.Hostile))
	for i, transport := range []string{"tcp", "udp", "tls"} {
		section := &output.SyslogConfig{Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port+i)), Transport: transport, Facility: 13, App: "portcullis"}
		section.TLS.CA = authority.CA
		c := outputtest.Config("syslog", section)
		f := &outputtest.Feed{Docs: docs, Step: 5}
		r := outputtest.Launch(t, c, f.Output())
		outputtest.Await(t, transport+": all is sent", func() string { return r.Stats().Error + ng.Said() }, func() bool { return f.Noted() == len(docs) })
	}
	read := func() string {
		data, err := os.ReadFile(log)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(data)
	}
	outputtest.Await(t, "all is in the file", ng.Said, func() bool { return strings.Count(read(), "\n") >= 3*len(docs) })
	count := map[string]int{}
	for line := range strings.Lines(read()) {
		part := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 5)
		var doc map[string]any
		if len(part) != 5 || part[1] != "edge" || part[2] != "portcullis" || json.Unmarshal([]byte(part[4]), &doc) != nil || doc["event.dataset"] != "portcullis."+part[3] {
			t.Fatalf("a line is %.300q", line)
		}
		count[doc["portcullis.id"].(string)]++
	}
	for _, d := range docs {
		if count[d.ID] != 3 {
			t.Errorf("%s came %d times by three transports", d.ID, count[d.ID])
		}
	}
}

// TestSyslogDatagram: what does not fit into a datagram is refused, not cut.
func TestSyslogDatagram(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	docs := outputtest.Docs(t, 3)
	large := []byte(`{"message":"` + strings.Repeat("x", 70_000) + `"}`)
	docs[1] = elastic.Doc{Kind: elastic.Audit, ID: "large", Source: large}
	f := &outputtest.Feed{Docs: docs, Step: 3}
	r := outputtest.Launch(t, outputtest.Config("syslog", &output.SyslogConfig{Address: l.LocalAddr().String(), Transport: "udp"}), f.Output())
	outputtest.Await(t, "all is settled", func() string { return r.Stats().Error }, func() bool { return f.Noted() == 3 })
	if got := r.Rejected(); !slices.Equal(got, []string{"large"}) {
		t.Errorf("rejected are %q", got)
	}
}
