package kafka

import (
	"context"
	"errors"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/kafkanet"
)

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
	ask    kafkanet.Fetch
}

func (p *partition) place() kafkanet.Place { return kafkanet.Place{Partition: p.id} }

// run reads until ctx ends. What fails is tried again, for ever, at growing
// intervals.
func (p *partition) run(ctx context.Context) {
	pause := kafkanet.NewPause()
	for {
		err := p.session(ctx, pause.Reset)
		if ctx.Err() != nil {
			return
		}
		if p.astray = errors.Is(err, kafkago.OffsetOutOfRange); !p.astray {
			p.trouble.Say(ctx, p.place(), p.explain(err))
		}
		if !kafkanet.Sleep(ctx, pause.Next()) {
			return
		}
	}
}

// session reads over one connection until an error.
func (p *partition) session(ctx context.Context, well func()) error {
	conn, err := p.link.Leader(ctx, p.cfg.Topic, p.id)
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
		p.trouble.Well(p.place())
		well()
		if !moved && p.lag > 0 && !kafkanet.Sleep(ctx, p.cfg.MaxWait) { // compacted away, or an answer too small
			return ctx.Err()
		}
	}
}

// begin finds where to start, and hands the place out so that it is saved: what
// is written from now on is not passed over by a restart.
func (p *partition) begin(ctx context.Context, conn *kafkago.Conn) error {
	first, last, err := kafkanet.Offsets(conn)
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

// outOfRange goes on where the partition still has records, and counts what is
// gone.
func (p *partition) outOfRange(conn *kafkago.Conn) error {
	first, last, err := kafkanet.Offsets(conn)
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
	from := p.next
	place, end, err := p.ask.Once(conn, p.next, func(m *kafkago.Message, end int64) error {
		if m.Offset >= maxOffset {
			return errTooFar
		}
		p.behind(end - m.Offset - 1)
		if b := p.batch(m); b != nil {
			p.stats.records.Add(1)
			p.stats.bytes.Add(int64(len(m.Value)))
			if err := p.give(ctx, item{partition: p.id, next: m.Offset + 1, batch: b}); err != nil {
				return err
			}
		}
		p.next = m.Offset + 1
		return nil
	})
	p.next = place
	if err == nil {
		p.behind(end - place)
	}
	return p.next > from, err
}

// errTooFar is a partition whose offsets do not fit positions.
var errTooFar = errors.New("the partition's offsets exceed 2^43: positions cannot hold them; let the topic be made anew")

// batch makes a batch of a record: its lines, or why it has none. nil: it is the
// end of a transaction, which is no record of its writer.
func (p *partition) batch(m *kafkago.Message) *ingest.Batch {
	b := &ingest.Batch{Source: p.cfg.Name, File: p.file, Offset: positionOf(m.Offset), Whole: true}
	switch {
	case kafkanet.ControlRecord(m):
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
