package kafka

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/portcullis/portcullis/ingest"
)

// maxFetch bounds how much is asked for at once where an answer of the usual size
// held nothing new.
const maxFetch = 64 << 20

// patience is how long a broker may take beyond max_wait before the connection
// counts as dead.
const patience = 10 * time.Second

// partition reads one partition. Its goroutine alone uses what is not Source's.
type partition struct {
	*Source
	id    int
	file  uint64
	link  *link
	items chan<- item

	next   int64 // offset to read next; kafkago.FirstOffset, LastOffset: not known yet
	astray bool  // the broker has no such offset
	lag    int64 // of ours within stats.lag
	size   int64 // bytes to ask for; 0: as configured
}

// run reads until ctx ends. What fails is tried again, for ever, at growing
// intervals.
func (p *partition) run(ctx context.Context) {
	pause := newPause()
	for {
		err := p.session(ctx, pause.reset)
		if ctx.Err() != nil {
			return
		}
		if p.astray = errors.Is(err, kafkago.OffsetOutOfRange); !p.astray {
			p.trouble.say(ctx, p.id, p.explain(err))
		}
		if !sleep(ctx, pause.next()) {
			return
		}
	}
}

// session reads over one connection until an error.
func (p *partition) session(ctx context.Context, well func()) error {
	conn, err := p.link.leader(ctx, p.id)
	if err != nil {
		return err
	}
	defer conn.Close()
	if p.next < 0 {
		err = p.begin(ctx, conn)
	} else if p.astray { // over a new connection: the library leaves the rest of such an answer unread
		err = p.outOfRange(conn)
	}
	if err != nil {
		return err
	}
	for {
		moved, err := p.fetch(ctx, conn)
		if err != nil {
			return err
		}
		p.trouble.well(p.id)
		well()
		if !moved && p.lag > 0 && !sleep(ctx, p.cfg.MaxWait) { // compacted away, or an answer too small
			return ctx.Err()
		}
	}
}

// begin finds where to start, and hands the place out so that it is saved: what
// is written from now on is not passed over by a restart.
func (p *partition) begin(ctx context.Context, conn *kafkago.Conn) error {
	first, last, err := offsets(conn)
	if err != nil {
		return err
	}
	next := first
	if p.next == kafkago.LastOffset {
		next = last
	}
	p.behind(last - next)
	if err := p.give(ctx, item{partition: p.id, next: next}); err != nil {
		return err
	}
	p.next = next
	return nil
}

func offsets(conn *kafkago.Conn) (first, last int64, err error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, 0, err
	}
	return conn.ReadOffsets()
}

// outOfRange goes on where the partition still has records, and counts what is
// gone.
func (p *partition) outOfRange(conn *kafkago.Conn) error {
	first, last, err := offsets(conn)
	if err != nil {
		return err
	}
	if p.next >= first && p.next <= last {
		return nil // written or deleted meanwhile: ask again
	}
	gone, what, hint := int64(0), "the partition ends before the saved position: it is read from its beginning",
		"was the topic made anew, or a broker that was behind made the leader (unclean.leader.election.enable)?"
	if p.next < first {
		gone, what, hint = first-p.next, "the broker deleted records before they were read",
			"raise retention.ms and retention.bytes of the topic, or find out why reading fell so far behind"
	}
	p.stats.losses.Add(1)
	p.stats.lost.Add(gone)
	p.cfg.Log.Error("kafka: "+what, "source", p.cfg.Name, "topic", p.cfg.Topic, "partition", p.id,
		"offset", p.next, "first", first, "end", last, "lost_records", gone, "hint", hint)
	p.next = first
	return nil
}

