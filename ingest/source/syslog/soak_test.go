package syslog_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/source/spool"
	"github.com/portcullis/portcullis/ingest/source/syslog"
)

// TestSoakUDP sends UDP over loopback at a rate, through a spool that is read,
// and says what arrived: a few messages by default, 50 000 a second for a minute with
// PORTCULLIS_SOAK=1, or what PORTCULLIS_SOAK=RATE,SECONDS asks for.
func TestSoakUDP(t *testing.T) {
	arg := os.Getenv("PORTCULLIS_SOAK")
	rate, seconds := 50_000, 60
	if arg == "" {
		rate, seconds = 5_000, 1
	}
	if a, b, ok := strings.Cut(arg, ","); ok {
		rate, _ = strconv.Atoi(a)
		seconds, _ = strconv.Atoi(b)
	}
	s, err := spool.Open(spool.Config{Dir: t.TempDir(), Name: "gw", Sync: time.Second, MaxBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := syslog.New(syslog.Config{Listen: []string{"udp://127.0.0.1:0"}, ReadBuffer: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	x := spool.NewSource(s, r)
	ctx, cancel := context.WithCancel(t.Context())
	read, done := int64(0), make(chan error, 1)
	go func() {
		done <- x.Run(ctx, nil, func(_ context.Context, b *ingest.Batch) error {
			for i := range b.Data {
				if b.Data[i] == '\n' {
					read++
				}
			}
			b.Release()
			s.Saved(b.Mark)
			return nil
		})
	}()
	<-r.Listening()
	began := time.Now()
	sent := blast(t, r.Addr()[0], rate, time.Duration(seconds)*time.Second)
	took := time.Since(began)
	conn, err := net.Dial("udp", r.Addr()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	await(t, "every message is accounted for", func() bool {
		send(t, conn, "\n") // brings the kernel's count
		h := x.Health()
		return h.Received+h.Dropped >= sent && h.Lag == 0
	})
	cancel()
	<-done
	h := x.Health()
	t.Logf("%d sent in %v (%.0f/s): %d received, %d dropped, %d read from the spool",
		sent, took.Round(time.Millisecond), float64(sent)/took.Seconds(), h.Received, h.Dropped, read)
	if h.Received+h.Dropped != sent || read != h.Received {
		t.Error("the counts do not add up")
	}
}

// blast sends messages of an access log's size, evenly over each millisecond.
func blast(t *testing.T, to net.Addr, rate int, long time.Duration) (sent int64) {
	t.Helper()
	conn, err := net.Dial("udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	line := `<190>Nov 23 13:03:36 web1 nginx: 203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /api/v1/orders/%d HTTP/1.1" 200 4711 "-" "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"`
	ms := make([]ipv4.Message, 64)
	for i := range ms {
		ms[i].Buffers = [][]byte{fmt.Appendf(nil, line, i)}
	}
	p := ipv4.NewPacketConn(conn.(*net.UDPConn))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for {
		past := min(time.Since(began), long)
		for due := int64(past.Seconds() * float64(rate)); sent < due; {
			n, err := p.WriteBatch(ms[:min(int64(len(ms)), due-sent)], 0)
			if err != nil {
				t.Fatal(err)
			}
			sent += int64(n)
		}
		if past == long {
			return sent
		}
		<-tick.C
	}
}
