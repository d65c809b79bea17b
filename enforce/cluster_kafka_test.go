package enforce_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/journal"
	fixture "github.com/portcullis/portcullis/fixtures/broker"
	"github.com/segmentio/kafka-go"
)

const kafkaTopic = "decisions"

// realTopic is a topic of a real Kafka, by plain requests: one for each append.
type realTopic struct{ client kafka.Client }

func newRealTopic(t *testing.T) *realTopic {
	t.Helper()
	b, err := fixture.New(t.TempDir())
	if errors.Is(err, fixture.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED: %v: apt-get install default-jre-headless maven && deploy/testbed/kafka.sh fetch", err)
	}
	if err == nil {
		err = b.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	r := &realTopic{client: kafka.Client{Addr: kafka.TCP(b.Plain()), Timeout: 10 * time.Second}}
	res, err := r.client.CreateTopics(t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: kafkaTopic, NumPartitions: 1, ReplicationFactor: 1,
		ConfigEntries: []kafka.ConfigEntry{{ConfigName: "cleanup.policy", ConfigValue: "compact"}},
	}}})
	if err == nil {
		err = res.Errors[kafkaTopic]
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Append implements enforce.Journal.
func (r *realTopic) Append(ctx context.Context, epoch int64, recs []journal.Record) error {
	out := make([]kafka.Record, len(recs))
	for i, rec := range recs {
		out[i] = kafka.Record{Key: kafka.NewBytes([]byte(rec.Key)), Headers: []kafka.Header{{Key: "epoch", Value: strconv.AppendInt(nil, epoch, 10)}}}
		if rec.Value != nil {
			out[i].Value = kafka.NewBytes(rec.Value)
		}
	}
	res, err := r.client.Produce(ctx, &kafka.ProduceRequest{Topic: kafkaTopic, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(out...), Compression: kafka.Zstd})
	if err != nil {
		return err
	}
	return res.Error
}

// Read is that of enforcetest.Topic.
func (r *realTopic) Read(ctx context.Context, from int64, limit int) (recs []journal.Record, next int64, err error) {
	for len(recs) == 0 {
		res, err := r.client.Fetch(ctx, &kafka.FetchRequest{Topic: kafkaTopic, Offset: from, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second})
		if err == nil {
			err = res.Error
		}
		if err != nil && ctx.Err() == nil { // as who follows for real does: asked again
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		if err != nil {
			return nil, from, err
		}
		for next = from; len(recs) < limit; {
			rec, err := res.Records.ReadRecord()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, from, err
			}
			if rec.Offset < from { // a batch comes as a whole
				continue
			}
			j := journal.Record{Offset: rec.Offset}
			key, err := kafka.ReadAll(rec.Key)
			if err == nil {
				j.Value, err = kafka.ReadAll(rec.Value)
			}
			if err != nil {
				return nil, from, err
			}
			j.Key = string(key)
			j.Epoch, _ = strconv.ParseInt(string(rec.Headers[0].Value), 10, 64)
			recs, next = append(recs, j), rec.Offset+1
		}
	}
	return recs, next, nil
}

// eventually waits for the real clock.
func eventually(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if ok() {
			return time.Since(begin)
		}
		if time.Since(begin) > 2*time.Minute {
			t.Fatalf("not within two minutes: %s", what)
		}
	}
	return 0
}

// TestOnRealKafka: two enforcers, one is killed, and the topic is what a third
// one needs.
func TestOnRealKafka(t *testing.T) {
	topic := newRealTopic(t)
	f := newFleet(t, t.TempDir(), 0)
	f.wire, f.cfg.Push.Poll, f.cfg.Guard.PerMinute = topic, 50*time.Millisecond, 1000
	f.add()
	f.add()
	defer f.close()
	f.owner.Store(0)
	eventually(t, "the first one leads", func() bool { return f.nodes[0].enforcer() != nil })
	f.offer(finding("f0", "192.0.2.1"))
	t.Logf("finding to gateway: %s", eventually(t, "a decision is pushed", func() bool { return len(f.sim.Held()) == 1 }))
	for i := range 100 {
		f.offer(finding(fmt.Sprint("g", i), fmt.Sprintf("198.51.100.%d", i)))
	}
	t.Logf("100 more: %s", eventually(t, "all are pushed", func() bool { return len(f.sim.Held()) == 101 }))
	if _, err := f.nodes[1].ledger.Post(t.Context(), enforce.Command{Who: "ana", Verb: enforce.VerbRelease, Arg: "192.0.2.1"}); err != nil {
		t.Fatal(err)
	}
	t.Logf("a command on the standby: %s", eventually(t, "it is released", func() bool { return len(f.sim.Held()) == 100 }))
	f.nodes[0].stop()
	f.sim.Forget()
	f.owner.Store(1)
	f.offer(finding("f1", "192.0.2.3"))
	t.Logf("fail-over, with the second that this test waits for the election: %s", eventually(t, "the other one leads", func() bool { return len(f.sim.Held()) == 101 }))
	f.nodes[0].start()
	f.add()
	eventually(t, "all hold the same", func() bool {
		want := f.nodes[1].dump()
		return f.nodes[0].dump() == want && f.nodes[2].dump() == want
	})
	f.same()
	if m := f.nodes[2].membership(); m.Epoch != 2 || m.Refused != 0 || m.Newer != 0 || m.Owed != 0 {
		t.Errorf("%+v", m)
	}
}
