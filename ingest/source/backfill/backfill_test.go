package backfill_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/source/backfill"
)

// day is when the logs of these tests begin.
var day = time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC)

// lines are a log from one hour to another, one line every ten minutes.
func lines(host string, from, to int) []string {
	var out []string
	for m := from * 60; m < to*60; m += 10 {
		at := day.Add(time.Duration(m) * time.Minute)
		out = append(out, fmt.Sprintf("%d %s %s a request", at.Unix(), at.Format(time.RFC3339), host))
	}
	return out
}

// timeOf reads what lines wrote.
func timeOf(line []byte) (int64, bool) {
	sec, _, _ := bytes.Cut(line, []byte(" "))
	n, err := strconv.ParseInt(string(sec), 10, 64)
	return n * 1e9, err == nil
}

func text(list []string) string { return strings.Join(list, "\n") + "\n" }

func pack(t testing.TB, kind, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch kind {
	case "gz":
		w = gzip.NewWriter(&b)
	case "zst":
		w, err = zstd.NewWriter(&b)
	case "xz":
		w, err = xz.NewWriter(&b)
	default:
		return []byte(s)
	}
	if err == nil {
		_, err = io.WriteString(w, s)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// put writes a file whose last write was at an hour of the day.
func put(t testing.TB, path string, hour int, data []byte) {
	t.Helper()
	at := day.Add(time.Duration(hour) * time.Hour)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600), os.Chtimes(path, at, at)); err != nil {
		t.Fatal(err)
	}
}

// sink gathers what is handed out.
type sink struct {
	lines   []string
	seen    map[ingest.Position]bool
	rejects []ingest.Reject
	marks   []ingest.Mark
	after   []int // lines so far, by mark
	twice   int
	stop    int // error after so many batches; 0: none
}

var errStop = errors.New("stopped")

func (s *sink) out(_ context.Context, b *ingest.Batch) error {
	off := b.Offset
	for line := range bytes.Lines(b.Data) {
		p := ingest.Position{Source: b.Source, File: b.File, Offset: off}
		if s.seen[p] {
			s.twice++
		}
		s.seen[p] = true
		s.lines = append(s.lines, string(bytes.TrimSuffix(line, []byte("\n"))))
		off += int64(len(line))
	}
	s.rejects = append(s.rejects, b.Rejects...)
	s.marks, s.after = append(s.marks, b.Mark), append(s.after, len(s.lines))
	b.Release()
	if len(s.marks) == s.stop {
		return errStop
	}
	return nil
}

func newSink() *sink { return &sink{seen: map[ingest.Position]bool{}} }

// run reads a back-fill to its end.
func run(t testing.TB, cfg backfill.Config, s *sink, from ...ingest.Mark) (*backfill.Source, error) {
	t.Helper()
	cfg.TimeOf = timeOf
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return day.Add(10 * 24 * time.Hour) }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	src, err := backfill.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return src, src.Run(t.Context(), from, s.out)
}

// same compares lines.
func same(t *testing.T, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	t.Errorf("%d lines, want %d; they differ at %d: %q, %q", len(got), len(want), i, got[i:min(i+1, len(got))], want[i:min(i+1, len(want))])
}

func TestOrderAndKinds(t *testing.T) {
	dir := t.TempDir()
	for i, kind := range []string{"xz", "zst", "gz", ""} { // names and times of writing say nothing
		put(t, filepath.Join(dir, "sub", fmt.Sprintf("%d.gz", 9-i)), 100-i, pack(t, kind, text(lines("a", i*6, i*6+6))))
	}
	put(t, filepath.Join(dir, ".hidden"), 1, []byte("not read\n"))
	put(t, filepath.Join(dir, "empty"), 1, nil)
	put(t, filepath.Join(dir, "access.log.1"), 48, []byte(text(lines("b", 24, 30))))
	put(t, filepath.Join(dir, "access.log.1.gz"), 48, pack(t, "gz", text(lines("b", 24, 30)))[:40]) // in progress
	s := newSink()
	src, err := run(t, backfill.Config{Paths: []string{dir, filepath.Join(dir, "sub", "*")}}, s)
	if err != nil {
		t.Fatal(err)
	}
	same(t, s.lines, append(lines("a", 0, 24), lines("b", 24, 30)...))
	if st := src.Stats(); st.Files != 5 || st.FilesDone != 5 || st.Damaged != 0 || st.Bytes != st.Total || st.Total == 0 || src.Health().Lag != 0 {
		t.Errorf("stats %+v", st)
	}
	for _, m := range s.marks {
		if m.Source != "backfill" || m.Path == "" {
			t.Fatalf("mark %+v", m)
		}
	}
}

