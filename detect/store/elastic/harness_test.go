package elastic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	fixture "github.com/portcullis/portcullis/fixtures/elastic"
	"github.com/portcullis/portcullis/fixtures/testbed"
)

// shared is the one Elasticsearch of this package's tests, without security. Each
// test has a namespace of its own.
var shared struct {
	sync.Once
	server *fixture.Server
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		if err := errors.Join(shared.server.Stop(), os.RemoveAll(shared.server.Dir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// server returns the shared Elasticsearch, running.
func server(t testing.TB) *fixture.Server {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Elasticsearch; leave out -short")
	}
	shared.Do(func() {
		var dir string
		if dir, shared.err = os.MkdirTemp("", "portcullis-elastic"); shared.err != nil {
			return
		}
		s, err := fixture.New(dir)
		if err != nil {
			shared.err = errors.Join(err, os.RemoveAll(dir))
			return
		}
		shared.server = s
		shared.err = s.Start()
	})
	if errors.Is(shared.err, fixture.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED: %v: apt-get install default-jre-headless maven && deploy/testbed/elastic.sh fetch", shared.err)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// keeper keeps rejected documents.
type keeper struct {
	mu   sync.Mutex
	docs []Doc
	why  []string
}

func (k *keeper) keep(_ context.Context, d Doc, why string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.docs, k.why = append(k.docs, d), append(k.why, why)
	return nil
}

// rig is a store under test, and what it rejected.
type rig struct {
	*Store
	rejected *keeper
	log      *bytes.Buffer
}

// namespace is the test's own.
func namespace(t testing.TB) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(t.Name()))
}

// newRig makes a store for an address. Data streams have portable field types too,
// since the server under test lacks the others.
func newRig(t testing.TB, url, layout string, change ...func(*Config, *Options)) *rig {
	t.Helper()
	r := &rig{rejected: &keeper{}, log: &bytes.Buffer{}}
	cfg := Config{Enabled: true, URLs: []string{url}, Namespace: namespace(t), Layout: layout, Replicas: 0,
		Refresh: time.Second, Timeout: 20 * time.Second, Bulk: Bulk{Bytes: 256 << 10, Interval: 50 * time.Millisecond}}
	opt := Options{Rejected: r.rejected.keep, Log: slog.New(slog.NewTextHandler(&guarded{b: r.log}, nil))}
	for _, c := range change {
		c(&cfg, &opt)
	}
	cfg.Check(func(key, message string) { t.Fatalf("%s %s", key, message) })
	s, err := New(cfg, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.portable = true
	r.Store = s
	return r
}

// guarded is a writer for several goroutines.
type guarded struct {
	mu sync.Mutex
	b  *bytes.Buffer
}

func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.Write(p)
}

// installed is a store whose templates are there.
func installed(t testing.TB, url, layout string, change ...func(*Config, *Options)) *rig {
	t.Helper()
	r := newRig(t, url, layout, change...)
	if _, err := r.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.wipe(t) })
	return r
}

// wipe removes what a test made, so that the one node is not filled with shards.
func (r *rig) wipe(t testing.TB) {
	ctx := context.Background()
	admin := newRig(t, server(t).URL(), r.cfg.Layout, func(c *Config, _ *Options) { c.Namespace = r.cfg.Namespace })
	for _, k := range Kinds() {
		names := map[string]any{}
		_ = admin.web.call(ctx, "GET", "/"+admin.target(k)+"/_settings?expand_wildcards=all&ignore_unavailable=true", nil, &names)
		for name := range names {
			_ = admin.web.call(ctx, "PUT", "/"+name+"/_settings", []byte(`{"index.blocks.write":null,"index.blocks.read_only":null,"index.blocks.read_only_allow_delete":null}`), nil)
			_ = admin.web.call(ctx, "DELETE", "/"+name, nil, nil)
		}
	}
}

// api asks the cluster itself, past any proxy.
func api(t testing.TB, method, path, body string, out any) error {
	t.Helper()
	var data []byte
	if body != "" {
		data = []byte(body)
	}
	return newRig(t, server(t).URL(), LayoutIndex).web.call(context.Background(), method, path, data, out)
}

