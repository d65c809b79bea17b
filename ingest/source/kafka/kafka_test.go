package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"

	"github.com/portcullis/portcullis/ingest"
)

func TestRecords(t *testing.T) {
	b := needBroker(t)
	topic := b.Topic(t, "records", 1, "max.message.bytes", "4194304")
	long := strings.Repeat("x", 1<<20)
	b.write(t, topic, 0, nil,
		[]byte(`{"a":1}`),
		[]byte("one\ntwo\n"),
		[]byte(`[{"b":"],\n"},{"c":[1,2]}]`),
		nil,
		[]byte(long),
		[]byte(long+"y"),
		[]byte(`[]`),
		[]byte("{\n \"d\": 2\n}\n"),
	)
	r := read(t, settings(b, topic), newSink())
	await(t, "all records", func() bool { return r.total() >= 10 })
	r.stop()
	r.check(t, []string{`{"a":1}`, "one", "two", `{"b":"],\n"}`, `{"c":[1,2]}`, long, `{  "d": 2 }`})
	for off, want := range map[int64]string{0: `{"a":1}`, 1 << 20: "one", 1<<20 + 4: "two", 2<<20 + 13: `{"c":[1,2]}`} {
		for file, at := range r.at {
			if file == 0 || at[off] != want {
				t.Errorf("at %d stands %.40q, want %q", off, at[off], want)
			}
		}
	}
	var rejects []string
	for _, x := range r.rejects {
		rejects = append(rejects, fmt.Sprintf("%s %d %d", x.Reason, x.Pos.Offset>>20, x.Length))
	}
	if got := strings.Join(rejects, ", "); got != "empty 3 0, too_long 5 1048577, empty 6 2" {
		t.Errorf("rejects: %s", got)
	}
	if st := r.Stats(); st.Records != 8 || r.Health().Lag != 0 || r.Health().Error != "" {
		t.Errorf("stats %+v, health %+v", st, r.Health())
	}
}

func TestCodecs(t *testing.T) {
	b := fullBroker(t)
	topic := b.Topic(t, "codecs", 1)
	var want []string
	for _, codec := range compress.Codecs {
		if codec == nil {
			continue
		}
		values, lines := numbered(codec.Name(), 0, 3000)
		b.write(t, topic, 0, codec, values...)
		want = append(want, lines...)
	}
	r := read(t, settings(b, topic), newSink())
	await(t, "all lines", func() bool { return r.total() >= len(want) })
	r.stop()
	r.check(t, want)
}

// TestResume stops at many places, as a kill would, and goes on from the last
// mark: no line may be missing or come twice.
func TestResume(t *testing.T) {
	b := needBroker(t)
	topic := b.Topic(t, "resume", 3)
	var want [][]string
	total := 0
	for p := range 3 {
		values, lines := numbered(fmt.Sprint("p", p), 0, 400*(p+1))
		b.write(t, topic, p, compress.Zstd.Codec(), values...)
		want, total = append(want, lines), total+len(lines)
	}
	s, killed := newSink(), errors.New("killed")
	for round := 1; s.total() < total; round++ {
		until := min(s.total()+round*97, total)
		s.hook = func(n int) error {
			if n >= until {
				return killed
			}
			return nil
		}
		r := read(t, settings(b, topic), s, s.last()...)
		await(t, "lines of this round", func() bool { return s.total() >= until })
		if err := r.stop(); err != killed {
			t.Fatalf("Run = %v, want the error of out", err)
		}
	}
	s.check(t, want...)
}

// TestEveryMark goes on from each mark that was ever handed out: what lies behind
// it comes, and nothing else.
func TestEveryMark(t *testing.T) {
	b := fullBroker(t)
	topic := b.Topic(t, "marks", 2)
	for p := range 2 {
		values, _ := numbered(fmt.Sprint("p", p), 0, 10)
		b.write(t, topic, p, nil, values...)
	}
	first := read(t, settings(b, topic), newSink())
	await(t, "all lines", func() bool { return first.total() == 20 })
	first.stop()
	for i, m := range first.marks {
		rest := 20
		_, list, _ := strings.Cut(m.Path, " ")
		for place := range strings.SplitSeq(list, ",") {
			var id, next int
			if _, err := fmt.Sscanf(place, "%d:%d", &id, &next); err != nil {
				t.Fatalf("mark %q: %v", m.Path, err)
			}
			rest -= next
		}
		r := read(t, settings(b, topic), newSink(), m)
		await(t, "the rest", func() bool { return r.total() >= rest })
		r.stop()
		if r.total() != rest {
			t.Errorf("behind mark %d (%s): %d lines, want %d", i, m.Path, r.total(), rest)
		}
	}
}

