package detect

import (
	"fmt"
	"net/netip"

	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// ShardOf is the virtual shard that a client belongs to, 0 to Shards-1.
func ShardOf(addr netip.Addr, seed uint64) int { return int(keyOf(addr).hash(seed) >> 56) }

// LineReader finds whose lines a batch holds.
type LineReader interface {
	// Clients hands every line of a batch to each, in order. It is used by one
	// goroutine; the Line is reused.
	Clients(b *ingest.Batch, each func(*ingest.Line))
}

// SplitConfig is what a Splitter is made of. Seed and LateSeconds are those of the
// engines.
type SplitConfig struct {
	Partitions  int
	Seed        uint64
	LateSeconds int64
	Lines       LineReader
	Now         func() int64 // wall clock in Unix seconds, to disbelieve lines from the future; nil in a replay
}

// Splitter divides a stream of batches among engines that each serve some of the
// shards: shard s belongs to partition s modulo their number. It follows the stream
// as one engine would, and tells each of them what only the whole stream shows. It
// belongs to one goroutine.
type Splitter struct {
	cfg    SplitConfig
	mark   watermark
	sheets []ingest.Picker // by partition
	format string          // of the lines in them
	cut    map[string]*cut // by source
	spare  ingest.Spare    // memory of parts
	taken  ingest.Batch    // what was added last, without its lines
	freed  []ingest.Reject // what stood between the parts of lines that ended since Parts
	out    []Part
}

// Part is what one partition gets of a batch.
type Part struct {
	Partition int
	Batch     ingest.Batch // to be released
}

// cut holds the beginnings of a line that came in parts until its end tells whose
// it is, and what the source refused between them: partition 0 would take the beginnings
// for seen when it has heard of something behind them. The parser that recognises the
// beginnings bounds them; a refused line is longer than what is kept of it.
type cut struct {
	lines   []ingest.Batch
	format  string
	mark    ingest.Mark // from which they are read again
	rejects []ingest.Reject
}

// NewSplitter makes a Splitter.
func NewSplitter(cfg SplitConfig) (*Splitter, error) {
	if cfg.Partitions < 1 || cfg.Partitions > Shards {
		return nil, fmt.Errorf("detect: %d partitions: want 1 to %d, since a client belongs to one of %d shards", cfg.Partitions, Shards, Shards)
	}
	s := &Splitter{cfg: cfg, mark: watermark{bound: cfg.LateSeconds}, sheets: make([]ingest.Picker, cfg.Partitions), cut: map[string]*cut{}}
	for i := range s.sheets {
		s.sheets[i].Spare = &s.spare
	}
	return s, nil
}

// Split divides a batch; the caller still releases it. Parts for the same partition
// are in order. Lines that are no event, and what the source refused, go to
// partition 0. The mark is where to resume once all parts are safe, to be saved with
// State as it is after this call: lines that Split keeps back are read again from it.
func (s *Splitter) Split(b *ingest.Batch) ([]Part, ingest.Mark) {
	s.Add(b)
	return s.Parts()
}

// Add takes in a batch, which may be released then, and returns how many lines it has
// and where in the file it ends. Of several batches in a row Parts makes the same as of
// one that holds all their lines, but that the stream begins with the first. They must
// be of one file, and only the last may bring what the source refused.
func (s *Splitter) Add(b *ingest.Batch) (lines int, end int64) {
	s.mark.ceiling = 0
	if s.cfg.Now != nil {
		s.mark.ceiling = s.cfg.Now() + FutureSlack
	}
	if s.mark.newest == 0 {
		s.mark.begin(s.earliest(b))
	}
	end = b.Offset
	s.cfg.Lines.Clients(b, func(l *ingest.Line) {
		lines, end = lines+1, l.At+l.Size
		s.line(b, l)
	})
	for i := range b.Rejects {
		end = max(end, b.Rejects[i].Pos.Offset+1)
	}
	if b.Whole {
		s.finishCut(b.Source, 0)
	}
	s.taken = *b
	s.taken.Data, s.taken.Sizes, s.taken.Gaps, s.taken.Remarks, s.taken.Free = nil, nil, nil, nil, nil
	return lines, end
}

// Parts divides what was added since it was last called, as Split does.
func (s *Splitter) Parts() ([]Part, ingest.Mark) {
	b := &s.taken
	s.flush()
	mark := b.Mark
	if c := s.cut[b.Source]; c != nil {
		mark = c.mark
	}
	s.refused(b)
	for i := range s.out {
		to := &s.out[i].Batch
		to.Mark, to.Lag = mark, b.Lag
	}
	out := s.out
	s.out, s.taken.Rejects = nil, nil
	return out, mark
}

func (s *Splitter) earliest(b *ingest.Batch) int64 {
	least := int64(0)
	s.cfg.Lines.Clients(b, func(l *ingest.Line) {
		if sec := l.Time / 1e9; l.Reason == ingest.OK && (least == 0 || sec < least) {
			least = sec
		}
	})
	return least
}

func (s *Splitter) line(b *ingest.Batch, l *ingest.Line) {
	if l.Format != s.format {
		s.flush()
		if c := s.cut[b.Source]; c != nil { // its parser is gone: what it has is no line any more
			s.format = c.format
			s.finishCut(b.Source, 0)
			s.flush()
		}
		s.format = l.Format
	}
	if l.Reason == ingest.Continued {
		s.keep(b, l)
		return
	}
	to := 0
	if l.Reason == ingest.OK {
		to = ShardOf(l.Client, s.cfg.Seed) % s.cfg.Partitions
	}
	s.finishCut(b.Source, to)
	s.put(to, b, &l.Cursor)
	if l.Reason != ingest.OK {
		return
	}
	if l.Untimed {
		s.sheets[to].Remark(ingest.RemarkTime, l.Time)
	}
	if t := s.mark.pass(l.Time / 1e9); t != onTime {
		what := ingest.RemarkLate
		if t == future {
			what = ingest.RemarkFuture
		}
		s.sheets[to].Remark(what, max(0, s.mark.closed()))
	}
}

// keep holds the beginning of a line back.
func (s *Splitter) keep(b *ingest.Batch, l *ingest.Line) {
	c := s.cut[b.Source]
	if c == nil {
		c = &cut{format: l.Format, mark: b.Mark}
		c.mark.Offset = l.At
		s.cut[b.Source] = c
	}
	var p ingest.Picker
	p.Add(b, &l.Cursor)
	c.lines = append(c.lines, p.Take())
}

// finishCut sends what was held back of a source where the end of its line goes.
func (s *Splitter) finishCut(source string, to int) {
	c := s.cut[source]
	if c == nil {
		return
	}
	delete(s.cut, source)
	s.freed = append(s.freed, c.rejects...)
	for i := range c.lines {
		b := &c.lines[i]
		for at := b.Begin(); b.Next(&at); {
			s.put(to, b, &at)
		}
	}
}

func (s *Splitter) put(to int, b *ingest.Batch, at *ingest.Cursor) {
	if !s.sheets[to].Add(b, at) {
		s.emit(to)
		s.sheets[to].Add(b, at)
	}
}

// flush makes parts of all lines that are assigned.
func (s *Splitter) flush() {
	for to := range s.sheets {
		s.emit(to)
	}
}

func (s *Splitter) emit(to int) {
	if s.sheets[to].Empty() {
		return
	}
	b := s.sheets[to].Take()
	b.Format, b.Newest = s.format, s.mark.newest
	s.out = append(s.out, Part{to, b})
}

// refused gives what the source refused to partition 0, but for what stands behind
// the beginning of a line whose end is to come.
func (s *Splitter) refused(b *ingest.Batch) {
	list := s.freed
	s.freed = nil
	for _, r := range b.Rejects {
		if c := s.cut[b.Source]; c != nil && c.lines[0].File == r.Pos.File && r.Pos.Offset > c.mark.Offset {
			c.rejects = append(c.rejects, r)
		} else {
			list = append(list, r)
		}
	}
	for _, r := range list {
		to := s.refusedPart(&r)
		to.Rejects = append(to.Rejects, r)
	}
}

// refusedPart is the part that tells partition 0 of a refused line.
func (s *Splitter) refusedPart(r *ingest.Reject) *ingest.Batch {
	for i := range s.out {
		if to := &s.out[i]; to.Partition == 0 && to.Batch.Source == r.Pos.Source && to.Batch.File == r.Pos.File {
			return &to.Batch
		}
	}
	s.out = append(s.out, Part{0, ingest.Batch{Source: r.Pos.Source, File: r.Pos.File, Offset: r.Pos.Offset, Newest: s.mark.newest}})
	return &s.out[len(s.out)-1].Batch
}

// Kept is how much of a source is kept back: lines, and bytes as they were handed over.
func (s *Splitter) Kept(source string) (lines, bytes int64) {
	if c := s.cut[source]; c != nil {
		for i := range c.lines {
			lines, bytes = lines+1, bytes+int64(len(c.lines[i].Data))
		}
	}
	return lines, bytes
}

// Newest is the newest event time of the stream in Unix seconds, 0 at its
// beginning. A batch with nothing else tells it to a partition that gets no lines.
func (s *Splitter) Newest() int64 { return s.mark.newest }

// Advance says that the seconds up to sec are complete although no event says so:
// the caller knows that every source is read to its end and has been quiet.
func (s *Splitter) Advance(sec int64) {
	if sec > s.mark.closed() {
		s.mark.advance(sec)
	}
}

// State is how far the stream has come. Saved with the mark that Split returned, it
// makes a Splitter that goes on from there judge lines as this one would have.
func (s *Splitter) State() []byte {
	k := window.NewWriter(nil)
	s.code(k)
	return sealed(k.Bytes())
}

// Restore loads a State into a new Splitter.
func (s *Splitter) Restore(state []byte) error {
	b, err := unsealed(map[string][]byte{"splitter": state}, "splitter")
	if err != nil {
		return err
	}
	k := window.NewReader(b)
	s.code(k)
	k.Done()
	if k.Err() != nil {
		return fmt.Errorf("detect: restore splitter: %w", k.Err())
	}
	return nil
}

func (s *Splitter) code(k *window.Codec) {
	version := uint64(stateVersion)
	if k.U64(&version); version != stateVersion {
		k.Fail()
		return
	}
	s.mark.code(k)
	s.mark.codeClaim(k)
}
