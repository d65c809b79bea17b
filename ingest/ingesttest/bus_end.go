package ingesttest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/portcullis/portcullis/ingest/bus"
)

func busFetchCancel(t *busTest) {
	r := t.subscribe("g")
	ctx, cancel := context.WithCancel(t.ctx)
	got := make(chan error, 1)
	go func() {
		_, err := r.Fetch(ctx)
		got <- err
	}()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("Fetch returned %v after its context ended, want context.Canceled", err)
	}
	t.publish("k", "n0")
	if m := t.fetch(r); string(m.Value) != "n0" {
		t.Errorf("got %q: a cancelled Fetch must not break the reader or swallow a message", m.Value)
	}
	t.close(r)
}

func busClose(t *busTest) {
	r := t.subscribe("g")
	got := make(chan error, 1)
	go func() {
		_, err := r.Fetch(t.ctx)
		got <- err
	}()
	if err := t.bus.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-got; !errors.Is(err, bus.ErrClosed) {
		t.Errorf("a Fetch that was blocked returned %v, want ErrClosed", err)
	}
	if err := t.bus.Publish(t.ctx, bus.Message{Topic: t.topic}); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Publish on a closed bus returned %v, want ErrClosed", err)
	}
	if _, err := t.bus.Subscribe(t.ctx, t.topic, "g"); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Subscribe on a closed bus returned %v, want ErrClosed", err)
	}
	t.close(r)
}

func busReaderClose(t *busTest) {
	r := t.subscribe("g")
	got := make(chan error, 1)
	go func() {
		_, err := r.Fetch(t.ctx)
		got <- err
	}()
	t.close(r)
	if err := <-got; !errors.Is(err, bus.ErrClosed) {
		t.Errorf("a Fetch that was blocked returned %v after Close of its reader, want ErrClosed", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("second Close: %v, want nil: closing is idempotent", err)
	}
}

func busForeignCommit(t *busTest) {
	one, two := t.subscribe("one"), t.subscribe("two")
	t.publish("k", "n0")
	t.commit(one, t.fetch(one))
	m := t.fetch(two)
	t.close(two)
	again := t.subscribe("two")
	if n := t.fetch(again); n.Offset != m.Offset {
		t.Errorf("group two got offset %d again, want %d: the commit of group one is not its own", n.Offset, m.Offset)
	}
	t.close(one)
	t.close(again)
}

// BusBounds checks what a bus that holds messages in this process promises in
// addition: open makes one that holds at most limit messages per partition, and
// starts no goroutine of its own. Time is that of a synctest bubble.
func BusBounds(t *testing.T, limit int, open OpenBus) {
	for name, rule := range map[string]func(*testing.T, bus.Bus, int){
		"a full partition blocks, nothing is dropped": boundBlocks,
		"a blocked publish ends with its context":     boundCancel,
		"a blocked publish ends with the bus":         boundClose,
		"bytes are freed once, after the last group":  boundFree,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := open(t, boundTopic)
				defer b.Close()
				rule(t, b, limit)
			})
		})
	}
}

const boundTopic = "contract.bounds"

// fill publishes n messages to one partition in the background and counts.
func fill(ctx context.Context, b bus.Bus, n int, free func()) (sent *atomic.Int64, end chan error) {
	sent, end = new(atomic.Int64), make(chan error, 1)
	go func() {
		for i := range n {
			m := bus.Message{Topic: boundTopic, Key: []byte("k"), Value: []byte{byte(i)}, Free: free}
			if err := b.Publish(ctx, m); err != nil {
				end <- err
				return
			}
			sent.Add(1)
		}
		end <- nil
	}()
	synctest.Wait()
	return sent, end
}

func boundReader(t *testing.T, b bus.Bus, group string) bus.Reader {
	t.Helper()
	r, err := b.Subscribe(t.Context(), boundTopic, group)
	if err != nil {
		t.Fatalf("Subscribe: %v", err)
	}
	return r
}

func boundBlocks(t *testing.T, b bus.Bus, limit int) {
	r := boundReader(t, b, "g")
	sent, end := fill(t.Context(), b, 3*limit, nil)
	if got := sent.Load(); got != int64(limit) {
		t.Fatalf("%d messages were let in, the limit is %d: a full partition blocks its producers", got, limit)
	}
	for i := range 3 * limit {
		m, err := r.Fetch(t.Context())
		if err != nil || m.Value[0] != byte(i) {
			t.Fatalf("message %d: got %v, %v: nothing may be dropped or overtaken under back-pressure", i, m, err)
		}
		synctest.Wait()
		if got := sent.Load(); got > int64(limit+i) {
			t.Fatalf("%d messages were let in with %d committed: only a commit makes room, a fetch does not", got, i)
		}
		if err := r.Commit(t.Context(), m); err != nil {
			t.Fatalf("Commit: %v", err)
		}
	}
	if err := <-end; err != nil {
		t.Errorf("Publish: %v: it must go on once there is room", err)
	}
}

func boundCancel(t *testing.T, b bus.Bus, limit int) {
	r := boundReader(t, b, "g")
	ctx, cancel := context.WithCancel(t.Context())
	_, end := fill(ctx, b, limit+1, nil)
	cancel()
	if err := <-end; !errors.Is(err, context.Canceled) {
		t.Fatalf("a blocked Publish returned %v after its context ended, want context.Canceled", err)
	}
	for range limit {
		m, err := r.Fetch(t.Context())
		if err == nil {
			err = r.Commit(t.Context(), m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if m, err := r.Fetch(ctx); err == nil {
		t.Errorf("got %v: a Publish that returned an error must not have published", m.Value)
	}
}

func boundClose(t *testing.T, b bus.Bus, limit int) {
	boundReader(t, b, "g")
	_, end := fill(t.Context(), b, limit+1, nil)
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-end; !errors.Is(err, bus.ErrClosed) {
		t.Errorf("a blocked Publish returned %v when the bus was closed, want ErrClosed", err)
	}
}

func boundFree(t *testing.T, b bus.Bus, limit int) {
	readers := []bus.Reader{boundReader(t, b, "one"), boundReader(t, b, "two")}
	var freed atomic.Int64
	_, end := fill(t.Context(), b, limit, func() { freed.Add(1) })
	if err := <-end; err != nil {
		t.Fatal(err)
	}
	for i, r := range readers {
		for n := range limit {
			m, err := r.Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if m.Free != nil {
				t.Fatal("a fetched message carries Free: the bus frees, or two groups would free twice")
			}
			if want := int64(i * n); freed.Load() != want {
				t.Fatalf("%d messages were freed, want %d: bytes are freed when the last group commits, not before", freed.Load(), want)
			}
			if err := r.Commit(t.Context(), m, m); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.Close(); err != nil || freed.Load() != int64(limit) {
		t.Errorf("%d messages were freed (Close: %v), want %d: each once", freed.Load(), err, limit)
	}
}

func busLeave(t *busTest) {
	a, b := t.subscribe("g"), t.subscribe("g")
	const keys, each = 16, 3
	for n := range each {
		for k := range keys {
			t.publish(fmt.Sprint("key", k), fmt.Sprintf("n%d", n))
		}
	}
	t.fetch(a) // and not committed
	t.close(a)
	p := progress{}
	for left := keys * each; left > 0; {
		m := t.fetch(b) // also what a had
		if p.take(t, m) {
			left--
		}
		t.commit(b, m)
	}
	t.close(b)
}
