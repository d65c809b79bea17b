// Package collect hands the lines of logs to detectors on other machines: what a
// Splitter makes of a batch goes to the partitions of a topic, and a source's mark
// moves once all of that is acknowledged.
//
// Loss policy: the mark moves only when every message with lines before it, and all
// messages before those, are acknowledged. What a crash takes with it is read and sent
// again; consumers drop lines that they have seen by their position (ingest.Batch.Skip).
// While the bus does not answer, Put blocks and the log file is the buffer: at most
// maxGroups groups of lines are held in memory, and the one that is being gathered.
package collect

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
)

// The headers that a collector adds to those of a batch.
const (
	// HeaderIdentity has a fingerprint of the settings by which clients are told; the
	// detectors' have to be the same.
	HeaderIdentity = "identity"
	// HeaderIdle is only in a message without lines: nothing older than this second is
	// to come, decimal.
	HeaderIdle = "idle"
)

// Out takes messages. Those of one partition arrive in the order in which they were
// sent; done is called once the message is durable, with nil, or with the reason why
// it never will be. Send blocks while too much waits.
type Out interface {
	Send(ctx context.Context, partition int, m bus.Message, done func(error)) error
}

// Config is what a Collector is made of.
type Config struct {
	Topic      string
	Partitions int
	Splitter   *detect.Splitter
	Identity   string                         // fingerprint of how clients are told
	Lost       func(source string, why error) // hears of a message that the bus refuses for good
	Out        Out
	Now        func() time.Time // for the pause between words to partitions without lines
}

// Saved is what may be made durable at once: everything before the marks is
// acknowledged, the rows count just that, and the state is the splitter's there.
type Saved struct {
	Marks []ingest.Mark
	Rows  []ingest.LedgerRow
	State []byte
}

// Collector takes batches of several sources. Its methods may be called by different
// goroutines.
type Collector struct {
	cfg Config

	send sync.Mutex   // held while a batch is taken in or sent: it keeps the order
	open *gathered    // not sent; nil: none
	last ingest.Batch // where what was sent last ended; without lines
	told []told       // by partition
	rows map[string]*ingest.LedgerRow

	refused map[string]kept // by source: what the source refused behind the mark

	mu    sync.Mutex // of what acknowledgements touch
	queue []*group   // sent, the oldest first
	acked map[string]ingest.Mark
	books map[string]ingest.LedgerRow
	state []byte // nil: nothing was acknowledged since Saved
	stats Stats
	room  chan struct{} // one token: a group left the queue
}

// gathered is what the splitter has of a file and was not sent.
type gathered struct {
	ingest.Batch       // the last one, without its lines
	start, end   int64 // in the file
	lines, bytes int64 // of all batches
}

// told is what a partition heard last of how far the stream is.
type told struct {
	newest int64
	at     time.Time
}

// kept is how much of what was read lies behind the mark: it is read again after a
// crash, and must not be in the books that are saved.
type kept struct{ lines, bytes int64 }

// group is what one batch led to.
type group struct {
	mark   ingest.Mark // Source "" where it is no lines
	row    ingest.LedgerRow
	state  []byte
	lines  int64
	bytes  int64
	newest int64
	left   int // messages that are not acknowledged
}

// Stats are figures for status and metrics.
type Stats struct {
	Lines   int64 // acknowledged since the start
	Bytes   int64
	Waiting int   // groups of lines that are not acknowledged
	Newest  int64 // newest event time that is acknowledged, Unix seconds
}

// Bounds of what is in memory.
const (
	maxGroups    = 8         // sent and not acknowledged
	leastGroup   = 1 << 20   // lines are sent when they have so many bytes,
	perPartition = 256 << 10 // or so many for each partition,
	mostGroup    = 4 << 20   // and at this size at the latest
	beatEvery    = time.Second
)

// New makes a Collector that goes on counting where the rows of an earlier run end.
func New(cfg Config, rows []ingest.LedgerRow) *Collector {
	c := &Collector{cfg: cfg, told: make([]told, cfg.Partitions), rows: map[string]*ingest.LedgerRow{}, refused: map[string]kept{},
		acked: map[string]ingest.Mark{}, books: map[string]ingest.LedgerRow{}, room: make(chan struct{}, 1)}
	for _, r := range rows {
		row := r
		c.rows[r.Source] = &row
	}
	return c
}

// Put takes in a batch and releases it. It blocks while the bus does not keep up.
func (c *Collector) Put(ctx context.Context, b *ingest.Batch) error {
	c.send.Lock()
	defer c.send.Unlock()
	defer b.Release()
	if c.open != nil && !goesOn(c.open, b) {
		if err := c.flush(ctx); err != nil {
			return err
		}
	}
	c.gather(b)
	if b.Lag == 0 || c.open.bytes >= int64(max(leastGroup, min(mostGroup, perPartition*c.cfg.Partitions))) {
		return c.flush(ctx)
	}
	return nil
}

// goesOn reports whether a batch stands right behind what was gathered.
func goesOn(open *gathered, b *ingest.Batch) bool {
	return open.Source == b.Source && open.File == b.File && open.bytes > 0 && open.Format == b.Format &&
		len(open.Rejects)+len(b.Rejects) == 0 && !open.Whole && !b.Whole && b.Gaps == nil && b.Remarks == nil && open.end == b.Offset
}

