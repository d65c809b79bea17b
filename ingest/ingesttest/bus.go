package ingesttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/ingest/bus"
)

// OpenBus makes a bus with an empty topic of that name, which has at least two
// partitions.
type OpenBus func(t testing.TB, topic string) bus.Bus

// busDeadline is how long a rule may take: only one that hangs meets it. A broker
// that reassigns partitions takes seconds, 1600 commits on a busy machine a minute.
const busDeadline = 5 * time.Minute

// busTest is one rule with its own bus and topic.
type busTest struct {
	*testing.T
	bus   bus.Bus
	ctx   context.Context
	topic string
}

// Bus checks the rules of bus.Bus that every implementation keeps: order within
// a partition, groups apart from each other, redelivery of what was not
// committed, and calls that end when they are told to. Repeats are allowed where
// the interface allows them, gaps never. Topics are named after the tests.
func Bus(t *testing.T, open OpenBus) {
	for name, rule := range map[string]func(*busTest){
		"a message arrives as it was sent":          busContent,
		"one key stays in one partition, in order":  busOrder,
		"many producers lose nothing":               busProducers,
		"each group gets everything":                busGroups,
		"what is not committed comes again":         busRedelivery,
		"readers of a group share the partitions":   busShare,
		"a reader that leaves hands over":           busLeave,
		"fetch ends with its context":               busFetchCancel,
		"closing the bus ends all calls":            busClose,
		"closing a reader ends its fetch":           busReaderClose,
		"a reader may not commit for another group": busForeignCommit,
	} {
		t.Run(name, func(t *testing.T) {
			leak := goleak.IgnoreCurrent()
			ctx, cancel := context.WithTimeout(t.Context(), busDeadline)
			defer cancel()
			topic := "contract." + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")
			b := open(t, topic)
			rule(&busTest{t, b, ctx, topic})
			if err := b.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			busEnded(t, leak)
		})
	}
}

// busEnded demands that no goroutine is left. Those of a network may need a while to
// see that it is closed, on a busy machine more than the half second that goleak looks.
// A connection that was forgotten lives longer: libraries close it after 30 s.
func busEnded(t *testing.T, leak goleak.Option) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); ; {
		err := goleak.Find(leak)
		if err == nil {
			return
		}
		if time.Now().After(until) {
			t.Error(err)
			return
		}
	}
}

func (t *busTest) subscribe(group string) bus.Reader {
	t.Helper()
	r, err := t.bus.Subscribe(t.ctx, t.topic, group)
	if err != nil {
		t.Fatalf("Subscribe: %v", err)
	}
	return r
}

// publish sends one message whose value is the text.
func (t *busTest) publish(key, value string) {
	t.Helper()
	if err := t.bus.Publish(t.ctx, bus.Message{Topic: t.topic, Key: []byte(key), Value: []byte(value)}); err != nil {
		t.Fatalf("Publish: %v", err)
	}
}

func (t *busTest) fetch(r bus.Reader) *bus.Message {
	t.Helper()
	m, err := r.Fetch(t.ctx)
	if err != nil {
		t.Fatalf("Fetch: %v (a message that was published must arrive)", err)
	}
	return m
}

func (t *busTest) commit(r bus.Reader, m ...*bus.Message) {
	t.Helper()
	if err := r.Commit(t.ctx, m...); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

func (t *busTest) close(r bus.Reader) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatalf("Reader.Close: %v", err)
	}
}

// progress checks that each key's numbers come without a gap.
type progress map[string]int

// take says whether m is new; a repeat is fine, a gap is not.
func (p progress) take(t *busTest, m *bus.Message) bool {
	t.Helper()
	var n int
	if _, err := fmt.Sscanf(string(m.Value), "n%d", &n); err != nil {
		t.Errorf("value %q is not what was published: %v", m.Value, err)
		return false
	}
	key := string(m.Key)
	if n > p[key] {
		t.Errorf("key %q: message %d came while %d was due: within a partition nothing is skipped or overtaken", key, n, p[key])
		p[key] = n
	}
	if n < p[key] {
		return false
	}
	p[key]++
	return true
}