func must(t testing.TB, method, path, body string, out any) {
	t.Helper()
	if err := api(t, method, path, body, out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

// ids counts the documents of a kind by id, in whatever index they are.
func (r *rig) ids(t testing.TB, k Kind) map[string]int {
	t.Helper()
	direct := newRig(t, server(t).URL(), r.cfg.Layout, func(c *Config, _ *Options) { c.Namespace = r.cfg.Namespace })
	direct.mustRefresh(t)
	hits, err := direct.search(t.Context(), k, object{"size": pageMax, "_source": false})
	if err != nil {
		t.Fatal(err)
	}
	if len(hits) == pageMax {
		t.Fatal("too many documents for one page")
	}
	out := map[string]int{}
	for _, h := range hits {
		out[h.ID]++
	}
	return out
}

// exactly demands that each document is there once, and no other.
func (r *rig) exactly(t testing.TB, docs ...[]Doc) {
	t.Helper()
	want := map[Kind]map[string]int{}
	for _, list := range docs {
		for _, d := range list {
			if want[d.Kind] == nil {
				want[d.Kind] = map[string]int{}
			}
			want[d.Kind][d.ID] = 1
		}
	}
	for k, ids := range want {
		got := r.ids(t, k)
		lost, doubled, foreign := 0, 0, 0
		for id := range ids {
			if got[id] == 0 {
				lost++
			}
		}
		for id, n := range got {
			if n > 1 {
				doubled++
			}
			if ids[id] == 0 {
				foreign++
			}
		}
		t.Logf("%s: %d documents, %d lost, %d doubled, %d foreign", k, len(ids), lost, doubled, foreign)
		if lost+doubled+foreign > 0 {
			t.Errorf("%s: %d lost, %d doubled, %d that were never written", k, lost, doubled, foreign)
		}
	}
}

func (r *rig) mustRefresh(t testing.TB) {
	t.Helper()
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// numbered makes findings from..to-1 as documents.
func (r *rig) numbered(t testing.TB, from, to int) []Doc {
	t.Helper()
	var docs []Doc
	for n := from; n < to; n++ {
		d, err := r.FindingDoc(sample(n))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, d)
	}
	return docs
}

func sample(n int) detect.Finding {
	at := (1795910280 + int64(n)) * 1e9 // around midnight
	f := detect.Finding{
		Rule: "auth-burst", Version: 1, Family: detect.Credential, Severity: detect.High, Confidence: 0.9,
		Subject: detect.Subject{Kind: "ip", Value: fmt.Sprintf("198.51.%d.%d", n>>8&255, n&255)}, Window: at,
		FirstSeen: at, LastSeen: at + 30e9, FiredAt: at + 1e9, Count: 12, Why: "12 refused logins in 30 s", Route: "/login",
		Standing: detect.Standing{Successes: 3, People: 1, Since: at - 1e9},
	}
	f.ID = detect.FindingID(f.Rule, f.Subject, f.Window)
	for i := range 3 {
		f.Evidence[i] = detect.Evidence{Source: "gate", Offset: int64(n*1000 + i), Time: at,
			Line: f.Subject.Value + ` - - [28/Nov/2026:01:10:56 +0000] "POST /login HTTP/1.1" 401 120 "-" "curl/8.4"`}
	}
	return f
}

// eventually waits for a condition that a running part brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !testbed.Eventually(3*time.Minute, ok) {
		t.Fatalf("within three minutes not: %s", what)
	}
}

// writing writes in the background; wait returns how it ended.
func (r *rig) writing(ctx context.Context, docs []Doc) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- r.Write(ctx, docs) }()
	return func() error { return <-done }
}

// layouts runs a test in both layouts.
func layouts(t *testing.T, test func(t *testing.T, layout string)) {
	for _, l := range []string{LayoutIndex, LayoutDataStream} {
		t.Run(l, func(t *testing.T) { test(t, l) })
	}
}

// together is layouts with both at once, for tests that change nothing beside their own
// namespace: most of their time goes into pauses between tries.
func together(t *testing.T, test func(t *testing.T, layout string)) {
	layouts(t, func(t *testing.T, layout string) {
		t.Parallel()
		test(t, layout)
	})
}
