package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/kafkanet"
	"github.com/portcullis/portcullis/internal/config"
)

func TestAssign(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partitions := map[string][]int{}
		for _, topic := range []string{"access", "partials"} {
			for p := range rapid.IntRange(0, 20).Draw(t, topic) {
				partitions[topic] = append(partitions[topic], p)
			}
		}
		members := map[string]candidate{}
		for generation := range 6 {
			for id := range rapid.IntRange(0, 5).Draw(t, "members") {
				name := fmt.Sprint("m", id)
				if _, is := members[name]; !is {
					members[name] = candidate{id: name, topics: []string{"access", "partials"}}
				} else if rapid.Bool().Draw(t, "leaves") {
					delete(members, name)
				}
			}
			if len(members) == 0 {
				continue
			}
			list := slices.Collect(maps.Values(members))
			rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			now := assign(list, partitions)
			checkShares(t, now, partitions, members)
			if again := assign(list, partitions); fmt.Sprint(again) != fmt.Sprint(now) {
				t.Fatalf("twice the same question, two answers: %v, %v", now, again)
			}
			for id, m := range members {
				m.owned, m.generation = now[id], int32(generation)
				members[id] = m
			}
			if same := assign(slices.Collect(maps.Values(members)), partitions); fmt.Sprint(same) != fmt.Sprint(now) {
				t.Fatalf("nobody came or went, and partitions moved: %v, %v", now, same)
			}
		}
	})
}

// checkShares checks that each partition has one owner, and each owner its share.
func checkShares(t *rapid.T, now map[string]map[string][]int, partitions map[string][]int, members map[string]candidate) {
	for topic, all := range partitions {
		var given []int
		least, most := len(all), 0
		for id := range members {
			n := len(now[id][topic])
			given = append(given, now[id][topic]...)
			least, most = min(least, n), max(most, n)
		}
		slices.Sort(given)
		if !slices.Equal(given, all) {
			t.Fatalf("%s: given %v, there are %v", topic, given, all)
		}
		if most-least > 1 {
			t.Fatalf("%s: one has %d partitions, another %d", topic, most, least)
		}
	}
}

// TestAssignSticks counts what moves when one member comes or goes.
func TestAssignSticks(t *testing.T) {
	partitions := map[string][]int{"access": {0, 1, 2, 3, 4, 5, 6, 7}, "decisions": {0}}
	member := func(id string, has map[string][]int) candidate {
		return candidate{id: id, topics: []string{"access", "decisions"}, owned: has, generation: 1}
	}
	one := assign([]candidate{member("b", nil)}, partitions)
	two := assign([]candidate{member("a", nil), member("b", one["b"])}, partitions)
	if !slices.Equal(two["b"]["access"], []int{0, 1, 2, 3}) || !slices.Equal(two["b"]["decisions"], []int{0}) {
		t.Errorf("who was there keeps %v", two["b"])
	}
	// One that was away for a while still claims what it had; it has it no more.
	stale := candidate{id: "0", topics: []string{"access", "decisions"}, owned: map[string][]int{"access": {0, 1, 2, 3, 4, 5, 6, 7}, "decisions": {0}}}
	three := assign([]candidate{stale, member("a", two["a"]), member("b", two["b"])}, partitions)
	if !slices.Equal(three["b"]["decisions"], []int{0}) || len(three["b"]["access"]) != 3 || len(three["a"]["access"]) != 3 {
		t.Errorf("shares with a member of the past: %v", three)
	}
}

func TestQueue(t *testing.T) {
	q := newQueue[int](100)
	for i := range 3 {
		if err := q.put(t.Context(), i, 40); err != nil && i < 2 {
			t.Fatal(err)
		}
		if i == 1 {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := q.put(ctx, 9, 40); !errors.Is(err, context.Canceled) {
				t.Fatalf("a full queue took more: %v", err)
			}
			if got := q.take(t.Context(), 40, 10); !slices.Equal(got, []int{0}) {
				t.Fatalf("took %v", got)
			}
		}
	}
	if got := q.take(t.Context(), 1000, 10); !slices.Equal(got, []int{1, 2}) {
		t.Fatalf("took %v", got)
	}
	if err := q.put(t.Context(), 7, 1000); err != nil {
		t.Fatalf("a larger item is let in alone: %v", err)
	}
	q.close()
	if err := q.put(t.Context(), 8, 1); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("put after close: %v", err)
	}
	if got := q.take(t.Context(), 1, 1); !slices.Equal(got, []int{7}) {
		t.Errorf("took %v", got)
	}
	if got := q.take(t.Context(), 1, 1); got != nil {
		t.Errorf("took %v of a closed queue", got)
	}
}

