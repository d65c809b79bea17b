package detect_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/decode"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/identity"
)

// accessLog writes lines of two clients, every seventh of them damaged.
func accessLog(lines int) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for i := range lines {
		if i%7 == 6 {
			b.WriteString([]string{"\n", "junk\n", "a b - [never] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"\n", "\x00\x00\n"}[i/7%4])
			continue
		}
		at := time.Unix(start+int64(i/50)-rnd.Int64N(45), 0).UTC().Format("02/Jan/2006:15:04:05 -0700")
		fmt.Fprintf(&b, "192.0.2.%d - - [%s] \"POST /login HTTP/1.1\" %d 10 \"-\" \"app/%d%s\n", i%40, at, 200+i%3*100+i%3/2, i%5, []string{"\"", ""}[(i+1)%70/69]) // one of 70 is cut
	}
	return b.Bytes()
}

// readAll feeds a log in batches of n bytes, rounded to lines, through the real
// decoder, and returns everything that the engine knows at the end.
func readAll(t *testing.T, workers, n int, data []byte) detect.Snapshot {
	t.Helper()
	f, err := format.Open("nginx-combined")
	if err != nil {
		t.Fatal(err)
	}
	plan := decode.NewPlan(map[string]format.Format{"a": f, "b": f}, identity.Config{Key: [identity.KeyBytes]byte{1}}, decode.Options{})
	cfg := detect.Config{LateSeconds: 30, Workers: workers, Seed: 7, NewDecoder: func() (detect.Decoder, error) { return plan.New() }}
	for _, name := range []string{"auth-burst", "scanner"} {
		spec, _ := detect.SpecOf(name)
		cfg.Rules = append(cfg.Rules, detect.RuleConfig{Name: name, Spec: spec, Config: detecttest.Default(t, name)})
	}
	e, err := detect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var lent, freed atomic.Int64
	for off := 0; off < len(data); {
		end := min(off+n, len(data))
		end = off + bytes.LastIndexByte(data[off:end], '\n') + 1
		lent.Add(1)
		b := &ingest.Batch{Source: []string{"a", "b"}[off/n%2], Offset: int64(off), Data: data[off:end], Lag: int64(len(data) - end), Free: func() { freed.Add(1) },
			Rejects: []ingest.Reject{{Reason: ingest.TooLong, Length: 70_000}}}
		b.Mark = ingest.Mark{Source: b.Source, Offset: int64(end)}
		e.Feed(b)
		off = end
	}
	s := e.Finish()
	if lent.Load() != freed.Load() {
		t.Errorf("%d workers: %d batches lent, %d released", workers, lent.Load(), freed.Load())
	}
	slices.SortFunc(s.Ledger, func(a, b ingest.LedgerRow) int { return bytes.Compare([]byte(a.Source), []byte(b.Source)) })
	slices.SortFunc(s.Marks, func(a, b ingest.Mark) int { return bytes.Compare([]byte(a.Source), []byte(b.Source)) })
	return s
}

// TestBooksBalance: every line read is processed or rejected for a reason, and the
// books and findings are the same with one worker and with three.
func TestBooksBalance(t *testing.T) {
	const lines = 7000
	data := accessLog(lines)
	alone, three := readAll(t, 1, 8000, data), readAll(t, 3, 8000, data)
	var read int64
	for _, r := range alone.Ledger {
		read += r.Read - r.Reasons["too_long"]
		var reasons int64
		for _, n := range r.Reasons {
			reasons += n
		}
		if r.Read != r.Processed+r.Rejected || reasons != r.Rejected || r.Rejected == 0 || r.Late == 0 || r.Truncated == 0 {
			t.Errorf("the books of %s do not balance, or hold no rejects, late or cut lines: %+v", r.Source, r)
		}
	}
	if read != lines {
		t.Errorf("%d lines in the books, the log has %d", read, lines)
	}
	if !reflect.DeepEqual(alone.Ledger, three.Ledger) {
		t.Errorf("ledger of one worker\n%+v\nof three\n%+v", alone.Ledger, three.Ledger)
	}
	if !reflect.DeepEqual(alone.Marks, three.Marks) || !reflect.DeepEqual(alone.Rejects, three.Rejects) {
		t.Error("marks or rejects differ between one worker and three")
	}
	if len(alone.Rejects) != detect.RejectSample {
		t.Errorf("%d rejects sampled, want %d", len(alone.Rejects), detect.RejectSample)
	}
	if d := detecttest.Diff(detecttest.ByID(nil, alone.Findings), detecttest.ByID(nil, three.Findings)); d != "" || len(alone.Findings) == 0 {
		t.Errorf("%d findings of one worker; three differ:\n%s", len(alone.Findings), d)
	}
}

// TestNoGoroutineIsLeft after Close, with work in flight and with none.
func TestNoGoroutineIsLeft(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	log := logOf(each(500, start, guess))
	for _, workers := range []int{1, 2, 5} {
		idle := detecttest.Engine(t, detecttest.Setup{Late: 30, Workers: workers}, log)
		idle.Close()
		busy := detecttest.Engine(t, detecttest.Setup{Late: 30, Workers: workers}, log)
		for i := range log {
			busy.Feed(detecttest.Batch(i, i+1))
		}
		busy.Close()
		busy.Close() // twice is harmless
	}
}

// TestStatsAndWatchFromOtherGoroutines: they may be asked while lines are fed; the
// race detector looks on.
func TestStatsAndWatchFromOtherGoroutines(t *testing.T) {
	log := logOf(each(3000, start, guess))
	var seen atomic.Int64
	e := detecttest.Engine(t, detecttest.Setup{Late: 30, Workers: 3, Saw: func(detect.Sighting) { seen.Add(1) }}, log)
	defer e.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			e.Watch([]detect.Watch{{Subject: detect.Subject{Kind: "ip", Value: attacker}, Deny: uint16(400 + i%4)}})
			_, _ = e.Stats(), e.Books()
		}
	}()
	feed(e, 0, 1500)
	<-done
	feed(e, 1500, 3000)
	e.Publish()
	if s, rows := e.Stats(), e.Books(); s.Clients != 1 || len(rows) != 1 || rows[0].Read != 3000 {
		t.Errorf("stats %+v, books %+v", s, rows)
	}
	if seen.Load() < 1500 {
		t.Errorf("%d sightings, want at least the 1500 after the list was set", seen.Load())
	}
}
