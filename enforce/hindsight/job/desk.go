package job

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce/hindsight"
)

// The files of a job in its folder.
const (
	jobFile    = "job.json"
	resultFile = "result.json"
	pageFile   = "report.html"
	maxFile    = 64 << 20 // bytes of one that is read
)

// Desk keeps the jobs in a folder. Its methods may be called from any goroutine; those of
// two processes must not share a folder.
type Desk struct {
	dir     string
	command Command
	log     *slog.Logger
	now     func() time.Time

	mu      sync.Mutex
	jobs    []Job // the newest first
	cancel  context.CancelCauseFunc
	running sync.WaitGroup
	closed  bool
}

// errCancelled is why a job ends that a person does not want any more, errClosed why one
// ends with the console.
var (
	errCancelled = errors.New("cancelled by a person")
	errClosed    = errors.New("the console ended while it ran")
)

// Open reads what is kept in dir, which is made with the first job. A job that was
// running when the process before this one was killed has failed.
func Open(dir string, command Command, log *slog.Logger, now func() time.Time) (*Desk, error) {
	d := &Desk{dir: dir, command: command, log: log, now: now}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("backtests: %w", err)
	}
	for _, e := range entries {
		var j Job
		if err := readJSON(filepath.Join(dir, e.Name(), jobFile), &j); err != nil || j.ID != e.Name() {
			log.Warn("backtests: what is left of a job cannot be read and is removed", "job", e.Name(), "error", err)
			_ = os.RemoveAll(filepath.Join(dir, e.Name())) // it is tried again at the next start
			continue
		}
		if j.State == Running {
			j.State, j.Error, j.Ended = Failed, errClosed.Error(), now()
			if err := d.save(&j); err != nil {
				return nil, err
			}
		}
		d.jobs = append(d.jobs, j)
	}
	slices.SortFunc(d.jobs, func(a, b Job) int { return cmp.Or(b.Started.Compare(a.Started), strings.Compare(a.ID, b.ID)) })
	d.prune()
	return d, nil
}

// Start begins a job; BusyError where one runs, OrderError where the order cannot be. The
// job goes on when ctx ends.
func (d *Desk) Start(ctx context.Context, o Order, who, why string) (Job, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return Job{}, errClosed
	}
	if len(d.jobs) > 0 && d.jobs[0].State == Running {
		return Job{}, BusyError{d.jobs[0]}
	}
	j := Job{ID: strings.ToLower(rand.Text()[:12]), Order: o, Who: who, Why: why, State: Running, Started: d.now().UTC(), Reading: 1}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	cmd, err := d.command(ctx, o, d.file(j.ID, resultFile), d.file(j.ID, pageFile))
	if err != nil {
		cancel(err)
		return Job{}, OrderError{err}
	}
	if err := d.save(&j); err != nil {
		cancel(err)
		return Job{}, err
	}
	d.jobs, d.cancel = slices.Insert(d.jobs, 0, j), cancel
	d.prune()
	d.log.Info("backtest: begins", "job", j.ID, "who", who, "order", o.String())
	d.running.Go(func() { d.end(j.ID, d.work(ctx, j.ID, cmd), context.Cause(ctx)) })
	return j, nil
}

// Cancel ends a job that runs; it takes a moment.
func (d *Desk) Cancel(id string) (Job, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.jobs) == 0 || d.jobs[0].ID != id || d.jobs[0].State != Running {
		return Job{}, ErrNone
	}
	d.cancel(errCancelled)
	return d.jobs[0], nil
}

// Jobs lists the jobs, the newest first.
func (d *Desk) Jobs() []Job {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.jobs)
}

// Result reads what a job came to.
func (d *Desk) Result(id string) (r hindsight.Result, err error) {
	if !d.has(id) {
		return r, ErrNone
	}
	return r, readJSON(d.file(id, resultFile), &r)
}

// Page opens the report of a job, which the caller closes.
func (d *Desk) Page(id string) (io.ReadCloser, error) {
	if !d.has(id) {
		return nil, ErrNone
	}
	return os.Open(d.file(id, pageFile))
}

// Close ends the job that runs and waits for it.
func (d *Desk) Close() {
	d.mu.Lock()
	d.closed = true
	if d.cancel != nil {
		d.cancel(errClosed)
	}
	d.mu.Unlock()
	d.running.Wait()
}

// has reports whether a job is done; only then are its files whole.
func (d *Desk) has(id string) bool {
	return slices.ContainsFunc(d.Jobs(), func(j Job) bool { return j.ID == id && j.State == Done })
}

func (d *Desk) file(id, name string) string { return filepath.Join(d.dir, id, name) }

// change changes the job that runs.
func (d *Desk) change(id string, do func(*Job)) Job {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.jobs {
		if d.jobs[i].ID == id {
			do(&d.jobs[i])
			return d.jobs[i]
		}
	}
	return Job{}
}

// end writes down what became of a job. cause is why it was stopped, if it was.
func (d *Desk) end(id string, err, cause error) {
	j := d.change(id, func(j *Job) {
		j.Ended = d.now().UTC()
		switch {
		case errors.Is(cause, errCancelled):
			j.State = Cancelled
		case cause != nil:
			j.State, j.Error = Failed, cause.Error()
		case err != nil:
			j.State, j.Error = Failed, err.Error()
		default:
			j.State = Done
		}
	})
	d.log.Info("backtest: ended", "job", id, "state", string(j.State), "error", j.Error)
	if err := d.save(&j); err != nil {
		d.log.Error("backtest: what became of it is forgotten at the next start", "job", id, "error", err)
	}
}

// prune forgets the oldest.
func (d *Desk) prune() {
	for len(d.jobs) > Keep {
		last := d.jobs[len(d.jobs)-1]
		d.jobs = d.jobs[:len(d.jobs)-1]
		if err := os.RemoveAll(filepath.Join(d.dir, last.ID)); err != nil {
			d.log.Warn("backtests: an old one cannot be removed", "error", err)
		}
	}
}

// save writes the job's own file, as a whole or not at all.
func (d *Desk) save(j *Job) error {
	data, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return fmt.Errorf("backtests: %w", err)
	}
	name := d.file(j.ID, jobFile)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("backtests: %w", err)
	}
	if err := os.WriteFile(name+".new", append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("backtests: %w", err)
	}
	return os.Rename(name+".new", name)
}

func readJSON(name string, v any) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("backtests: %w", err)
	}
	defer f.Close() // read only: nothing to lose
	if err := json.NewDecoder(io.LimitReader(f, maxFile)).Decode(v); err != nil {
		return fmt.Errorf("backtests: %s: %w", filepath.Base(name), err)
	}
	return nil
}