func TestSequence(t *testing.T) {
	p := producer{id: 1, sequence: 1<<31 - 2}
	if p = p.after(1); p.sequence != 1<<31-1 {
		t.Errorf("sequence %d", p.sequence)
	}
	if p = p.after(3); p.sequence != 2 {
		t.Errorf("sequence %d behind the last one, want it to begin anew", p.sequence)
	}
}

func TestCheck(t *testing.T) {
	var c Config
	if err := config.Load("test.yaml", nil, nil, &c); err != nil {
		t.Fatal(err)
	}
	want := Config{SASL: kafkanet.SASL{Mechanism: "none"}}.withDefaults()
	if fmt.Sprintf("%+v", c) != fmt.Sprintf("%+v", want) {
		t.Errorf("the tags say %+v\nthe code says %+v", c, want)
	}
	for key, with := range map[string]func(*Config){
		"":                func(*Config) {},
		"brokers":         func(c *Config) { c.Brokers = nil },
		"prefix":          func(c *Config) { c.Prefix = "a b" },
		"partitions":      func(c *Config) { c.Partitions = 300 },
		"wide_partitions": func(c *Config) { c.WidePartitions = -1 },
		"compression":     func(c *Config) { c.Compression = "gzip" },
		"session_timeout": func(c *Config) { c.SessionTimeout = time.Millisecond },
		"batch_bytes":     func(c *Config) { c.BatchBytes = 1 << 30 },
		"sasl.user":       func(c *Config) { c.SASL.Mechanism, c.SASL.Password = "plain", "p" },
		"tls.cert":        func(c *Config) { c.TLS = kafkanet.TLS{Enabled: true, Cert: "c"} },
	} {
		c := Config{Enabled: true, Brokers: []string{"k:9092"}}
		with(&c)
		var keys []string
		c.Check(func(key, message string) { keys = append(keys, key) })
		if key == "" && len(keys) > 0 || key != "" && !slices.Equal(keys, []string{key}) {
			t.Errorf("Check reports %v, want %q", keys, key)
		}
		c.Enabled = false
		c.Check(func(key, message string) { t.Errorf("unused settings are reported: %s %s", key, message) })
	}
}

func FuzzHead(f *testing.F) {
	f.Add([]byte(`{"version":1,"epoch":3,"seq":2,"blobs":[{"name":".meta","epoch":3,"seq":2,"size":5,"sha256":"00"},{"name":"shard/1","epoch":2,"seq":9,"size":600000,"sha256":"ff"}]}`))
	f.Add([]byte(`{"version":1,"blobs":[{"name":".meta"}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHead(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeHead(again); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		l := &loading{task: "t", keys: map[string]place{}, value: map[string][]byte{}, epoch: -1}
		l.take(headKey("t", h.Epoch), b)
		if blobs, err := l.assemble(); err == nil {
			for name, blob := range blobs {
				if len(blob) > 0 {
					t.Fatalf("blob %q came from nowhere", name)
				}
			}
		}
	})
}

func FuzzKey(f *testing.F) {
	for _, s := range []string{"head/7", "blob/a/1.2/0", "blob/shard/3/1.2/10", "blob//1.2/0", "head/-1", "head/01", "blob/a/1/0", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		p, ok := parseKey(rest)
		if !ok {
			return
		}
		want := fmt.Sprint("head/", p.epoch)
		if !p.head {
			r := blobRef{Epoch: p.epoch, Seq: p.seq}
			name, tail, _ := cutLast(rest, 2)
			_, chunk, _ := strings.Cut(tail, "/")
			r.Name = strings.TrimPrefix(name, "blob/")
			want = fmt.Sprintf("blob/%s/%d.%d/%s", r.Name, r.Epoch, r.Seq, chunk)
		}
		if rest != want {
			t.Fatalf("%q was read as %+v, which is written %q", rest, p, want)
		}
	})
}

// cutLast cuts at the nth slash from the end.
func cutLast(s string, n int) (before, after string, ok bool) {
	at := len(s)
	for range n {
		if at = strings.LastIndexByte(s[:at], '/'); at < 0 {
			return s, "", false
		}
	}
	return s[:at], s[at+1:], true
}

func FuzzLayout(f *testing.F) {
	f.Add([]byte(`{"partitions":8,"wide":2}`))
	f.Add([]byte(`{"partitions":0}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := decodeLayout(b); err == nil && (l.Partitions < 1 || l.Partitions > 256 || l.Wide < 1) {
			t.Fatalf("%+v", l)
		}
	})
}
