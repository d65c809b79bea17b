package inspect

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// Go's fuzzer looks for new branches, and gets through some ten thousand inputs a
// second. This looks at many more inputs without looking for anything: mutations of
// all that the tests and the labelled sets hold, the same for the same seed.

// decodesPerLook is how many texts are only decoded for each that is looked at.
const decodesPerLook = 9

// soakChunk is how many inputs come of one seed.
const soakChunk = 10_000

// TestSoakDecodeAndInspect makes a hundred thousand executions; with PORTCULLIS_SOAK a
// hundred million, or PORTCULLIS_SOAK_EXECS, which take half an hour. Of ten, nine only
// decode, and one goes through the first pass and the look behind it, which costs ten
// times as much.
func TestSoakDecodeAndInspect(t *testing.T) {
	if testing.Short() {
		t.Skip("long: leave out -short")
	}
	if os.Getenv("PORTCULLIS_SOAK") == "" {
		soak(t, soakChunk)
		return
	}
	execs := 100_000_000
	if s := os.Getenv("PORTCULLIS_SOAK_EXECS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < decodesPerLook*soakChunk {
			t.Fatalf("PORTCULLIS_SOAK_EXECS=%s is not a number from %d", s, decodesPerLook*soakChunk)
		}
		execs = n
	}
	soak(t, execs/(decodesPerLook+1))
}

// soak divides the work among all cores, chunk by chunk.
func soak(t *testing.T, inputs int) {
	corpus := soakCorpus(t)
	var next, done, found, passed atomic.Int64
	var most atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			s := newSoaker(corpus)
			for !t.Failed() {
				chunk := next.Add(1) - 1
				if chunk*soakChunk >= int64(inputs) {
					break
				}
				if err := s.chunk(uint64(chunk)); err != nil {
					t.Errorf("seed %d: %v", chunk, err)
				}
				if n := done.Add(soakChunk); n%1_000_000 == 0 {
					t.Logf("%d texts looked at", n)
				}
			}
			found.Add(s.found)
			passed.Add(s.passed)
			for w := most.Load(); s.most > w && !most.CompareAndSwap(w, s.most); w = most.Load() {
			}
		})
	}
	wg.Wait()
	t.Logf("%d texts decoded, %d looked at, mutations of %d: %d cleared by the first pass, %d called attacks, at most %d units of work a byte",
		decodesPerLook*done.Load(), done.Load(), len(corpus), passed.Load(), found.Load(), most.Load())
	if n := done.Load(); !t.Failed() && (found.Load()*10 < n || passed.Load()*50 < n) {
		t.Errorf("of %d inputs %d are attacks and %d are cleared: the mutations no longer reach both sides", n, found.Load(), passed.Load())
	}
}

// soakCorpus is every text that the tests know, and the targets and bodies of the
// labelled sets.
func soakCorpus(t *testing.T) []string {
	out := append(honestLines(), honestAgents...)
	for _, a := range attackTexts() {
		out = append(out, a.text)
	}
	for _, p := range loadRules().patterns {
		out = append(append(out, p.match...), p.quiet...)
	}
	out = append(out, heavy...)
	for _, target := range attackTargets {
		out = append(out, target)
	}
	sort.Strings(out[len(out)-len(attackTargets):])
	files, err := filepath.Glob(filepath.Join(dataDir(), "*.jsonl.gz"))
	if err != nil || len(files) == 0 {
		t.Fatal("no labelled sets: ", err)
	}
	sets := labelledSets(t)
	names := make([]string, 0, len(sets))
	for name := range sets {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, r := range sets[name] {
			out = append(out, soakTexts(&r)...)
		}
	}
	return out
}

// soakTexts are the query of a row, once as sent and once decoded, and its body.
func soakTexts(r *labelled) []string {
	out := []string{r.URI}
	if text, err := url.QueryUnescape(r.URI); err == nil && text != r.URI {
		out = append(out, text)
	}
	if r.Body != "" {
		out = append(out, r.Body)
	}
	return out
}

// soaker is one worker.
type soaker struct {
	mutator
	canon       canon
	gated, full *Inspector
	found       int64 // called attacks
	passed      int64 // cleared by the first pass
	most        int64 // the most work for a byte
}

func newSoaker(corpus []string) *soaker {
	s := &soaker{gated: New(Config{}), full: New(Config{})}
	s.full.ungated = true
	s.corpus = corpus
	return s
}