func busContent(t *busTest) {
	r := t.subscribe("g")
	value := []byte("a\x00\xff\nb")
	headers := []bus.Header{{Key: "z", Value: []byte("1")}, {Key: "a", Value: []byte{0xff}}, {Key: "z", Value: []byte("2")}}
	if err := t.bus.Publish(t.ctx, bus.Message{Topic: t.topic, Key: []byte("k"), Value: value, Headers: headers}); err != nil {
		t.Fatalf("Publish: %v", err)
	}
	m := t.fetch(r)
	if m.Topic != t.topic || string(m.Key) != "k" || string(m.Value) != "a\x00\xff\nb" {
		t.Errorf("got topic %q, key %q, value %q: they must arrive byte for byte", m.Topic, m.Key, m.Value)
	}
	if fmt.Sprint(m.Headers) != fmt.Sprint(headers) {
		t.Errorf("headers %v, want %v: order and repeated keys are kept", m.Headers, headers)
	}
	if string(m.Header("z")) != "1" || m.Header("none") != nil {
		t.Errorf("Header(z) = %q, want the first, and nil for a key that is not there", m.Header("z"))
	}
	t.commit(r, m)
	t.close(r)
}

func busOrder(t *busTest) {
	r := t.subscribe("g")
	const keys, each = 8, 10
	for n := range each {
		for k := range keys {
			t.publish(fmt.Sprint("key", k), fmt.Sprintf("n%d", n))
		}
	}
	p, at, last := progress{}, map[string]int{}, map[int]int64{}
	for got := 0; got < keys*each; {
		m := t.fetch(r)
		if part, known := at[string(m.Key)]; known && part != m.Partition {
			t.Fatalf("key %q is in partitions %d and %d: a key has one", m.Key, part, m.Partition)
		}
		if off, known := last[m.Partition]; known && m.Offset <= off {
			t.Fatalf("partition %d: offset %d after %d: offsets grow", m.Partition, m.Offset, off)
		}
		at[string(m.Key)], last[m.Partition] = m.Partition, m.Offset
		if p.take(t, m) {
			got++
		}
		t.commit(r, m)
	}
	if len(last) < 2 {
		t.Errorf("%d keys all went to one partition: keys must spread", keys)
	}
	t.close(r)
}

func busProducers(t *busTest) {
	r := t.subscribe("g")
	const producers, each = 8, 200
	var wg sync.WaitGroup
	defer wg.Wait()
	for k := range producers {
		wg.Go(func() {
			for n := range each {
				m := bus.Message{Topic: t.topic, Key: []byte(fmt.Sprint("p", k)), Value: fmt.Appendf(nil, "n%d", n)}
				if err := t.bus.Publish(t.ctx, m); err != nil {
					t.Errorf("Publish: %v", err)
					return
				}
			}
		})
	}
	p := progress{}
	for got := 0; got < producers*each; {
		m := t.fetch(r)
		if p.take(t, m) {
			got++
		}
		t.commit(r, m)
	}
	t.close(r)
}

func busGroups(t *busTest) {
	readers := []bus.Reader{t.subscribe("one"), t.subscribe("two")}
	for n := range 20 {
		t.publish("k", fmt.Sprintf("n%d", n))
	}
	for i, r := range readers {
		p := progress{}
		for p["k"] < 20 {
			m := t.fetch(r)
			p.take(t, m)
			if i == 0 {
				t.commit(r, m) // must not take it away from the other
			}
		}
		t.close(r)
	}
}

func busRedelivery(t *busTest) {
	r := t.subscribe("g")
	for n := range 10 {
		t.publish("k", fmt.Sprintf("n%d", n))
	}
	var kept *bus.Message
	for n := range 7 {
		m := t.fetch(r)
		if n == 3 {
			kept = m
		}
	}
	t.commit(r, kept) // with it all before it
	t.close(r)
	again := t.subscribe("g")
	p := progress{"k": 4}
	for p["k"] < 10 {
		m := t.fetch(again)
		if m.Offset <= kept.Offset {
			t.Fatalf("%q came again although offset %d was committed: a commit covers all before it", m.Value, kept.Offset)
		}
		p.take(t, m)
	}
	t.close(again)
}

func busShare(t *busTest) {
	a, b := t.subscribe("g"), t.subscribe("g")
	const keys, each = 16, 5
	for n := range each {
		for k := range keys {
			t.publish(fmt.Sprint("key", k), fmt.Sprintf("n%d", n))
		}
	}
	var mu sync.Mutex
	p, left := progress{}, keys*each
	ctx, done := context.WithCancel(t.ctx)
	defer done()
	var wg sync.WaitGroup
	for _, r := range []bus.Reader{a, b} {
		wg.Go(func() {
			for {
				m, err := r.Fetch(ctx)
				if err != nil {
					return
				}
				mu.Lock()
				if p.take(t, m) {
					left--
				}
				if left == 0 {
					done()
				}
				mu.Unlock()
				if err := r.Commit(t.ctx, m); err != nil && !errors.Is(err, bus.ErrNotAssigned) {
					t.Errorf("Commit: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if left != 0 {
		t.Errorf("%d messages never reached either reader", left)
	}
	t.close(a)
	t.close(b)
}
