package detect_test

import (
	"fmt"
	"maps"
	"runtime"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/ingest"
)

// move is a stream that changes its partitions at half of it.
type move struct {
	t        *testing.T
	numbered detecttest.Numbered
	cfg      detect.Config
	halves   []ingest.Batch
	level2   *detect.Wide
	got      map[string]detect.Finding
}

func newMove(t *testing.T) *move {
	var log detecttest.Log
	var lines []byte
	for i := range 3000 {
		ev := guess(start + int64(i/40))
		ev.Client, ev.User = plain(0, fmt.Sprintf("192.0.2.%d", i%40)).Client, []string{"ann", "bob", ""}[i%3]
		ev.Line = fmt.Sprintf("line %d", i)
		log = append(log, ev)
		lines = fmt.Appendf(lines, "%06x\n", i)
	}
	const half = 1000 * detecttest.NumberedBytes
	m := &move{t: t, numbered: detecttest.Numbered{Log: log}, level2: wide(t, 3), got: map[string]detect.Finding{}}
	m.halves = []ingest.Batch{{Source: "s", File: 1, Data: lines[:half]}, {Source: "s", File: 1, Data: lines[half:], Offset: half}}
	m.cfg = detecttest.Config(t, detecttest.Setup{Late: 30}, m.numbered)
	return m
}

func (m *move) engine(forward bool) *detect.Engine {
	cfg := m.cfg
	cfg.Forward = forward
	e, err := detect.New(cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	return e
}

// feed divides a batch among engines, and returns the splitter's state.
func (m *move) feed(engines []*detect.Engine, b ingest.Batch, state []byte) []byte {
	s, err := detect.NewSplitter(detect.SplitConfig{Partitions: len(engines), Seed: 7, LateSeconds: 30, Lines: m.numbered})
	if err != nil {
		m.t.Fatal(err)
	}
	if state != nil && s.Restore(state) != nil {
		m.t.Fatal("the splitter's state is not taken")
	}
	parts, _ := s.Split(&b)
	for _, p := range parts {
		engines[p.Partition].Feed(&p.Batch)
	}
	for i, e := range engines {
		e.Feed(&ingest.Batch{Newest: s.Newest()})
		m.forward(i, e)
	}
	return s.State()
}

func (m *move) forward(from int, e *detect.Engine) {
	if p := e.Partials(); p != nil {
		if err := m.level2.Feed(from, p); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *move) take(s detect.Snapshot) detect.Snapshot {
	detecttest.ByID(m.got, s.Findings)
	return s
}

// to takes what engines saved over to others, and level two with them.
func (m *move) to(after int, saved []detect.Snapshot) []*detect.Engine {
	s := m.take(m.level2.Snapshot())
	m.level2 = wide(m.t, after)
	if err := m.level2.Restore(s); err != nil {
		m.t.Fatal(err)
	}
	var engines []*detect.Engine
	for p := range after {
		e := m.engine(true)
		for old := range saved {
			if err := e.RestoreShards(saved[old], func(shard int) bool { return shard%after == p }, old%after == p); err != nil {
				m.t.Fatal(err)
			}
		}
		engines = append(engines, e)
	}
	return engines
}

// TestShardsMove: three engines stop at one point of the stream, two or five others
// take their shards over, and find what one engine finds; the books are whole.
func TestShardsMove(t *testing.T) {
	for _, after := range []int{2, 5} {
		m := newMove(t)
		one := m.engine(false)
		for _, b := range m.halves {
			one.Feed(&b)
		}
		want := detecttest.ByID(nil, one.Finish().Findings)
		before := []*detect.Engine{m.engine(true), m.engine(true), m.engine(true)}
		state := m.feed(before, m.halves[0], nil)
		var saved []detect.Snapshot
		for _, e := range before {
			saved = append(saved, m.take(e.Snapshot()))
		}
		engines := m.to(after, saved)
		moved := len(engines[0].Snapshot().Blobs)
		m.feed(engines, m.halves[1], state)
		read := int64(0)
		for i, e := range engines {
			for _, row := range m.take(e.Finish()).Ledger {
				read += row.Read
			}
			m.forward(i, e)
		}
		m.take(m.level2.Snapshot())
		if d := detecttest.Diff(want, m.got); d != "" || len(want) < 10 || read != 3000 {
			t.Errorf("to %d engines: %d findings, %d lines read of 3000:\n%s", after, len(want), read, d)
		}
		if moved < 3 {
			t.Errorf("to %d engines: %d blobs of the first: the shards that moved are in no snapshot of it", after, moved)
		}
	}
}

// TestShardsOfOthersAreNotJoined: states with other seeds know clients by other
// hashes.
func TestShardsOfOthersAreNotJoined(t *testing.T) {
	cfg := detecttest.Config(t, detecttest.Setup{Late: 30}, detecttest.Log{})
	var saved []detect.Snapshot
	for _, seed := range []uint64{1, 2} {
		cfg.Seed = seed
		e, err := detect.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		saved = append(saved, e.Snapshot())
	}
	all := func(int) bool { return true }
	e := detecttest.Engine(t, detecttest.Setup{Late: 30}, nil)
	if err := e.RestoreShards(saved[0], all, true); err != nil {
		t.Error(err)
	}
	if err := e.RestoreShards(saved[1], all, false); err == nil {
		t.Error("states of two installations were joined")
	}
	damaged := maps.Clone(saved[0].Blobs)
	damaged["shard/001"] = []byte("x")
	if err := e.RestoreShards(detect.Snapshot{Blobs: damaged}, func(n int) bool { return n != 1 }, false); err != nil {
		t.Errorf("a shard that is not asked for: %v", err)
	}
	if err := e.RestoreShards(detect.Snapshot{Blobs: damaged}, all, false); err == nil {
		t.Error("a damaged shard is taken")
	}
}

// TestManyEnginesCostLittle: sixty-four in one process, each with a client in four
// shards, as with so many partitions.
func TestManyEnginesCostLittle(t *testing.T) {
	measure := func(shards int) int64 {
		var log detecttest.Log
		for i := range shards {
			log = append(log, plain(start, fmt.Sprintf("192.0.2.%d", i)))
		}
		const n = 64
		heap := func() int64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		var list [n]*detect.Engine
		before := heap()
		for i := range list {
			list[i] = forwarding(t, log)
			list[i].Feed(detecttest.Batch(0, shards))
		}
		each := (heap() - before) / n
		runtime.KeepAlive(&list)
		return each
	}
	idle, four := measure(0), measure(4)
	t.Logf("an engine without clients takes %d bytes, with one in each of four shards %d", idle, four)
	if idle > 64<<10 || four > 448<<10 {
		t.Errorf("an engine without clients takes %d bytes, with four %d", idle, four)
	}
}
