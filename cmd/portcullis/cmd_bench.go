package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/fixtures/traffic"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/internal/cliout"
)

// BenchCmd is "portcullis bench".
type BenchCmd struct {
	Lines   int    `name:"lines" default:"1000000" help:"Lines of the generated log."`
	Clients int    `name:"clients" default:"1000000" help:"Clients for the memory figure; 0 leaves it out."`
	Seed    uint64 `name:"seed" default:"1" help:"Seed of the generated log: equal seeds give equal logs."`
	Rounds  int    `name:"rounds" default:"3" help:"Rounds of each stage; the fastest counts, since other programs only make it slower."`
	Rules   bool   `name:"rules" help:"Also measure what each detector costs, and the path with none."`
	Profile string `name:"cpuprofile" placeholder:"FILE" help:"Write a CPU profile of the whole path on one core, for go tool pprof."`
}

// Help implements kong.HelpProvider.
func (*BenchCmd) Help() string {
	return `Generates a realistic combined log with four attackers, and runs it through parsing, decoding and the whole path. "core" is one goroutine on one core; "all cores" uses all.

Examples:
  portcullis bench
  portcullis bench --lines 200000 --clients 0 --output jsonl`
}

// benchRow is one figure.
type benchRow struct {
	Stage        string  `json:"stage"`
	Workers      int     `json:"workers"`
	Lines        int     `json:"lines"`
	LinesPerSec  float64 `json:"lines_per_second"`
	NanosPerLine float64 `json:"ns_per_line"`
	PerCPUSecond float64 `json:"lines_per_cpu_second"` // garbage collection included; what other programs do to the clock is not
	Allocs       float64 `json:"allocs_per_line"`
	Bytes        float64 `json:"bytes_per_line"`   // allocated
	Findings     int     `json:"findings"`         // of the whole path
	PerClient    float64 `json:"bytes_per_client"` // of the memory figure
}

// Run implements the command.
func (c *BenchCmd) Run(ctx context.Context, app *App) error {
	if c.Lines < 1000 || c.Rounds < 1 || c.Clients < 0 {
		return usagef("--lines must be at least 1000, --rounds at least 1, --clients not negative")
	}
	s, err := app.Settings()
	if err != nil {
		return err
	}
	var log bytes.Buffer
	log.Grow(c.Lines * 256)
	truth, err := traffic.Write(&log, traffic.Options{Lines: c.Lines, Seed: c.Seed, Attackers: true})
	if err != nil {
		return err
	}
	b := &bencher{cmd: c, settings: s, data: log.Bytes(), lines: c.Lines}
	fmt.Fprintf(app.Err, "%s lines, %s, %d attackers, %s cores, %s\n", cliout.Count(int64(c.Lines)), cliout.Bytes(int64(log.Len())),
		len(truth.Attackers), strconv.Itoa(runtime.NumCPU()), runtime.Version())
	rows, err := b.all(ctx)
	if err != nil {
		return err
	}
	return c.print(app, rows)
}

func (c *BenchCmd) print(app *App, rows []benchRow) error {
	if app.JSONL() {
		out := cliout.NewJSONL(app.Out)
		for i := range rows {
			if err := out.Write(&rows[i]); err != nil {
				return err
			}
		}
		return out.Flush()
	}
	t := app.Table(cliout.Column{Title: "STAGE"}, cliout.Column{Title: "WORKERS", Right: true}, cliout.Column{Title: "LINES/S", Right: true}, cliout.Column{Title: "LINES/CPU-S", Right: true},
		cliout.Column{Title: "NS/LINE", Right: true}, cliout.Column{Title: "ALLOCS/LINE", Right: true}, cliout.Column{Title: "FINDINGS", Right: true},
		cliout.Column{Title: "BYTES/CLIENT", Right: true})
	for _, r := range rows {
		per, found := "", ""
		if r.PerClient > 0 {
			per = fmt.Sprintf("%.0f", r.PerClient)
		}
		if r.Findings > 0 {
			found = strconv.Itoa(r.Findings)
		}
		if r.LinesPerSec == 0 { // the part of one detector
			t.Row(r.Stage, strconv.Itoa(r.Workers), "", "", fmt.Sprintf("%.1f", r.NanosPerLine), "", "", "")
			continue
		}
		t.Row(r.Stage, strconv.Itoa(r.Workers), cliout.Count(int64(r.LinesPerSec)), cliout.Count(int64(r.PerCPUSecond)), fmt.Sprintf("%.0f", r.NanosPerLine),
			fmt.Sprintf("%.3f", r.Allocs), found, per)
	}
	return t.Flush()
}

type bencher struct {
	cmd      *BenchCmd
	settings *Settings
	data     []byte
	lines    int
}