// fetch takes in one answer and says whether it brought us further.
func (p *partition) fetch(ctx context.Context, conn *kafkago.Conn) (moved bool, err error) {
	if err := conn.SetDeadline(time.Now().Add(p.cfg.MaxWait + patience)); err != nil {
		return false, err
	}
	if _, err := conn.Seek(p.next, kafkago.SeekAbsolute|kafkago.SeekDontCheck); err != nil {
		return false, err
	}
	size := max(p.size, p.cfg.MaxBytes)
	answer := conn.ReadBatchWith(kafkago.ReadBatchConfig{MinBytes: int(p.cfg.MinBytes), MaxBytes: int(size), MaxWait: p.cfg.MaxWait})
	from, high := p.next, answer.HighWaterMark()
	if err = answer.Err(); err == nil {
		p.behind(high - p.next)
		err = p.take(ctx, conn, answer, high)
		if end := answer.Offset(); errors.Is(err, io.EOF) && end > p.next {
			p.next = end // the rest of it was compacted away
		}
	}
	answer.Close() // its error is the one we have
	if errors.Is(err, io.EOF) || errors.Is(err, kafkago.RequestTimedOut) {
		err = nil
	}
	moved = p.next > from
	switch {
	case moved:
		p.size = 0
	case err == nil && p.lag > 0:
		p.size = min(2*size, maxFetch)
	}
	return moved, err
}

// take hands out the records of an answer; its error is never nil.
func (p *partition) take(ctx context.Context, conn *kafkago.Conn, answer *kafkago.Batch, high int64) error {
	for {
		m, err := answer.ReadMessage()
		if err != nil {
			return err
		}
		if m.Offset < p.next {
			continue
		}
		if m.Offset >= maxOffset {
			return errTooFar
		}
		p.behind(high - m.Offset - 1)
		if b := p.batch(&m); b != nil {
			p.stats.records.Add(1)
			p.stats.bytes.Add(int64(len(m.Value)))
			if err := p.give(ctx, item{partition: p.id, next: m.Offset + 1, batch: b}); err != nil {
				return err
			}
		}
		p.next = m.Offset + 1
		// The receiver may have kept us waiting: the rest of the answer gets its time.
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
	}
}

// errTooFar is a partition whose offsets do not fit positions.
var errTooFar = errors.New("the partition's offsets exceed 2^43: positions cannot hold them; let the topic be made anew")

// batch makes a batch of a record: its lines, or why it has none. nil: it is the
// end of a transaction, which is no record of its writer.
func (p *partition) batch(m *kafkago.Message) *ingest.Batch {
	b := &ingest.Batch{Source: p.cfg.Name, File: p.file, Offset: positionOf(m.Offset), Whole: true}
	switch {
	case controlRecord(m):
		return nil
	case len(m.Value) > maxRecord:
		b.Rejects = p.reject(m, ingest.TooLong)
	default:
		if len(m.Value) > 0 {
			b.Data = appendLines(make([]byte, 0, len(m.Value)+1), m.Value)
		}
		if len(b.Data) == 0 { // a tombstone, or a batch of nothing
			b.Rejects = p.reject(m, ingest.EmptyLine)
		}
	}
	return b
}

func (p *partition) reject(m *kafkago.Message, why ingest.Reason) []ingest.Reject {
	return []ingest.Reject{{
		Pos:    ingest.Position{Source: p.cfg.Name, File: p.file, Offset: positionOf(m.Offset)},
		Reason: why, Length: int64(len(m.Value)),
		Sample: string(m.Value[:min(len(m.Value), ingest.SampleBytes)]),
	}}
}

// controlRecord says whether a record is the marker that ends a transaction, which
// kafka-go hands out like any other. Its key is a version (0) and a type (0 abort,
// 1 commit), each of two bytes; its value begins with a version as well and has at
// least six bytes: https://kafka.apache.org/documentation/#controlbatch. No line
// of a log looks like that.
func controlRecord(m *kafkago.Message) bool {
	k, v := m.Key, m.Value
	return len(k) == 4 && k[0] == 0 && k[1] == 0 && k[2] == 0 && k[3] <= 1 && len(v) >= 6 && v[0] == 0 && v[1] <= 1
}

func (p *partition) give(ctx context.Context, it item) error {
	select {
	case p.items <- it:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// behind notes how many records are left to read.
func (p *partition) behind(records int64) {
	records = max(records, 0)
	p.stats.lag.Add(records - p.lag)
	p.lag = records
}

// pause is the wait between attempts: it doubles, and is spread so that many
// readers do not come at once.
type pause struct{ now time.Duration }

const firstPause, lastPause = 100 * time.Millisecond, 5 * time.Second

func newPause() *pause { return &pause{firstPause} }

func (p *pause) reset() { p.now = firstPause }

func (p *pause) next() time.Duration {
	d := p.now
	p.now = min(2*p.now, lastPause)
	return d/2 + rand.N(d/2)
}

// sleep waits and says whether ctx is still on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
