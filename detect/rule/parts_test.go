package rule_test

import (
	"bytes"
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
)

// whole is what one engine makes of the batches.
func whole(t testing.TB, log detecttest.Log, batches []ingest.Batch) *result {
	r := newResult()
	setup := detecttest.Setup{Late: bound, Configure: small, Saw: func(s detect.Sighting) { r.seen[s] = true }}
	e, err := detect.New(detecttest.Config(t, setup, detecttest.Numbered{Log: log}))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.Watch(watched)
	for _, b := range batches {
		e.Feed(&b)
	}
	s := e.Finish()
	r.take(s)
	r.book(s.Ledger)
	return r
}

// cluster runs collector, level one and level two in parts, with logs between them
// as a bus keeps them, and any of them may be killed at any time.
type cluster struct {
	t       testing.TB
	rt      *rapid.T
	log     detecttest.Log
	batches []ingest.Batch
	got     *result

	split  *detect.Splitter
	sent   int // batches
	saved  int
	state  []byte
	access [][]bus.Message
	ones   []*one
	twos   []*two
	up     [][]partial // by part of level two
}

// partial is a message to a part of level two.
type partial struct {
	from   int
	offset int // of the message it is of, in that partition
	value  []byte
}

// saved is what a part has on disk.
type saved struct {
	s     detect.Snapshot
	next  int
	marks map[string]int64
}

func (s *saved) save(cut detect.Snapshot, next int, marks map[string]int64) {
	blobs := maps.Clone(s.s.Blobs)
	if blobs == nil {
		blobs = map[string][]byte{}
	}
	maps.Copy(blobs, cut.Blobs)
	*s = saved{detect.Snapshot{Blobs: blobs, Ledger: cut.Ledger, Marks: cut.Marks}, next, maps.Clone(marks)}
}

// one is a part of level one; marks are how far each source was taken in.
type one struct {
	e     *detect.Engine
	next  int
	marks map[string]int64
	saved saved
}

// two is a part of level two; marks are the offsets taken in of each partition.
type two struct {
	w     *detect.Wide
	next  int
	marks map[string]int64
	saved saved
}

func (c *cluster) setup() detecttest.Setup {
	return detecttest.Setup{Late: bound, Configure: small, Live: rapid.Bool().Draw(c.rt, "live"), Saw: func(s detect.Sighting) { c.got.seen[s] = true }}
}

func (c *cluster) must(err error) {
	if err != nil {
		c.rt.Fatalf("%v", err)
	}
}

func (c *cluster) startCollector() {
	s, err := detect.NewSplitter(detect.SplitConfig{Partitions: len(c.access), Seed: 7, LateSeconds: bound, Lines: detecttest.Numbered{Log: c.log}})
	c.must(err)
	if c.state != nil {
		c.must(s.Restore(c.state))
	}
	c.split, c.sent = s, c.saved
}

func (c *cluster) startOne(p int) {
	cfg := detecttest.Config(c.t, c.setup(), detecttest.Numbered{Log: c.log})
	cfg.Forward = true
	e, err := detect.New(cfg)
	c.must(err)
	o := c.ones[p]
	c.must(e.Restore(o.saved.s))
	e.Watch(watched)
	o.e, o.next, o.marks = e, o.saved.next, maps.Clone(o.saved.marks)
	if o.marks == nil {
		o.marks = map[string]int64{}
	}
}

func (c *cluster) startTwo(m int) {
	w, err := detect.NewWide(detecttest.Config(c.t, c.setup(), nil), len(c.ones))
	c.must(err)
	t := c.twos[m]
	c.must(w.Restore(t.saved.s))
	t.w, t.next, t.marks = w, t.saved.next, maps.Clone(t.saved.marks)
	if t.marks == nil {
		t.marks = map[string]int64{}
	}
}

func (c *cluster) publish(p int, b ingest.Batch) {
	m, err := bus.FromBatch("access", &b)
	c.must(err)
	m.Partition, m.Offset = p, int64(len(c.access[p]))
	c.access[p] = append(c.access[p], m)
}