func TestBrokerRestart(t *testing.T) {
	b := fullBroker(t)
	topic := b.Topic(t, "restart", 2)
	values, lines := numbered("a", 0, 500)
	b.write(t, topic, 0, nil, values...)
	r := read(t, settings(b, topic), newSink())
	await(t, "lines before", func() bool { return r.total() == 500 })
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	await(t, "the trouble", func() bool { return strings.Contains(r.Health().Error, "connection refused") })
	refused := 0
	await(t, "more attempts", func() bool { refused++; return refused > 400 })
	if n := r.log.count("connection refused"); n != 1 {
		t.Errorf("said %d times that the broker is away, want once", n)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	more, after := numbered("a", 500, 1000)
	b.write(t, topic, 0, nil, more...)
	other, second := numbered("b", 0, 10)
	b.write(t, topic, 1, nil, other...)
	await(t, "lines after", func() bool { return r.total() >= 1010 })
	await(t, "all well", func() bool { return r.Health().Error == "" })
	r.stop()
	r.check(t, append(lines, after...), second)
	if h := r.Health(); h.Losses != 0 {
		t.Errorf("losses: %+v", h)
	}
}

func TestTopicMissing(t *testing.T) {
	b := fullBroker(t)
	cfg := settings(b, "missing")
	cfg.Start = "newest" // what is written to a topic made after we came is new, all of it
	r := read(t, cfg, newSink())
	await(t, "the trouble", func() bool { return strings.Contains(r.Health().Error, `topic "missing" does not exist`) })
	b.With(t, func(ctx context.Context, c *kafkago.Client) error {
		m, err := c.Metadata(ctx, &kafkago.MetadataRequest{})
		for _, topic := range m.Topics {
			if topic.Name == "missing" {
				t.Error("asking for a topic made it")
			}
		}
		return err
	})
	b.Topic(t, "missing", 1)
	b.write(t, "missing", 0, nil, []byte("at last"))
	await(t, "the line", func() bool { return r.total() == 1 })
	await(t, "all well", func() bool { return r.Health().Error == "" })
	if r.log.count("does not exist") != 1 {
		t.Errorf("said %d times, want once", r.log.count("does not exist"))
	}
}

func TestNewPartitions(t *testing.T) {
	b := fullBroker(t)
	topic := b.Topic(t, "grows", 1)
	cfg := settings(b, topic)
	cfg.Start = "newest"
	b.write(t, topic, 0, nil, []byte("before"))
	r := read(t, cfg, newSink())
	await(t, "a place to go on from", func() bool { return len(r.last()) == 1 })
	b.With(t, func(ctx context.Context, c *kafkago.Client) error {
		_, err := c.CreatePartitions(ctx, &kafkago.CreatePartitionsRequest{Topics: []kafkago.TopicPartitionsConfig{{Name: topic, Count: 3}}})
		return err
	})
	b.write(t, topic, 2, nil, []byte("new 2"))
	b.write(t, topic, 1, nil, []byte("new 1"))
	b.write(t, topic, 0, nil, []byte("old"))
	await(t, "all three", func() bool { return r.total() == 3 })
	r.stop()
	r.check(t, []string{"old"}, []string{"new 1"}, []string{"new 2"})
}

// TestNewest: what is written while the reader is down after its first start is
// not passed over, although no record had been read.
func TestNewest(t *testing.T) {
	b := fullBroker(t)
	topic := b.Topic(t, "newest", 1)
	b.write(t, topic, 0, nil, []byte("before"))
	cfg := settings(b, topic)
	cfg.Start = "newest"
	r := read(t, cfg, newSink())
	await(t, "a place to go on from", func() bool { return len(r.last()) == 1 })
	r.stop()
	b.write(t, topic, 0, nil, []byte("while down"))
	again := read(t, cfg, newSink(), r.last()...)
	await(t, "the line", func() bool { return again.total() == 1 })
	again.stop()
	again.check(t, []string{"while down"})
}

func TestLost(t *testing.T) {
	b := fullBroker(t)
	topic := b.Topic(t, "lost", 1)
	values, lines := numbered("n", 0, 100)
	b.write(t, topic, 0, nil, values[:10]...)
	r := read(t, settings(b, topic), newSink())
	await(t, "the first lines", func() bool { return r.total() == 10 })
	r.stop()
	b.write(t, topic, 0, nil, values[10:]...)
	file := filepath.Join(t.TempDir(), "delete.json")
	if err := os.WriteFile(file, []byte(`{"partitions":[{"topic":"lost","partition":0,"offset":60}],"version":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	b.Tool(t, "org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server", b.Plain(), "--offset-json-file", file)
	again := read(t, settings(b, topic), newSink(), r.last()...)
	await(t, "the rest", func() bool { return again.total() == 40 })
	again.stop()
	again.check(t, lines[60:])
	if h, st := again.Health(), again.Stats(); h.Losses != 1 || st.LostRecords != 50 || h.LostBytes != 50*8 {
		t.Errorf("health %+v, stats %+v, want one loss of 50 records of 8 bytes", h, st)
	}
	if again.log.count("lost_records=50") != 1 {
		t.Error("the loss was not said once, with its number")
	}
}

func TestMadeAnew(t *testing.T) {
	b := fullBroker(t)
	topic := b.Topic(t, "anew", 1)
	values, _ := numbered("old", 0, 20)
	b.write(t, topic, 0, nil, values...)
	r := read(t, settings(b, topic), newSink())
	await(t, "the old lines", func() bool { return r.total() == 20 })
	r.stop()
	b.With(t, func(ctx context.Context, c *kafkago.Client) error {
		answer, err := c.DeleteTopics(ctx, &kafkago.DeleteTopicsRequest{Topics: []string{topic}})
		return errors.Join(err, answer.Errors[topic])
	})
	b.Topic(t, topic, 1)
	values, lines := numbered("new", 0, 5)
	b.write(t, topic, 0, nil, values...)
	again := read(t, settings(b, topic), newSink(), r.last()...)
	await(t, "the new lines", func() bool { return again.total() == 5 })
	again.stop()
	again.check(t, lines)
	if again.Health().Losses != 1 || again.log.count("made anew") != 1 {
		t.Errorf("health %+v; want one loss that was said", again.Health())
	}
}

func TestOtherMark(t *testing.T) {
	b := fullBroker(t)
	topic := b.Topic(t, "other", 1)
	b.write(t, topic, 0, nil, []byte("line"))
	r := read(t, settings(b, topic), newSink(),
		ingest.Mark{Source: "kafka:other", Path: "/var/log/access.log", Offset: 99},
		ingest.Mark{Source: "another", Path: "other 0:1"})
	await(t, "the line", func() bool { return r.total() == 1 })
	if r.log.count("a saved position is passed over") != 1 {
		t.Error("the mark of something else was not said")
	}
}

func TestTransactions(t *testing.T) {
	b := fullBroker(t)
	topic := b.Topic(t, "transactions", 1)
	b.Tool(t, "org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", "2000", "--record-size", "40",
		"--throughput", "4000", "--transactional-id", "writer", "--transaction-duration-ms", "50", "--producer-props", "bootstrap.servers="+b.Plain())
	b.write(t, topic, 0, nil, []byte("last"))
	r := read(t, settings(b, topic), newSink())
	await(t, "all lines", func() bool { return r.total() >= 2001 })
	r.stop()
	end := r.last()[0].Offset >> 20
	if r.total() != 2001 || len(r.rejects) != 0 || end < 2003 {
		t.Errorf("%d lines, %d rejects, end %d; want 2001 lines and the markers passed over", r.total(), len(r.rejects), end)
	}
}