func TestSpan(t *testing.T) {
	dir := t.TempDir()
	all := []string{}
	for i := range 8 { // two days of rotated files; those outside are damaged, so that reading them would show
		part := lines("a", i*6, i*6+6)
		data := pack(t, "gz", text(part))
		if i < 2 || i >= 6 {
			data = data[:len(data)-20]
		}
		all = append(all, part...)
		put(t, filepath.Join(dir, fmt.Sprintf("access.log.%d.gz", 8-i)), 1000, data)
	}
	s := newSink()
	src, err := run(t, backfill.Config{Paths: []string{dir}, Since: "2026-01-10T15:00:00Z", Until: "2026-01-11T10:00:00Z"}, s)
	if err != nil {
		t.Fatal(err)
	}
	same(t, s.lines, all[15*6:34*6])
	if st := src.Stats(); st.FilesSkipped != 4 || st.Files != 4 || st.Damaged != 0 || st.LinesSkipped != 3*6+2*6 {
		t.Errorf("stats %+v", st)
	}
}

// TestSpanByWriting leaves out what was last written long before the span, and a
// plain file whose last line says so.
func TestSpanByWriting(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "web-1.log.gz"), 24, pack(t, "gz", text(lines("a", 0, 24))))
	put(t, filepath.Join(dir, "web-2.log.gz"), 999, pack(t, "gz", text(lines("b", 0, 24)))) // copied without its time
	put(t, filepath.Join(dir, "web-3.log"), 999, []byte(text(slices.Repeat(lines("c", 0, 24), 20))))
	put(t, filepath.Join(dir, "web-4.log"), 100, []byte(text(lines("d", 48, 100))))
	s := newSink()
	src, err := run(t, backfill.Config{Paths: []string{dir}, Since: "7d"}, s)
	if err != nil {
		t.Fatal(err)
	}
	same(t, s.lines, lines("d", 72, 100))
	if st := src.Stats(); st.FilesSkipped != 2 || st.LinesSkipped != 24*6+24*6 {
		t.Errorf("stats %+v", st)
	}
}

