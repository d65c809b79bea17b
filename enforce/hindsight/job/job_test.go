package job_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce/hindsight"
	"github.com/portcullis/portcullis/enforce/hindsight/job"
)

// asProcess is set where this program is to be the process of a job.
const asProcess = "JOB_TEST_PROCESS"

// TestMain is the process of a job where it is asked to be one: it does what the order's
// place says.
func TestMain(m *testing.M) {
	what := os.Getenv(asProcess)
	if what == "" {
		os.Exit(m.Run())
	}
	os.Exit(process(what, os.Args[1], os.Args[2]))
}

func process(what, result, page string) int {
	fmt.Println(strings.Repeat("x", 100_000)) // no line that means anything
	fmt.Printf(`{"reading":1,"read":%d,"total":100}`+"\n", priority())
	switch what {
	case "fail":
		fmt.Fprintln(os.Stderr, "first words\nthe log is gone")
		return 3
	case "wait":
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 1
	}
	r := hindsight.Report{Trials: []hindsight.Trial{{Threshold: 3, Set: true}}}
	text, err := json.Marshal(r.Result())
	if err = errors.Join(err, os.WriteFile(result, text, 0o600), os.WriteFile(page, []byte("<p>page"), 0o600)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// desk opens a desk whose jobs are processes of this program.
func desk(t *testing.T, dir string) *job.Desk {
	t.Helper()
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	d, err := job.Open(dir, func(ctx context.Context, o job.Order, result, page string) (*exec.Cmd, error) {
		if o.From == "" {
			return nil, errors.New("from: is empty")
		}
		cmd := exec.CommandContext(ctx, os.Args[0], result, page)
		cmd.Env = append(os.Environ(), asProcess+"="+o.From)
		return cmd, nil
	}, slog.New(slog.DiscardHandler), func() time.Time { at = at.Add(time.Second); return at })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// await waits until the newest job is as it should be.
func await(t *testing.T, d *job.Desk, ok func(job.Job) bool) job.Job {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 4000 {
		if j := d.Jobs()[0]; ok(j) {
			return j
		}
		<-tick.C
	}
	t.Fatalf("it never came to that: %+v", d.Jobs()[0])
	return job.Job{}
}

func ended(j job.Job) bool { return j.State != job.Running }

func start(t *testing.T, d *job.Desk, from string) job.Job {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	j, err := d.Start(ctx, job.Order{From: from, Since: "7d"}, "kim", "a reason")
	cancel() // the request is over
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// TestDone: a job comes to its result, which a later process finds again.
func TestDone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "backtests")
	d := desk(t, dir)
	id := start(t, d, "work").ID
	if j := await(t, d, ended); j.State != job.Done || j.Error != "" || j.Who != "kim" || j.Why != "a reason" || j.Total != 100 || j.Ended.IsZero() {
		t.Fatalf("%+v", j)
	}
	d.Close()
	if _, err := d.Start(t.Context(), job.Order{From: "work"}, "kim", "x"); err == nil {
		t.Error("one was begun behind the end")
	}
	d = desk(t, dir)
	if j := d.Jobs()[0]; j.ID != id || j.State != job.Done {
		t.Errorf("found again: %+v", j)
	}
	if r, err := d.Result(id); err != nil || len(r.Trials) != 1 || r.Trials[0].Threshold != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	page, err := d.Page(id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(page)
	if err := errors.Join(err, page.Close()); err != nil || !bytes.Equal(text, []byte("<p>page")) {
		t.Errorf("%q, %v", text, err)
	}
	for _, none := range []string{"", "..", "other"} {
		if _, err := d.Result(none); !errors.Is(err, job.ErrNone) {
			t.Errorf("the result of %q: %v", none, err)
		}
	}
}

func TestFails(t *testing.T) {
	t.Parallel()
	d := desk(t, filepath.Join(t.TempDir(), "backtests"))
	var bad job.OrderError
	if _, err := d.Start(t.Context(), job.Order{}, "kim", "x"); !errors.As(err, &bad) || len(d.Jobs()) != 0 {
		t.Errorf("of nothing: %v", err)
	}
	id := start(t, d, "fail").ID
	if j := await(t, d, ended); j.State != job.Failed || !strings.HasSuffix(j.Error, "exit status 3: the log is gone") {
		t.Errorf("%+v", j)
	}
	if _, err := d.Page(id); !errors.Is(err, job.ErrNone) {
		t.Errorf("its page: %v", err)
	}
}

// TestOneAtATime: while one runs there is no other, until it is cancelled.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	d := desk(t, filepath.Join(t.TempDir(), "backtests"))
	j := start(t, d, "wait")
	await(t, d, func(j job.Job) bool { return j.Total == 100 })
	var busy job.BusyError
	if _, err := d.Start(t.Context(), job.Order{From: "work"}, "ann", "x"); !errors.As(err, &busy) || busy.Job.ID != j.ID {
		t.Errorf("another one: %v", err)
	}
	if _, err := d.Cancel("other"); !errors.Is(err, job.ErrNone) {
		t.Errorf("cancel another: %v", err)
	}
	if _, err := d.Cancel(j.ID); err != nil {
		t.Fatal(err)
	}
	if j := await(t, d, ended); j.State != job.Cancelled || j.Error != "" {
		t.Errorf("%+v", j)
	}
	if _, err := d.Cancel(j.ID); !errors.Is(err, job.ErrNone) {
		t.Errorf("cancel again: %v", err)
	}
	start(t, d, "work")
	await(t, d, ended)
}

// TestEndsWithTheConsole: one that runs ends with the desk, and says so; after a kill the
// next desk says it.
func TestEndsWithTheConsole(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "backtests")
	d := desk(t, dir)
	start(t, d, "wait")
	running, err := os.ReadFile(filepath.Join(dir, d.Jobs()[0].ID, "job.json"))
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	if j := d.Jobs()[0]; j.State != job.Failed || !strings.Contains(j.Error, "console ended") {
		t.Errorf("%+v", j)
	}
	if err := os.WriteFile(filepath.Join(dir, d.Jobs()[0].ID, "job.json"), running, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "broken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if d = desk(t, dir); len(d.Jobs()) != 1 || d.Jobs()[0].State != job.Failed || d.Jobs()[0].Ended.IsZero() {
		t.Errorf("after a kill: %+v", d.Jobs())
	}
	if _, err := os.Stat(filepath.Join(dir, "broken")); err == nil {
		t.Error("what cannot be read stays")
	}
}

func TestKeepsTheLast(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "backtests")
	first := "job00"
	for i := range job.Keep {
		id := fmt.Sprintf("job%02d", i)
		text, err := json.Marshal(job.Job{ID: id, State: job.Done, Started: time.Date(2026, 3, 1, i, 0, 0, 0, time.UTC)})
		if err = errors.Join(err, os.MkdirAll(filepath.Join(dir, id), 0o700), os.WriteFile(filepath.Join(dir, id, "job.json"), text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	d := desk(t, dir)
	if list := d.Jobs(); len(list) != job.Keep || list[job.Keep-1].ID != first {
		t.Fatalf("%+v", list)
	}
	start(t, d, "work")
	await(t, d, ended)
	folders, err := os.ReadDir(dir)
	if err != nil || len(folders) != job.Keep || len(d.Jobs()) != job.Keep {
		t.Errorf("%d folders, %d jobs, %v", len(folders), len(d.Jobs()), err)
	}
	if _, err := d.Result(first); !errors.Is(err, job.ErrNone) {
		t.Errorf("the first: %v", err)
	}
}

// TestLowest: the process goes behind all others, and this one does not.
func TestLowest(t *testing.T) {
	t.Parallel()
	d := desk(t, filepath.Join(t.TempDir(), "backtests"))
	before := priority()
	start(t, d, "work")
	if j := await(t, d, ended); j.Read != lowest {
		t.Errorf("its priority is %d, want %d", j.Read, lowest)
	}
	if priority() != before {
		t.Error("this process has another priority than before")
	}
}
