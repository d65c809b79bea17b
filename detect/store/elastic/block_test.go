package elastic

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func addr(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// TestReadOnly blocks the index through the API, in each way, under a writer.
func TestReadOnly(t *testing.T) {
	layouts(t, func(t *testing.T, layout string) {
		r := installed(t, server(t).URL(), layout)
		docs := r.numbered(t, 0, 10)
		if err := r.Write(t.Context(), docs); err != nil {
			t.Fatal(err)
		}
		for _, block := range []string{"write", "read_only", "read_only_allow_delete"} {
			// Elasticsearch lifts the last one by itself, every half a minute when it looks
			// at its disks: where that came in between, it is set again.
			for try := 0; ; try++ {
				more := r.numbered(t, len(docs), len(docs)+10)
				docs = append(docs, more...)
				problems, health := r.underBlock(t, block, more)
				if strings.Contains(problems, "is read-only (index.blocks."+block+")") && strings.Contains(health, "cluster_block_exception") {
					break
				}
				if try == 4 {
					t.Fatalf("index.blocks.%s is not reported; problems %q, health %q", block, problems, health)
				}
			}
			if h := r.Health(); h.Error != "" || h.Rejected != 0 {
				t.Errorf("after %s: %+v", block, h)
			}
		}
		r.exactly(t, docs)
	})
}

// underBlock writes while a block is set, and lifts it once the writer has met it, or
// has ended. It returns what was said of it.
func (r *rig) underBlock(t *testing.T, block string, docs []Doc) (problems, health string) {
	t.Helper()
	set := func(v string) {
		must(t, "PUT", "/"+r.target(Finding)+"/_settings?expand_wildcards=all", `{"index.blocks.`+block+`":`+v+`}`, nil)
	}
	set("true")
	problems = r.problems(t)
	ended := make(chan error, 1)
	go func() { ended <- r.Write(t.Context(), docs) }()
	eventually(t, "the writer meets the block or ends", func() bool {
		health = r.Health().Error
		return health != "" || len(ended) > 0
	})
	set("null")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return problems, health
}

// TestFullDisk lets Elasticsearch find its disk full, by a watermark that every disk
// is past, and lifts it.
func TestFullDisk(t *testing.T) {
	r := installed(t, server(t).URL(), LayoutIndex)
	docs := r.numbered(t, 0, 10)
	if err := r.Write(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
	const watch = `"cluster.routing.allocation.disk.`
	settings := func(enabled, mark, update string) string {
		return `{"persistent":{` + watch + `threshold_enabled":` + enabled + `,` + watch + `watermark.low":` + mark + `,` +
			watch + `watermark.high":` + mark + `,` + watch + `watermark.flood_stage":` + mark + `,"cluster.info.update.interval":` + update + `}}`
	}
	t.Cleanup(func() { _ = api(t, "PUT", "/_cluster/settings", settings("null", "null", "null"), nil) })
	// So much must stay free, which no disk has.
	must(t, "PUT", "/_cluster/settings", settings("true", `"900tb"`, `"10s"`), nil)
	more := r.numbered(t, 10, 30)
	eventually(t, "the flood-stage block is set", func() bool {
		return strings.Contains(r.problems(t), "read_only_allow_delete")
	})
	wait := r.writing(t.Context(), more)
	eventually(t, "the full disk is reported", func() bool { return strings.Contains(r.Health().Error, "a disk of the cluster is nearly full") })
	must(t, "PUT", "/_cluster/settings", settings("true", `"1kb"`, `"10s"`), nil)
	if err := wait(); err != nil { // Elasticsearch lifts the block by itself
		t.Fatal(err)
	}
	r.exactly(t, docs, more)
	if h := r.Health(); h.Error != "" || h.Rejected != 0 {
		t.Errorf("%+v", h)
	}
}

// TestShardLimit has the cluster refuse a new index.
func TestShardLimit(t *testing.T) {
	r := installed(t, server(t).URL(), LayoutIndex)
	if err := r.Write(t.Context(), r.numbered(t, 0, 1)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = api(t, "PUT", "/_cluster/settings", `{"persistent":{"cluster.max_shards_per_node":null}}`, nil)
	})
	must(t, "PUT", "/_cluster/settings", `{"persistent":{"cluster.max_shards_per_node":1}}`, nil)
	docs := r.numbered(t, 0, 240) // over midnight
	wait := r.writing(t.Context(), docs)
	eventually(t, "the limit is reported", func() bool { return strings.Contains(r.Health().Error, "as many shards as it allows") })
	must(t, "PUT", "/_cluster/settings", `{"persistent":{"cluster.max_shards_per_node":null}}`, nil)
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	r.exactly(t, docs)
}

// TestClosedIndex writes into an index that somebody closed.
func TestClosedIndex(t *testing.T) {
	r := installed(t, server(t).URL(), LayoutIndex)
	docs := r.numbered(t, 0, 10)
	if err := r.Write(t.Context(), docs[:5]); err != nil {
		t.Fatal(err)
	}
	name := "/" + r.index(&docs[0])
	must(t, "POST", name+"/_close", "", nil)
	wait := r.writing(t.Context(), docs)
	eventually(t, "the closed index is reported", func() bool { return strings.Contains(r.Health().Error, "the index is closed") })
	must(t, "POST", name+"/_open", "", nil)
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	r.exactly(t, docs)
}

func TestWriteEnds(t *testing.T) {
	r := newRig(t, "http://127.0.0.1:1", LayoutIndex)
	ctx, cancel := context.WithCancel(t.Context())
	wait := r.writing(ctx, r.numbered(t, 0, 10))
	eventually(t, "the trouble is reported", func() bool { return strings.Contains(r.Health().Error, "refused") })
	cancel()
	if err := wait(); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("Write ended with %v", err)
	}
}

func TestSize(t *testing.T) {
	s := newSizer(1 << 20)
	for range 20 {
		s.shrink(sizeMin)
	}
	if s.now() != sizeMin {
		t.Errorf("after many refusals %d", s.now())
	}
	for range 20 {
		s.shrink(1)
	}
	if s.now() != 1 {
		t.Errorf("after too large ones %d", s.now())
	}
	for range 200 {
		s.grow()
	}
	if s.now() != 1<<20 {
		t.Errorf("after many successes %d", s.now())
	}
}

func TestRate(t *testing.T) {
	now := time.Unix(1795910280, 0)
	m := newHealth(nil, func() time.Time { return now })
	for range 20 {
		m.count(100, 20, 3, 7)
		now = now.Add(time.Second)
	}
	if h := m.read(); fmt.Sprint(h.PerSecond, h.Written, h.Existing, h.Rejected, h.Retried) != "123 2000 400 60 140" {
		t.Errorf("%+v", h)
	}
	now = now.Add(5 * time.Second)
	if h := m.read(); h.PerSecond != 123*.5 {
		t.Errorf("after five idle seconds %v", h.PerSecond)
	}
}