// chunk runs the inputs of one seed, and reports the first that breaks a promise.
func (s *soaker) chunk(seed uint64) (err error) {
	s.rnd = rand.New(rand.NewPCG(seed, 7))
	var in *soakInput
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%+v: panic: %v\n%s", in, p, debug.Stack())
		}
	}()
	for range soakChunk {
		for range decodesPerLook {
			in = s.input() // the last of them is looked at too
			if err := s.decode(in.text); err != nil {
				return err
			}
		}
		if err := s.inspect(in); err != nil {
			return fmt.Errorf("%q as %s: %w", in.text, in.place, err)
		}
	}
	return nil
}

// decode demands what FuzzDecode does; one in four is decoded twice.
func (s *soaker) decode(text string) error {
	out := s.canon.decode(text, true, 4)
	if s.rnd.IntN(4) == 0 {
		if again := s.full.canon.decode(text, true, 4); string(again) != string(out) {
			return fmt.Errorf("%q gives %q, then %q", text, out, again)
		}
	}
	if len(out) > len(text) {
		return fmt.Errorf("%q grew to %q", text, out)
	}
	for _, b := range out {
		if b >= 'A' && b <= 'Z' {
			return fmt.Errorf("%q keeps capitals: %q", text, out)
		}
	}
	return nil
}

// inspect holds the first pass against the full look, and the verdict against its
// promises. What the first pass clears the full look must clear; of the rest one in
// eight is also looked at without any gate, which must give the same.
func (s *soaker) inspect(in *soakInput) error {
	parts := s.gated.Parts(&in.ev)
	v := s.gated.Look(&in.ev, parts)
	l := &s.gated.look
	if parts == 0 {
		s.passed++
		l = &s.full.look
		if v = s.full.full(&in.ev); v.Score > 0 {
			return fmt.Errorf("the first pass stops it, and it scores %d in %s: %s", v.Score, v.Field, v.Why)
		}
	} else if s.rnd.IntN(8) == 0 {
		if w := s.full.full(&in.ev); !s.full.look.cut && (w.Score != v.Score || w.Class != v.Class) {
			return fmt.Errorf("the gates give %+v, without them it is %+v", v, w)
		}
	}
	if err := sane(&v, s.full.Threshold()); err != nil {
		return err
	}
	bytes := len(in.ev.Target) + len(in.ev.Agent) + len(in.ev.Referer) + len(in.ev.Body)
	if w := int64(l.work) / int64(bytes+1); w > s.most {
		s.most = w
		if w > workPerByte {
			return fmt.Errorf("%d units of work for %d bytes", l.work, bytes)
		}
	}
	if v.Score >= s.full.Threshold() {
		s.found++
	}
	if in.contentType != "" {
		return s.inspectBody(in)
	}
	return nil
}

// inspectBody reads the text as a body of a known type.
func (s *soaker) inspectBody(in *soakInput) error {
	headers := [][2]string{{"Content-Type", in.contentType}, {"Cookie", in.text}}
	v := s.full.InspectRequest("POST", "/", headers, in.text)
	return sane(&v, s.full.Threshold())
}

// workPerByte bounds the work of a byte. Each is decoded in up to five fields (name,
// value, both, all values of a name, base64), and there in up to sixteen readings as SQL.
const workPerByte = 96

// sane says what is wrong with a verdict.
func sane(v *Verdict, threshold int) error {
	switch {
	case v.Score < 0 || v.Score > 100,
		(v.Score > 0) != (v.Class != ""),
		(v.Score > 0) != (v.Field != ""),
		(v.Score > 0) != (v.Why != ""),
		v.Score > 0 && (len(v.Classes) == 0 || v.Classes[0] != v.Class),
		v.Score == 0 && v.NearCertain,
		len(v.Matched) > MatchedBytes, len(v.Field) > 128, v.Delay < 0,
		v.Score >= threshold && v.Matched == "":
		return fmt.Errorf("%+v is no verdict", *v)
	}
	for _, text := range [...]string{v.Matched, v.Field} {
		for i := range len(text) {
			if text[i] < 0x20 || text[i] > 0x7E {
				return fmt.Errorf("%q is not printable", text)
			}
		}
	}
	return nil
}

// soakInput is one input: a text, where it stands, and the request around it.
type soakInput struct {
	text, place string
	contentType string // of a body
	ev          ingest.Event
}