func (b *bencher) all(ctx context.Context) ([]benchRow, error) {
	type stage struct {
		name    string
		workers int
		run     func() (int, error)
	}
	cores := runtime.NumCPU()
	stages := []stage{
		{"parse", 1, b.parse},
		{"decode (parse, identity, route)", 1, b.decode},
		{"whole path, core", 1, func() (int, error) { return b.whole(1, b.settings.rules()) }},
	}
	if cores > 1 {
		stages = append(stages, stage{"whole path, all cores", cores, func() (int, error) { return b.whole(cores, b.settings.rules()) }})
	}
	if b.cmd.Rules {
		stages = append(stages, stage{"no detector", 1, func() (int, error) { return b.whole(1, nil) }})
	}
	var rows []benchRow
	for _, st := range stages {
		best := benchRow{Stage: st.name, Workers: st.workers, Lines: b.lines}
		for range b.cmd.Rounds {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			r, err := timed(st.workers, b.lines, st.run)
			if err != nil {
				return nil, err
			}
			if r.PerCPUSecond > best.PerCPUSecond || r.PerCPUSecond == 0 && r.LinesPerSec > best.LinesPerSec {
				r.Stage, r.Workers = st.name, st.workers
				best = r
			}
		}
		rows = append(rows, best)
	}
	if b.cmd.Rules {
		inside, err := b.rulesInside(ctx)
		if err != nil {
			return nil, err
		}
		rows = append(rows, inside...)
	}
	if b.cmd.Profile != "" {
		if err := b.profile(); err != nil {
			return nil, err
		}
	}
	if b.cmd.Clients > 0 {
		r, err := b.memory()
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// timed runs work on so many cores and counts what it allocates.
func timed(workers, lines int, work func() (int, error)) (benchRow, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(workers))
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, used := time.Now(), cpuTime()
	found, err := work()
	took := time.Since(start)
	used = cpuTime() - used
	runtime.ReadMemStats(&after)
	n := float64(lines)
	perCPU := 0.0
	if used > 0 {
		perCPU = n / used.Seconds()
	}
	return benchRow{PerCPUSecond: perCPU, Lines: lines, LinesPerSec: n / took.Seconds(), NanosPerLine: float64(took.Nanoseconds()) / n, Findings: found,
		Allocs: float64(after.Mallocs-before.Mallocs) / n, Bytes: float64(after.TotalAlloc-before.TotalAlloc) / n}, err
}

const benchSource = "bench"

// batches reads the log in batches as a file source does: into blocks that are used
// again once they are released.
func batches(data []byte, use func(*ingest.Batch)) {
	const block = 256 << 10
	blocks := sync.Pool{New: func() any { return new([block]byte) }}
	for off := 0; off < len(data); {
		b := blocks.Get().(*[block]byte)
		n := copy(b[:], data[off:])
		if off+n < len(data) {
			n = bytes.LastIndexByte(b[:n], '\n') + 1
		}
		use(&ingest.Batch{Source: benchSource, Offset: int64(off), Data: b[:n], Mark: ingest.Mark{Source: benchSource, Offset: int64(off + n)},
			Free: func() { blocks.Put(b) }})
		off += n
	}
}

func (b *bencher) parse() (int, error) {
	f, err := format.Open("nginx-combined")
	if err != nil {
		return 0, err
	}
	p := f.New()
	ev, bad := new(ingest.Event), 0
	batches(b.data, func(batch *ingest.Batch) {
		p.Reset()
		for data := batch.Data; len(data) > 0; {
			i := bytes.IndexByte(data, '\n')
			*ev = ingest.Event{}
			if p.Parse(data[:i], ev) != ingest.OK {
				bad++
			}
			data = data[i+1:]
		}
		batch.Release()
	})
	if bad > 0 {
		return 0, fmt.Errorf("bench: %d generated lines could not be parsed", bad)
	}
	return 0, nil
}

func (b *bencher) decode() (int, error) {
	plan, err := planOf(b.settings, engineOptions{formats: map[string]string{benchSource: "nginx-combined"}, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, err
	}
	d, err := plan.New()
	if err != nil {
		return 0, err
	}
	batches(b.data, func(batch *ingest.Batch) {
		d.Decode(batch, func(*ingest.Event) {}, func(ingest.Reject) {})
		batch.Release()
	})
	return 0, nil
}

func (b *bencher) engine(workers int, rules []detect.RuleConfig) (*detect.Engine, error) {
	return b.engineOf(workers, rules, nil)
}

// engineOf is an engine whose detectors are changed before it is made.
func (b *bencher) engineOf(workers int, rules []detect.RuleConfig, change func([]detect.RuleConfig) []detect.RuleConfig) (*detect.Engine, error) {
	s := *b.settings
	s.Detectors, s.Disable = nil, nil
	for _, r := range rules {
		s.Detectors = append(s.Detectors, sectionOf(r))
	}
	return newEngine(&s, engineOptions{formats: map[string]string{benchSource: "nginx-combined"}, workers: workers, rules: change, log: slog.New(slog.DiscardHandler)})
}

func (b *bencher) whole(workers int, rules []detect.RuleConfig) (int, error) {
	e, err := b.engine(workers, rules)
	if err != nil {
		return 0, err
	}
	defer e.Close()
	batches(b.data, e.Feed)
	return len(e.Finish().Findings), nil
}

// profile writes a CPU profile of the whole path.
func (b *bencher) profile() error {
	f, err := os.Create(b.cmd.Profile)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	_, err = timed(1, b.lines, func() (int, error) { return b.whole(1, b.settings.rules()) })
	pprof.StopCPUProfile()
	return errors.Join(err, f.Close())
}

// memory tracks as many clients as asked for, one request each, and measures
// what the heap grew by.
func (b *bencher) memory() (benchRow, error) {
	var log []byte
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for i := range b.cmd.Clients {
		log = fmt.Appendf(log, "%d.%d.%d.%d - - [%s] \"GET /v1/products/%d HTTP/1.1\" 200 512 \"-\" \"app/1.0\"\n",
			11+i>>24, i>>16&255, i>>8&255, i&255, at.Add(time.Duration(i)*10*time.Microsecond).Format("02/Jan/2006:15:04:05 -0700"), i%1000)
	}
	e, err := b.engine(1, b.settings.rules())
	if err != nil {
		return benchRow{}, err
	}
	defer e.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r, err := timed(1, b.cmd.Clients, func() (int, error) { batches(log, e.Feed); return 0, nil })
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(log)
	runtime.KeepAlive(b)
	e.Publish()
	r.Stage, r.Workers = fmt.Sprintf("%s clients tracked", cliout.Count(int64(e.Stats().Clients))), 1
	r.PerClient = (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / float64(max(1, e.Stats().Clients))
	return r, err
}
