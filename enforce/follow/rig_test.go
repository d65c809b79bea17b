package follow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/enforce/follow"
	"github.com/portcullis/portcullis/ingest/bus"
)

const parts = 3

// db is a database that fails when it is told to.
type db struct {
	*store.DB
	mu   sync.Mutex
	fail func(what string) error // nil: never
	hold bool                    // it answers when its caller gives up
}

func openDB(t testing.TB, path string) *db {
	t.Helper()
	s, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return &db{DB: s}
}

func (d *db) set(fail func(string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

func (d *db) why(ctx context.Context, what string) error {
	d.mu.Lock()
	fail, hold := d.fail, d.hold
	d.mu.Unlock()
	if hold {
		<-ctx.Done()
		return ctx.Err()
	}
	if fail == nil {
		return nil
	}
	return fail(what)
}

// Save implements follow.Store.
func (d *db) Save(ctx context.Context, s store.State) error {
	if err := d.why(ctx, "save"); err != nil {
		return err
	}
	return d.DB.Save(ctx, s)
}

// SetMeta implements follow.Store.
func (d *db) SetMeta(ctx context.Context, key, value string) error {
	if err := d.why(ctx, "meta"); err != nil {
		return err
	}
	return d.DB.SetMeta(ctx, key, value)
}

// rig is a follower of a topic that is in memory.
type rig struct {
	t     testing.TB
	db    *db
	f     *follow.Follower
	log   bytes.Buffer
	ended chan error
	stop  context.CancelFunc

	mu    sync.Mutex
	list  [parts][]*bus.Message
	news  chan struct{}
	begun [parts]int64 // where the readers began
	read  int          // messages that readers handed over
	heard []string     // ids of findings
	saw   []detect.Sightings
	fails error // what readers end with when they are told to
}

func newRig(t testing.TB, d *db) *rig {
	r := &rig{t: t, db: d, news: make(chan struct{}), ended: make(chan error, 1)}
	r.make()
	return r
}

func (r *rig) make() {
	r.f = follow.New(follow.Config{Read: r.reader, Partitions: parts, Store: r.db, Now: time.Now, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
		Finding: func(f detect.Finding) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.heard = append(r.heard, f.ID)
		},
		Saw: func(s detect.Sightings) { r.saw = append(r.saw, s) }})
}

func (r *rig) reader(ctx context.Context, p int, from int64, each func(*bus.Message, int64) error, gap func(from, to int64)) error {
	r.mu.Lock()
	r.begun[p] = from
	r.mu.Unlock()
	for {
		r.mu.Lock()
		if r.fails != nil {
			defer r.mu.Unlock()
			return r.fails
		}
		if end := int64(len(r.list[p])); from < end {
			m := r.list[p][from]
			r.mu.Unlock()
			if m == nil {
				gap(from, from+1)
			} else if err := each(m, end); err != nil {
				return err
			}
			from++
			r.mu.Lock()
			r.read++
			r.mu.Unlock()
			continue
		}
		news := r.news
		r.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wake lets the readers look again.
func (r *rig) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.news)
	r.news = make(chan struct{})
}

func (r *rig) put(p int, kind, key string, value []byte) {
	r.mu.Lock()
	m := &bus.Message{Topic: task.TopicFindings, Partition: p, Offset: int64(len(r.list[p])), Key: []byte(key), Value: value,
		Headers: []bus.Header{{Key: task.HeaderKind, Value: []byte(kind)}}}
	r.list[p] = append(r.list[p], m)
	r.mu.Unlock()
	r.wake()
}

func (r *rig) putJSON(p int, kind, key string, v any) {
	r.t.Helper()
	value, err := json.Marshal(v)
	if err != nil {
		r.t.Fatal(err)
	}
	r.put(p, kind, key, value)
}

func (r *rig) putFinding(p int, f detect.Finding) {
	r.t.Helper()
	value, err := detect.EncodeFinding(&f)
	if err != nil {
		r.t.Fatal(err)
	}
	r.put(p, task.KindFinding, f.Subject.Value, value)
}

func (r *rig) run() {
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	go func() { r.ended <- r.f.Run(ctx) }()
}

// end stops the follower, which must end well.
func (r *rig) end() {
	r.t.Helper()
	r.stop()
	if err := <-r.ended; err != nil {
		r.t.Errorf("it ended with %v", err)
	}
}

func (r *rig) offsets() string {
	r.t.Helper()
	text, err := r.db.Meta(context.Background(), "followed_findings")
	if err != nil {
		r.t.Fatal(err)
	}
	return text
}

func (r *rig) stored() map[string]detect.Finding {
	r.t.Helper()
	list, err := r.db.Findings(context.Background(), store.FindingQuery{Limit: 100_000})
	if err != nil {
		r.t.Fatal(err)
	}
	out := map[string]detect.Finding{}
	for _, f := range list {
		out[f.ID] = f
	}
	return out
}

const start = 1_700_000_000

func finding(id, count int) detect.Finding {
	return detect.Finding{ID: fmt.Sprintf("%024x", id), Rule: "login.bruteforce", Version: 1, Family: detect.Credential, Severity: detect.High, Confidence: 0.9,
		Subject: detect.Subject{Kind: "ip", Value: fmt.Sprintf("192.0.2.%d", id%256)}, Window: start * 1e9, FirstSeen: start * 1e9, LastSeen: start*1e9 + int64(count),
		FiredAt: start * 1e9, Count: int64(count), Why: "guesses passwords"}
}

func wait(d time.Duration) { <-time.After(d); synctest.Wait() }

// bubble runs a test in event time with a rig on a new database.
func bubble(t *testing.T, test func(t *testing.T, r *rig)) {
	path := filepath.Join(t.TempDir(), "portcullis.db")
	synctest.Test(t, func(t *testing.T) {
		d := openDB(t, path)
		test(t, newRig(t, d))
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}