// collect sends a batch, or tells the partitions how far the stream has come.
func (c *cluster) collect() {
	if rapid.IntRange(0, 5).Draw(c.rt, "beat") == 0 {
		c.publish(rapid.IntRange(0, len(c.access)-1).Draw(c.rt, "to"), ingest.Batch{Newest: c.split.Newest()})
		return
	}
	b := c.batches[c.sent]
	if c.state != nil && rapid.IntRange(0, 9).Draw(c.rt, "cut") == 0 { // killed in the middle of it
		half := b
		half.Data = b.Data[:b.Lines()/2*detecttest.NumberedBytes]
		c.send(&half)
		c.startCollector()
		return
	}
	if mark := c.send(&b); mark != b.Mark {
		c.rt.Fatalf("mark %+v of a batch with %+v", mark, b.Mark)
	}
	c.sent++
	if rapid.Bool().Draw(c.rt, "marked") {
		c.saved, c.state = c.sent, c.split.State()
	}
}

func (c *cluster) send(b *ingest.Batch) ingest.Mark {
	parts, mark := c.split.Split(b)
	for _, p := range parts {
		c.publish(p.Partition, p.Batch)
	}
	return mark
}

// level1 takes in a message of a partition.
func (c *cluster) level1(p int) {
	o := c.ones[p]
	b, err := bus.ToBatch(&c.access[p][o.next])
	c.must(err)
	b.SkipTo(o.marks[b.Source])
	o.marks[b.Source] = max(o.marks[b.Source], b.End())
	o.e.Feed(&b)
	c.forward(p, o.next)
	o.next++
	if rapid.IntRange(0, 3).Draw(c.rt, "save") == 0 {
		s := o.e.Snapshot()
		c.got.take(s) // published, also where it is killed before it has saved
		if rapid.IntRange(0, 3).Draw(c.rt, "saved") > 0 {
			o.saved.save(s, o.next, o.marks)
		} else {
			c.startOne(p)
		}
	}
}

func (c *cluster) forward(p, offset int) {
	parts := c.ones[p].e.Partials()
	if parts == nil {
		return
	}
	for m, x := range parts.Split(len(c.up)) {
		c.up[m] = append(c.up[m], partial{p, offset, x.Append(nil)})
	}
}

// level2 takes in a message of partials.
func (c *cluster) level2(m int) {
	t := c.twos[m]
	x := c.up[m][t.next]
	t.next++
	if key := fmt.Sprint(x.from); int64(x.offset) >= t.marks[key] {
		value := bytes.Clone(x.value) // it may come again
		p, err := detect.ParsePartials(value)
		c.must(err)
		c.must(t.w.Feed(x.from, p))
		scribble(value)
		t.marks[key] = int64(x.offset) + 1
	}
	if rapid.IntRange(0, 3).Draw(c.rt, "save") == 0 {
		s := t.w.Snapshot()
		c.got.take(s)
		if rapid.IntRange(0, 3).Draw(c.rt, "saved") > 0 {
			t.saved.save(s, t.next, t.marks)
		} else {
			c.startTwo(m)
		}
	}
}

// scribble writes over memory that is given back: whoever kept a part of it shows.
func scribble(b []byte) {
	for i := range b {
		b[i] = '#'
	}
}

// step does something that can be done, and reports whether there was anything.
func (c *cluster) step() bool {
	var can []func()
	if c.sent < len(c.batches) {
		can = append(can, c.collect)
	}
	for p, o := range c.ones {
		if o.next < len(c.access[p]) {
			can = append(can, func() { c.level1(p) })
		}
	}
	for m, t := range c.twos {
		if t.next < len(c.up[m]) {
			can = append(can, func() { c.level2(m) })
		}
	}
	if len(can) == 0 {
		return false
	}
	can[rapid.IntRange(0, len(can)-1).Draw(c.rt, "who")]()
	return true
}