// TestResume goes on from each mark: nothing is missing and nothing comes twice,
// also where the files were renamed and packed meanwhile.
func TestResume(t *testing.T) {
	dir := t.TempDir()
	mixed := append(lines("b", 24, 48), lines("b", 0, 48)...) // not in order: batches in many parts
	put(t, filepath.Join(dir, "access.log.3.gz"), 999, pack(t, "gz", text(lines("a", 0, 24))))
	put(t, filepath.Join(dir, "access.log.2"), 999, []byte(text(mixed)+strings.Repeat("x", 1<<20+1)+"\nno time\n"))
	put(t, filepath.Join(dir, "access.log.1"), 999, []byte(text(lines("c", 48, 72))))
	cfg := backfill.Config{Paths: []string{dir}, Since: "2026-01-10T12:00:00Z", Until: "2026-01-12T12:00:00Z"}
	whole := newSink()
	if _, err := run(t, cfg, whole); err != nil || whole.twice > 0 {
		t.Fatal(err, whole.twice)
	}
	var want []string
	for _, l := range append(append(append(lines("a", 0, 24), mixed...), "no time"), lines("c", 48, 72)...) {
		if at, ok := timeOf([]byte(l)); !ok || at >= day.Add(12*time.Hour).UnixNano() && at < day.Add(60*time.Hour).UnixNano() {
			want = append(want, l)
		}
	}
	same(t, whole.lines, want)
	if len(whole.marks) < 4 || len(whole.rejects) != 1 || whole.rejects[0].Reason != ingest.TooLong || whole.rejects[0].Pos.Source != "backfill" {
		t.Fatalf("%d batches, rejects %+v", len(whole.marks), whole.rejects)
	}
	for round := range 2 {
		for i, m := range whole.marks {
			s := newSink()
			if _, err := run(t, cfg, s, m); err != nil {
				t.Fatal(err)
			}
			same(t, s.lines, want[whole.after[i]:])
		}
		if round == 0 {
			put(t, filepath.Join(dir, "access.log.4.zst"), 999, pack(t, "zst", text(lines("a", 0, 24))))
			put(t, filepath.Join(dir, "access.log.2.xz"), 999, pack(t, "xz", text(lines("c", 48, 72))))
			for _, old := range []string{"access.log.3.gz", "access.log.1"} {
				if err := os.Remove(filepath.Join(dir, old)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Rename(filepath.Join(dir, "access.log.2"), filepath.Join(dir, "access.log.3")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestKill stops after each batch in turn and goes on from the last mark.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i, kind := range []string{"", "gz", "zst"} {
		part := slices.Repeat(lines("h"+kind, i*24, i*24+24), 200)
		put(t, filepath.Join(dir, "log."+strconv.Itoa(i)), 999, pack(t, kind, text(part)))
		want = append(want, part...)
	}
	s := newSink()
	for rounds := 1; ; rounds++ {
		s.stop = rounds
		var from []ingest.Mark
		if len(s.marks) > 0 {
			from = s.marks[len(s.marks)-1:]
		}
		_, err := run(t, backfill.Config{Paths: []string{dir}}, s, from...)
		if err == nil {
			break
		}
		if err != errStop {
			t.Fatal(err)
		}
	}
	same(t, s.lines, want)
	if s.twice > 0 || len(s.marks) < 6 {
		t.Errorf("%d lines came twice, %d batches", s.twice, len(s.marks))
	}
}

func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	data := pack(t, "zst", text(slices.Repeat(lines("a", 0, 24), 500)))
	put(t, filepath.Join(dir, "1.zst"), 999, data[:len(data)*3/4])
	put(t, filepath.Join(dir, "2.gz"), 999, pack(t, "gz", text(lines("b", 24, 48))))
	put(t, filepath.Join(dir, "3.gz"), 999, []byte("\x1f\x8b\x08\x00"))
	s := newSink()
	src, err := run(t, backfill.Config{
		Paths: []string{dir, filepath.Join(dir, "none*")},
		Log:   slog.New(slog.NewTextHandler(&log, nil)),
	}, s)
	if err != nil {
		t.Fatal(err)
	}
	n := len(s.lines)
	if n < 10_000 || s.lines[0] != lines("a", 0, 1)[0] {
		t.Errorf("%d lines came; those of the damaged file are missing", n)
	}
	same(t, s.lines[n-24*6:], lines("b", 24, 48))
	if h, st := src.Health(), src.Stats(); st.Damaged != 3 || h.Losses != 3 || h.Lag != 0 || h.Error == "" {
		t.Errorf("health %+v, stats %+v", h, st)
	}
	for _, want := range []string{"1.zst", "3.gz", "cut off", "none*"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not name %q: %s", want, log.String())
		}
	}
}

func TestNothing(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if _, err := run(t, backfill.Config{Paths: []string{path}}, newSink()); err == nil || !strings.Contains(err.Error(), "no file to read") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestUnknownMark(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	put(t, filepath.Join(dir, "a.log"), 24, []byte(text(lines("a", 0, 24))))
	s := newSink()
	cfg := backfill.Config{Paths: []string{dir}, Log: slog.New(slog.NewTextHandler(&log, nil))}
	if _, err := run(t, cfg, s, ingest.Mark{Source: "backfill", Path: "gone.log", File: 7, Offset: 99}); err != nil {
		t.Fatal(err)
	}
	same(t, s.lines, lines("a", 0, 24))
	if !strings.Contains(log.String(), "gone.log") {
		t.Errorf("not said: %s", log.String())
	}
}

func TestCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	put(t, path, 24, []byte(text(lines("a", 0, 24))))
	src, err := backfill.New(backfill.Config{Paths: []string{path}, TimeOf: timeOf})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := src.Run(ctx, nil, newSink().out); err != context.Canceled {
		t.Errorf("Run = %v", err)
	}
}

// TestRandomSpans compares with a plain filter.
func TestRandomSpans(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	var all []string
	for i := range 6 {
		part := lines("a", i*8, i*8+8)
		for k := range part { // neighbours change places: the disorder of real logs
			if j := k + rng.IntN(3); j < len(part) {
				part[k], part[j] = part[j], part[k]
			}
		}
		all = append(all, part...)
		put(t, filepath.Join(dir, fmt.Sprintf("access.log.%d", 6-i)), 999, pack(t, []string{"", "gz", "zst"}[i%3], text(part)))
	}
	for range 60 {
		from, to := rng.IntN(50*60), rng.IntN(50*60)
		if from >= to {
			continue
		}
		since, until := day.Add(time.Duration(from)*time.Minute), day.Add(time.Duration(to)*time.Minute)
		var want []string
		for _, l := range all {
			if at, _ := timeOf([]byte(l)); at >= since.UnixNano() && at < until.UnixNano() {
				want = append(want, l)
			}
		}
		s := newSink()
		if _, err := run(t, backfill.Config{Paths: []string{dir}, Since: since.Format(time.RFC3339), Until: until.Format(time.RFC3339)}, s); err != nil {
			t.Fatal(err)
		}
		slices.Sort(want)
		slices.Sort(s.lines) // a file's first line may be later than the next ones
		same(t, s.lines, want)
	}
}
