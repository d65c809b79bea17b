package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis/portcullis/fixtures/testbed"
)

// TestE2ELiveKilled kills the service again and again in the middle of a syslog
// stream over TCP, from a sender that sends again what was not stored: RFC 6587 has
// no acknowledgement, so it closes its half and waits for ours. No line is lost, and
// each that was taken, once or twice, stands in the ledger once.
func TestE2ELiveKilled(t *testing.T) {
	t.Parallel()
	const batches, size, kills = 200, 100, 8
	port, err := testbed.FreePorts(17500, 20000, 1)
	if err != nil {
		t.Fatal(err)
	}
	where := fmt.Sprintf("127.0.0.1:%d", port)
	r := newRig(t, nobody+`sources: [{name: gw, type: syslog, syslog: {listen: ["tcp://`+where+`"]}, format: nginx-combined}]`+"\n")
	r.up()
	kept := t.TempDir()
	var stored, again atomic.Int64
	done := make(chan error, 1)
	go func() {
		done <- resend(where, batches, size, &stored, &again)
	}()
	for k := range int64(kills) {
		await(t, "the sender gets on", r.words, func() bool { return stored.Load() >= (k+1)*batches/(kills+1) })
		<-time.After(time.Duration(rand.IntN(4000)) * time.Microsecond)
		r.signal(syscall.SIGKILL)
		<-r.ended
		keepSegments(t, r, kept)
		r.start()
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var lines int
	await(t, "all is in the ledger", func() string { return fmt.Sprintf("%d lines, %+v\n%s", lines, r.ledger("gw"), r.said) }, func() bool {
		keepSegments(t, r, kept)
		lines = countSegments(t, kept, batches*size)
		return r.ledger("gw").Read >= int64(lines)
	})
	row := r.awaitRead("gw", int64(lines))
	if row.Processed != int64(lines) || row.Rejected != 0 {
		t.Errorf("%d lines were stored, the ledger has %+v", lines, row)
	}
	if again.Load() == 0 {
		t.Error("no batch was in the middle of a kill: the test proves nothing")
	}
	t.Logf("%d messages, %d kills, %d batches sent again: 0 lost, %d stored twice, each counted", batches*size, kills, again.Load(), lines-batches*size)
	r.down()
}

// resend sends batches, each until its connection has an orderly end.
func resend(where string, batches, size int, stored, again *atomic.Int64) error {
	limit := time.Now().Add(2 * patience)
	for n := 0; n < batches; {
		err := sendBatch(where, n*size, size)
		switch {
		case err == nil:
			n++
			stored.Store(int64(n))
			continue
		case time.Now().After(limit):
			return fmt.Errorf("batch %d: %w", n, err)
		case !errors.Is(err, syscall.ECONNREFUSED): // refused: it is being started again
			again.Add(1)
		}
		<-time.After(time.Millisecond)
	}
	return nil
}

// sendBatch sends numbered messages with their octets counted (RFC 6587, section
// 3.4.1), ends its half and waits for the other end.
func sendBatch(where string, from, n int) error {
	conn, err := net.DialTimeout("tcp", where, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	var b bytes.Buffer
	at := time.Now()
	for i := from; i < from+n; i++ {
		msg := "<190>1 " + at.UTC().Format(time.RFC3339Nano) + " gw nginx - - - " + line("203.0.113.9", at, fmt.Sprintf("GET /number/%d", i), 200, "x")
		fmt.Fprintf(&b, "%d %s", len(msg), msg)
	}
	if _, err := conn.Write(b.Bytes()); err != nil {
		return err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("no orderly end: %w", err)
	}
	return nil
}

// keepSegments gives the spool's segments a second name, under which they stay
// when the service deletes them.
func keepSegments(t *testing.T, r *rig, dir string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.state, "spool", "gw", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		if err := os.Link(p, filepath.Join(dir, filepath.Base(p))); err != nil && !os.IsExist(err) && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

var numbered = regexp.MustCompile(`^<190>1 .* "GET /number/([0-9]+) HTTP/1\.1" 200 512 "-" "x"$`)

// countSegments counts the lines of kept segments, and demands that each of n
// numbered messages is among them.
func countSegments(t *testing.T, dir string, n int) int {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	lines, seen, missing := 0, make([]bool, n), n
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for l := range bytes.Lines(text) {
			m := numbered.FindSubmatch(bytes.TrimSuffix(l, []byte("\n")))
			if m == nil {
				t.Fatalf("a line was torn: %q", l)
			}
			i, err := strconv.Atoi(string(m[1]))
			if err != nil || i >= n {
				t.Fatalf("nobody sent %q", l)
			}
			if lines++; !seen[i] {
				seen[i] = true
				missing--
			}
		}
	}
	if missing > 0 {
		t.Fatalf("%d of %d messages are lost", missing, n)
	}
	return lines
}
