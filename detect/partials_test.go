package detect_test

import (
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/ingest"
)

// forwarding makes an engine without level two.
func forwarding(t testing.TB, log detecttest.Log) *detect.Engine {
	t.Helper()
	cfg := detecttest.Config(t, detecttest.Setup{Late: 30}, log)
	cfg.Forward = true
	e, err := detect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func wide(t testing.TB, parts int) *detect.Wide {
	t.Helper()
	w, err := detect.NewWide(detecttest.Config(t, detecttest.Setup{Late: 30}, nil), parts)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// some are partials of every kind.
func some(t testing.TB) *detect.Partials {
	t.Helper()
	log := logOf(each(5, start, named), each(100, start+5, func(sec int64) ingest.Event { return plain(sec, "2001:db8::1") }))
	e := forwarding(t, log)
	defer e.Close()
	feed(e, 0, len(log))
	p := e.Partials()
	kinds := map[detect.PartialKind]bool{}
	for _, x := range p.List {
		kinds[x.Kind] = true
	}
	if !kinds[detect.ExcerptPartial] || !kinds[detect.LoadPartial] {
		t.Fatalf("partials %+v", p)
	}
	return p
}

// named is a refused login that names its account.
func named(sec int64) ingest.Event {
	ev := guess(sec)
	ev.User = "ann"
	return ev
}

// TestPartialsAreOfTheBatchAlone: a batch that is fed again to the same state gives
// the same bytes, whether the figures before it were saved or not; and nothing new
// is nothing to send.
func TestPartialsAreOfTheBatchAlone(t *testing.T) {
	log := logOf(each(300, start, func(sec int64) ingest.Event { return named(start + (sec-start)/9) }))
	e := forwarding(t, log)
	defer e.Close()
	if e.Partials() != nil {
		t.Error("something to send at the beginning")
	}
	saved := map[string][]byte{}
	for at := 0; at < len(log); at += 30 {
		s := e.Snapshot()
		maps.Copy(saved, s.Blobs)
		s.Blobs = saved
		e.Feed(detecttest.Batch(at, at+30))
		p := e.Partials()
		again := forwarding(t, log)
		if err := again.Restore(s); err != nil {
			t.Fatal(err)
		}
		again.Feed(detecttest.Batch(at, at+30))
		if q := again.Partials(); string(p.Append(nil)) != string(q.Append(nil)) {
			t.Fatalf("batch at %d: first\n%.900q\nthen\n%.900q", at, p.Append(nil), q.Append(nil))
		}
		again.Close()
		if p := e.Partials(); p != nil {
			t.Errorf("twice to be sent: %+v", p)
		}
	}
}

// TestLinesOfAFloodAreNotAllSent: of the refusals of an account, a network or a route in
// one second no more lines than can become evidence.
func TestLinesOfAFloodAreNotAllSent(t *testing.T) {
	log := logOf(each(1000, start, func(int64) ingest.Event { return named(start) }))
	for i := range log {
		log[i].Line = "the line of a request"
	}
	cfg := detecttest.Config(t, detecttest.Setup{Late: 30, Rules: []string{"auth-account"}}, log)
	cfg.Forward = true
	e, err := detect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	feed(e, 0, 100)
	n, lines := 0, 0
	for _, x := range e.Partials().List {
		if x.Kind == detect.ExcerptPartial {
			n, lines = n+1, lines+strings.Count(x.Payload, "the line of")
		}
	}
	if n < 100 || n%100 != 0 || lines != n/50 {
		t.Errorf("%d excerpts, %d of them with a line, want 100 for each kind of subject, and 2 lines in them", n, lines)
	}
}

// TestSplitIsBySubject: each subject goes to one part, routes and all traffic to the first, and
// what is closed to all.
func TestSplitIsBySubject(t *testing.T) {
	p := some(t)
	parts := p.Split(3)
	n, of := 0, map[uint64]int{}
	for i, part := range parts {
		if part.Closed != p.Closed {
			t.Errorf("part %d closed %d, want %d", i, part.Closed, p.Closed)
		}
		n += len(part.List)
		for _, x := range part.List {
			if was, known := of[x.Hash]; known && was != i || x.Hash == 0 && i != 0 {
				t.Errorf("hash %x in parts %d and %d", x.Hash, was, i)
			}
			of[x.Hash] = i
		}
	}
	if n != len(p.List) || len(of) < 2 {
		t.Errorf("%d partials of %d, %d subjects", n, len(p.List), len(of))
	}
}

// TestWideRefuses what it does not know, without taking in half of it.
func TestWideRefuses(t *testing.T) {
	w := wide(t, 2)
	before := w.Snapshot().Blobs
	good := *some(t)
	bad := func(change func(*detect.Partial)) *detect.Partials {
		p := good
		p.List = append([]detect.Partial{}, good.List...)
		change(&p.List[len(p.List)-1])
		return &p
	}
	for _, c := range []struct {
		from int
		p    *detect.Partials
		want string
	}{
		{2, &good, "engine 2, level two is over 2"},
		{-1, &good, "engine -1"},
		{0, bad(func(x *detect.Partial) { x.Kind = 99 }), "kind 99"},
		{0, bad(func(x *detect.Partial) { x.Payload = x.Payload[:len(x.Payload)-1] }), "damaged"},
		{0, bad(func(x *detect.Partial) { x.Payload += "x" }), "damaged"},
	} {
		if err := w.Feed(c.from, c.p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
	if !reflect.DeepEqual(w.Snapshot().Blobs, before) {
		t.Error("something was taken in all the same")
	}
	if err := w.Feed(0, &good); err != nil {
		t.Error(err)
	}
	if _, err := detect.NewWide(detect.Config{}, 0); err == nil {
		t.Error("a level two over nothing")
	}
	if _, err := detect.New(detect.Config{Forward: true, Workers: 2}); err == nil || !strings.Contains(err.Error(), "partition") {
		t.Errorf("two workers that forward: %v", err)
	}
	other := append([]byte{99}, good.Append(nil)[1:]...)
	if _, err := detect.ParsePartials(other); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("of another version: %v", err)
	}
}

// TestWideWaitsForAll: a second is closed when every engine has closed it, also one
// that was added since.
func TestWideWaitsForAll(t *testing.T) {
	w := wide(t, 2)
	closed := func(from int, sec, want int64) {
		t.Helper()
		if err := w.Feed(from, &detect.Partials{Closed: sec}); err != nil {
			t.Fatal(err)
		}
		if w.Closed() != want {
			t.Errorf("closed %d, want %d", w.Closed(), want)
		}
	}
	closed(0, start, 0)
	closed(1, start-5, start-5)
	closed(1, start-9, start-5) // an old message
	closed(1, start+9, start)
	s := w.Snapshot()
	w = wide(t, 3)
	if err := w.Restore(s); err != nil {
		t.Fatal(err)
	}
	closed(0, start+20, start)
	closed(2, start+5, start+5)
	s = w.Snapshot()
	if w.Stats().Closed != start+5 {
		t.Errorf("stats %+v", w.Stats())
	}
	w = wide(t, 1)
	if err := w.Restore(s); err != nil {
		t.Fatal(err)
	}
	closed(0, start+21, start+21)
	blob := s.Blobs["level2"]
	for n := range blob {
		if wide(t, 1).Restore(detect.Snapshot{Blobs: map[string][]byte{"level2": blob[:n]}}) == nil {
			t.Errorf("%d of %d bytes of a state are taken", n, len(blob))
		}
	}
}

func FuzzPartials(f *testing.F) {
	f.Add(some(f).Append(nil))
	f.Add((&detect.Partials{Closed: -1}).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := detect.ParsePartials(data)
		if err != nil {
			return
		}
		q, err := detect.ParsePartials(p.Append(nil))
		if err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("%+v, written and read again %+v, %v", p, q, err)
		}
		w := wide(t, 1)
		if w.Feed(0, p) != nil {
			return
		}
		s := w.Snapshot()
		if err := wide(t, 1).Restore(s); err != nil {
			t.Fatalf("what was fed cannot be saved and loaded: %v", err)
		}
	})
}