// gather gives a batch to the splitter.
func (c *Collector) gather(b *ingest.Batch) {
	next := &gathered{Batch: *b, start: b.Offset, lines: int64(len(b.Rejects)), bytes: int64(len(b.Data))}
	next.Data, next.Sizes, next.Gaps, next.Remarks, next.Free = nil, nil, nil, nil, nil
	lines, end := c.cfg.Splitter.Add(b)
	next.lines, next.end = next.lines+int64(lines), end
	if o := c.open; o != nil {
		next.start, next.lines, next.bytes = o.start, next.lines+o.lines, next.bytes+o.bytes
	}
	c.open = next
}

// Flush sends what was gathered, and tells partitions that got no lines how far the
// stream is. It is to be called every few moments: a source that says that it has more
// may take its time.
func (c *Collector) Flush(ctx context.Context) error {
	c.send.Lock()
	defer c.send.Unlock()
	if err := c.flush(ctx); err != nil {
		return err
	}
	parts := c.words(&c.last, nil)
	if len(parts) == 0 {
		return nil
	}
	if err := c.await(ctx); err != nil {
		return err
	}
	return c.dispatch(ctx, &group{state: c.cfg.Splitter.State(), newest: c.cfg.Splitter.Newest()}, parts, nil)
}

// flush splits what was gathered and sends it.
func (c *Collector) flush(ctx context.Context) error {
	b := c.open
	if b == nil {
		return nil
	}
	if err := c.await(ctx); err != nil {
		return err
	}
	row := c.row(b)
	row.Read += b.lines
	parts, mark := c.cfg.Splitter.Parts()
	c.last = ingest.Batch{Source: b.Source, File: b.File, Offset: b.end, Lag: b.Lag}
	g := &group{mark: mark, row: *row, state: c.cfg.Splitter.State(), lines: b.lines, bytes: b.bytes, newest: c.cfg.Splitter.Newest()}
	k := c.behind(b, mark)
	g.row.Read, g.row.Bytes = g.row.Read-k.lines, g.row.Bytes-k.bytes
	if err := c.dispatch(ctx, g, append(parts, c.words(&c.last, parts)...), nil); err != nil {
		return err
	}
	c.open = nil
	return nil
}

// behind is what lies behind the mark that a group led to, of this group and those
// before it: what the splitter keeps back, and what the source refused there.
func (c *Collector) behind(b *gathered, mark ingest.Mark) kept {
	var k kept
	if mark != b.Mark {
		if mark.File != b.File || mark.Offset < b.start {
			k = c.refused[b.Source]
		}
		for _, r := range b.Rejects {
			if mark.File != b.File || r.Pos.Offset >= mark.Offset {
				k.lines++
				k.bytes += r.Length
			}
		}
	}
	c.refused[b.Source] = k
	lines, bytes := c.cfg.Splitter.Kept(b.Source)
	return kept{k.lines + lines, k.bytes + bytes}
}

func (c *Collector) row(b *gathered) *ingest.LedgerRow {
	r := c.rows[b.Source]
	if r == nil {
		r = &ingest.LedgerRow{Source: b.Source}
		c.rows[b.Source] = r
	}
	r.Bytes += b.bytes
	for i := range b.Rejects {
		r.Bytes += b.Rejects[i].Length
	}
	r.LagBytes = b.Lag
	return r
}

// words tell the partitions that get no lines, about once a second, how far the
// stream is.
func (c *Collector) words(b *ingest.Batch, parts []detect.Part) []detect.Part {
	newest, now := c.cfg.Splitter.Newest(), c.cfg.Now()
	busy := make([]bool, c.cfg.Partitions)
	for i := range parts {
		busy[parts[i].Partition] = true
	}
	var out []detect.Part
	for p := range c.told {
		if t := &c.told[p]; busy[p] || newest > t.newest && now.Sub(t.at) >= beatEvery {
			if !busy[p] {
				out = append(out, detect.Part{Partition: p, Batch: ingest.Batch{Source: b.Source, File: b.File, Offset: b.End(), Lag: b.Lag, Newest: newest}})
			}
			*t = told{newest, now}
		}
	}
	return out
}

// Idle tells every partition that nothing older than sec is to come: all sources are
// read to their ends and have been quiet.
func (c *Collector) Idle(ctx context.Context, source string, sec int64) error {
	c.send.Lock()
	defer c.send.Unlock()
	if err := c.flush(ctx); err != nil {
		return err
	}
	c.cfg.Splitter.Advance(sec)
	if err := c.await(ctx); err != nil {
		return err
	}
	parts := make([]detect.Part, c.cfg.Partitions)
	for p := range parts {
		parts[p] = detect.Part{Partition: p, Batch: ingest.Batch{Source: source}}
	}
	return c.dispatch(ctx, &group{state: c.cfg.Splitter.State(), newest: c.cfg.Splitter.Newest()}, parts,
		&bus.Header{Key: HeaderIdle, Value: strconv.AppendInt(nil, sec, 10)})
}

// Rows returns what was read of every source, acknowledged or not.
func (c *Collector) Rows() []ingest.LedgerRow {
	c.send.Lock()
	defer c.send.Unlock()
	out := make([]ingest.LedgerRow, 0, len(c.rows))
	for _, r := range c.rows {
		out = append(out, *r)
	}
	return out
}