// kill ends a part without a word and starts it again.
func (c *cluster) kill() {
	switch n := rapid.IntRange(0, len(c.ones)+len(c.twos)).Draw(c.rt, "killed"); {
	case n < len(c.ones):
		c.startOne(n)
	case n < len(c.ones)+len(c.twos):
		c.startTwo(n - len(c.ones))
	default:
		c.startCollector()
	}
}

func (c *cluster) start(partitions, parts int) {
	c.access, c.up = make([][]bus.Message, partitions), make([][]partial, parts)
	c.startCollector()
	for p := range partitions {
		c.ones = append(c.ones, &one{})
		c.startOne(p)
	}
	for m := range parts {
		c.twos = append(c.twos, &two{})
		c.startTwo(m)
	}
}

// end closes all seconds, and the books.
func (c *cluster) end() {
	for p, o := range c.ones {
		c.publish(p, ingest.Batch{Newest: c.split.Newest()})
		for o.next < len(c.access[p]) {
			c.level1(p)
		}
		s := o.e.Finish()
		c.forward(p, o.next)
		c.got.take(s)
		c.got.book(s.Ledger)
	}
	for m, t := range c.twos {
		for t.next < len(c.up[m]) {
			c.level2(m)
		}
		c.got.take(t.w.Snapshot())
	}
}

// TestAnEngineBehindASplitter: with level two inside and any number of workers, it
// finds from the splitter's messages what it finds from the source's batches.
func TestAnEngineBehindASplitter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		log := detecttest.Disturb(rt, detecttest.Shuffle(rt, detecttest.Stream(rt), bound))
		batches := detecttest.Batches(rt, log)
		want := whole(t, log, batches)
		c := &cluster{t: t, rt: rt, log: log, batches: batches, got: newResult(), access: make([][]bus.Message, 1)}
		c.startCollector()
		setup := c.setup()
		setup.Saw, setup.Workers = nil, rapid.SampledFrom([]int{1, 3}).Draw(rt, "workers")
		e, err := detect.New(detecttest.Config(t, setup, detecttest.Numbered{Log: log}))
		c.must(err)
		defer e.Close()
		e.Watch(watched)
		for c.sent < len(batches) {
			c.collect()
		}
		ends := map[string]int64{}
		for i := range c.access[0] {
			b, err := bus.ToBatch(&c.access[0][i])
			c.must(err)
			b.SkipTo(ends[b.Source])
			ends[b.Source] = max(ends[b.Source], b.End())
			e.Feed(&b)
		}
		s := e.Finish()
		c.got.take(s)
		c.got.book(s.Ledger)
		c.got.seen = want.seen
		if d := c.got.differs(want); d != "" {
			rt.Fatalf("%d workers:\n%s", setup.Workers, d)
		}
	})
}

// TestPartsFindWhatOneEngineFinds: whatever lines come late, early or after a gap,
// however the stream is divided, whoever is killed when, and however far the
// partitions are apart.
func TestPartsFindWhatOneEngineFinds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		log := detecttest.Shuffle(rt, detecttest.Stream(rt), bound)
		if rapid.Bool().Draw(rt, "disturbed") {
			log = detecttest.Disturb(rt, log)
		}
		batches := detecttest.Batches(rt, log)
		want := whole(t, log, batches)
		c := &cluster{t: t, rt: rt, log: log, batches: batches, got: newResult()}
		c.start(rapid.SampledFrom([]int{1, 3, 8}).Draw(rt, "partitions"), rapid.IntRange(1, 2).Draw(rt, "parts"))
		for kills := rapid.IntRange(0, 6).Draw(rt, "kills"); c.step() || kills > 0; {
			if kills > 0 && rapid.IntRange(0, 9).Draw(rt, "kill") == 0 {
				kills--
				c.kill()
			}
		}
		c.end()
		if d := c.got.differs(want); d != "" {
			rt.Fatalf("%d partitions, %d parts of level two:\n%s", len(c.ones), len(c.twos), d)
		}
	})
}
