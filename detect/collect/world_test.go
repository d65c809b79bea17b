package collect_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/collect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
)

const start = 1_700_000_000

// words reads lines of a client and a second, "7 1700000000"; "+ ..." is the beginning
// of the line behind it, and all else is no event.
type words struct{}

func (words) Clients(b *ingest.Batch, each func(*ingest.Line)) {
	for c := b.Begin(); b.Next(&c); {
		l := ingest.Line{Cursor: c, Format: "words", Reason: ingest.BadShape}
		f := strings.Fields(string(b.Data[c.Start:c.End]))
		if len(f) > 0 && f[0] == "+" {
			l.Reason = ingest.Continued
		} else if len(f) > 1 {
			n, err := strconv.Atoi(f[0])
			sec, err2 := strconv.ParseInt(f[1], 10, 64)
			if err == nil && err2 == nil {
				l.Reason, l.Client, l.Time = ingest.OK, client(n), sec*1e9
			}
		}
		each(&l)
	}
}

func client(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}) }

const seed = 7

func partitionOf(n, of int) int { return detect.ShardOf(client(n), seed) % of }

// broker is a topic that acknowledges when it is told to.
type broker struct {
	parts   [][]bus.Message
	waiting []pending
	refuse  func(m *bus.Message) error // nil: takes all
}

// pending is a message that is in the topic and not acknowledged.
type pending struct {
	partition, at int
	done          func(error)
	err           error
}

func newBroker(partitions int) *broker { return &broker{parts: make([][]bus.Message, partitions)} }

// Send implements collect.Out.
func (k *broker) Send(ctx context.Context, partition int, m bus.Message, done func(error)) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if m.Partition != partition {
		return errors.New("the message says another partition")
	}
	p := pending{partition: partition, at: len(k.parts[partition]), done: done}
	if k.refuse != nil {
		p.err = k.refuse(&m)
	}
	if p.err == nil {
		k.parts[partition] = append(k.parts[partition], m)
	}
	k.waiting = append(k.waiting, p)
	return nil
}

// ack answers for the i-th message that waits.
func (k *broker) ack(i int) {
	p := k.waiting[i]
	k.waiting = slices.Delete(k.waiting, i, i+1)
	p.done(p.err)
}

func (k *broker) ackAll() {
	for len(k.waiting) > 0 {
		k.ack(0)
	}
}

// crash forgets some of the latest messages of each partition that nobody was told of.
func (k *broker) crash(r *rand.Rand) {
	for p := range k.parts {
		least := len(k.parts[p])
		for least > 0 && slices.ContainsFunc(k.waiting, func(w pending) bool { return w.partition == p && w.at == least-1 }) {
			least--
		}
		k.parts[p] = k.parts[p][:least+r.IntN(len(k.parts[p])-least+1)]
	}
	k.waiting = nil
}

// rig is a collector on a broker.
type rig struct {
	t        testing.TB
	broker   *broker
	splitter *detect.Splitter
	c        *collect.Collector
	now      time.Time
	lost     []string
}

func newRig(t testing.TB, k *broker, state []byte, rows []ingest.LedgerRow) *rig {
	t.Helper()
	s, err := detect.NewSplitter(detect.SplitConfig{Partitions: len(k.parts), Seed: seed, LateSeconds: 30, Lines: words{}})
	if err != nil {
		t.Fatal(err)
	}
	if state != nil {
		if err := s.Restore(state); err != nil {
			t.Fatal(err)
		}
	}
	r := &rig{t: t, broker: k, splitter: s, now: time.Unix(start, 0)}
	r.c = collect.New(collect.Config{Topic: "access", Partitions: len(k.parts), Splitter: s, Identity: "print", Out: k,
		Now:  func() time.Time { return r.now },
		Lost: func(source string, why error) { r.lost = append(r.lost, fmt.Sprint(source, ": ", why)) }}, rows)
	return r
}

func (r *rig) put(b ingest.Batch) {
	r.t.Helper()
	if err := r.c.Put(r.t.Context(), &b); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) flush() {
	r.t.Helper()
	if err := r.c.Flush(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// saved returns what may be saved, and fails where nothing moved.
func (r *rig) saved() collect.Saved {
	r.t.Helper()
	s, moved := r.c.Saved()
	if !moved {
		r.t.Fatal("nothing to save")
	}
	return s
}

// read returns a message as a consumer has it.
func read(t testing.TB, m *bus.Message) ingest.Batch {
	t.Helper()
	b, err := bus.ToBatch(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// batch makes a batch of source s, file 1, at an offset. There is more behind it.
func batch(source string, at int64, data string) ingest.Batch {
	end := at + int64(len(data))
	return ingest.Batch{Source: source, File: 1, Offset: at, Data: []byte(data), Lag: 1, Mark: ingest.Mark{Source: source, File: 1, Offset: end}}
}

// whole is a batch with nothing behind it: it is sent at once.
func whole(source string, at int64, data string) ingest.Batch {
	b := batch(source, at, data)
	b.Lag = 0
	return b
}
