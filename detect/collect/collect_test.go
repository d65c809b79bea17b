package collect_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/detect/collect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
)

// TestBatchesAreGathered: what has more behind it waits, and goes as one message; what
// does not stand right behind it is sent first.
func TestBatchesAreGathered(t *testing.T) {
	r := newRig(t, newBroker(1), nil, nil)
	first, second, third := "1 1700000000\n", "2 1700000000\n", "3 1700000001\n"
	r.put(batch("s", 0, first))
	r.put(batch("s", int64(len(first)), second))
	if n := len(r.broker.waiting); n != 0 {
		t.Fatalf("%d messages before there was enough", n)
	}
	other := batch("s", 0, third)
	other.File, other.Mark.File = 2, 2 // rotated
	r.put(other)
	r.put(batch("z", 0, third)) // another source
	refused := batch("z", 9000, third)
	refused.Rejects = []ingest.Reject{{Pos: ingest.Position{Source: "z", File: 1, Offset: 13}, Reason: ingest.TooLong, Length: 8986, Sample: "x"}}
	r.put(refused)
	last := whole("z", 9000+int64(len(third)), first+second)
	last.Sizes = []int32{20, 30} // redacted
	r.put(last)
	var got []string
	for i := range r.broker.parts[0] {
		b := read(t, &r.broker.parts[0][i])
		got = append(got, fmt.Sprint(b.Source, b.File, b.Offset, b.Lines(), b.Sizes, len(b.Rejects), b.Mark.Offset, b.Newest-start))
	}
	want := []string{"s 1 0 2 [] 0 26 0", "s 2 0 1 [] 0 13 1", "z 1 0 1 [] 0 13 1", "z 1 9000 1 [] 1 9013 1", "z 1 9013 2 [20 30] 0 9039 1"}
	if !slices.Equal(squeeze(got), want) {
		t.Errorf("messages\n%s\nwant\n%s", strings.Join(squeeze(got), "\n"), strings.Join(want, "\n"))
	}
	r.broker.ackAll()
	if s := r.c.Stats(); s.Lines != 8 || s.Bytes != 7*13 || s.Waiting != 0 || s.Newest != start+1 {
		t.Errorf("%+v, want 8 lines of 91 bytes, newest %d", s, start+1)
	}
	s := r.saved()
	if len(s.Marks) != 2 || len(s.Rows) != 2 {
		t.Fatalf("saved %+v", s)
	}
	for _, row := range r.c.Rows() {
		if want := map[string]int64{"s": 3, "z": 5}[row.Source]; row.Read != want {
			t.Errorf("source %s: %d lines read, want %d", row.Source, row.Read, want)
		}
	}
	if _, moved := r.c.Saved(); moved {
		t.Error("something to save though nothing moved")
	}
}

func squeeze(list []string) []string {
	for i := range list {
		list[i] = strings.Join(strings.Fields(strings.NewReplacer("s1", "s 1", "s2", "s 2", "z1", "z 1").Replace(list[i])), " ")
	}
	return list
}

// TestGroupsHaveASize: lines are sent once there are enough for a message for each
// partition, though more is behind them.
func TestGroupsHaveASize(t *testing.T) {
	for partitions, least := range map[int]int{1: 1 << 20, 8: 2 << 20, 256: 4 << 20} {
		r := newRig(t, newBroker(partitions), nil, nil)
		data, at := strings.Repeat("1 1700000000\n", 5000), int64(0)
		for len(r.broker.waiting) == 0 {
			r.put(batch("s", at, data))
			at += int64(len(data))
		}
		if int(at) < least || int(at) > least+len(data) {
			t.Errorf("%d partitions: sent after %d bytes, want %d or a batch more", partitions, at, least)
		}
	}
}

// TestAcknowledgedPrefix: the mark follows the messages that are acknowledged with all
// before them, whatever comes back first.
func TestAcknowledgedPrefix(t *testing.T) {
	r := newRig(t, newBroker(1), nil, nil)
	const text = "1 1700000000\n"
	for i := range int64(4) {
		r.put(whole("s", i*int64(len(text)), text))
	}
	for _, step := range []struct {
		ack  int // of those that wait
		mark int64
	}{{2, 0}, {1, 0}, {0, 3}, {0, 4}} {
		r.broker.ack(step.ack)
		s, moved := r.c.Saved()
		if moved != (step.mark > 0) {
			t.Fatalf("moved %v, want mark %d", moved, step.mark)
		}
		if moved && (s.Marks[0].Offset != step.mark*int64(len(text)) || s.Rows[0].Read != step.mark) {
			t.Errorf("mark %d, %d lines, want %d lines", s.Marks[0].Offset, s.Rows[0].Read, step.mark)
		}
	}
}

// TestKeptBack: the beginning of a line that was cut waits for its end; until then
// neither the mark nor the saved books move over it, though the message is sent.
func TestKeptBack(t *testing.T) {
	r := newRig(t, newBroker(3), nil, nil)
	const first, cut = "1 1700000000\n", "+ part\n"
	r.put(whole("s", 0, first+cut))
	r.put(whole("s", 20, cut))
	r.broker.ackAll()
	s := r.saved()
	if s.Marks[0].Offset != 13 || s.Rows[0].Read != 1 || s.Rows[0].Bytes != 13 {
		t.Fatalf("saved %+v, want all before the line that was cut", s)
	}
	if rows := r.c.Rows(); rows[0].Read != 3 {
		t.Errorf("%d lines read, want 3", rows[0].Read)
	}
	r.put(whole("s", 27, "2 1700000000\n"))
	to := r.broker.parts[partitionOf(2, 3)]
	if b := read(t, &to[len(to)-1]); b.Offset != 13 || b.Lines() != 3 || b.End() != 40 {
		t.Errorf("the line came as %+v", b)
	}
	r.broker.ackAll()
	if s := r.saved(); s.Marks[0].Offset != 40 || s.Rows[0].Read != 4 || s.Rows[0].Bytes != 40 {
		t.Errorf("saved %+v, want all", s)
	}
	if again := newRig(t, r.broker, nil, s.Rows); again.c.Rows()[0].Read != 1 {
		t.Errorf("goes on from %+v", again.c.Rows())
	}
}

// TestRefusedBehindTheMark: what the source refused behind the beginning of a cut line is
// read again with it, so it is in the saved books only once the mark has passed it.
func TestRefusedBehindTheMark(t *testing.T) {
	r := newRig(t, newBroker(3), nil, nil)
	const first, cut, last = "1 1700000000\n", "+ part\n", "2 1700000000\n"
	r.put(whole("s", 0, first+cut))
	refused := whole("s", 20, cut)
	refused.Rejects = []ingest.Reject{{Pos: ingest.Position{Source: "s", File: 1, Offset: 27}, Reason: ingest.TooLong, Length: 9}}
	refused.Mark.Offset = 37
	r.put(refused)
	r.put(whole("s", 37, cut))
	r.broker.ackAll()
	if s := r.saved(); s.Marks[0].Offset != 13 || s.Rows[0].Read != 1 || s.Rows[0].Bytes != 13 {
		t.Fatalf("saved %+v, want all before the line that was cut", s)
	}
	r.put(whole("s", 44, last))
	r.broker.ackAll()
	if s := r.saved(); s.Marks[0].Offset != 57 || s.Rows[0].Read != 6 || s.Rows[0].Bytes != 13+7+7+9+7+13 {
		t.Errorf("saved %+v, want all", s)
	}
}

// TestWordsToQuietPartitions: who gets no lines hears once a second how far the
// stream is, while it moves.
func TestWordsToQuietPartitions(t *testing.T) {
	const n = 4
	r := newRig(t, newBroker(n), nil, nil)
	busy := partitionOf(1, n)
	count := func() (lines, words int) {
		for p := range r.broker.parts {
			for i := range r.broker.parts[p] {
				b := read(t, &r.broker.parts[p][i])
				if b.Lines() > 0 {
					lines++
					if p != busy {
						t.Fatalf("lines in partition %d, want %d", p, busy)
					}
				} else if words++; b.Newest == 0 {
					t.Fatalf("an empty message says nothing: %+v", b)
				}
			}
			r.broker.parts[p] = nil
		}
		r.broker.waiting = nil
		return lines, words
	}
	check := func(what string, lines, words int) {
		t.Helper()
		if l, w := count(); l != lines || w != words {
			t.Errorf("%s: %d messages with lines, %d words; want %d, %d", what, l, w, lines, words)
		}
	}
	r.put(whole("s", 0, "1 1700000000\n"))
	check("first lines", 1, n-1)
	r.put(whole("s", 13, "1 1700000001\n"))
	check("at once again", 1, 0)
	r.flush()
	check("flush at once", 0, 0)
	r.now = r.now.Add(time.Second)
	r.flush()
	check("a second later", 0, n-1) // the busy one heard of that second with its lines
	r.now = r.now.Add(time.Hour)
	r.flush()
	check("the stream stands still", 0, 0)
}

// TestIdle: every partition hears that nothing older is to come, behind what was
// gathered, and the stream goes on from there after a crash too.
func TestIdle(t *testing.T) {
	r := newRig(t, newBroker(3), nil, nil)
	r.put(batch("s", 0, "1 1700000000\n"))
	if err := r.c.Idle(t.Context(), "me", start+500); err != nil {
		t.Fatal(err)
	}
	for p, list := range r.broker.parts {
		m := list[len(list)-1]
		if string(m.Header(collect.HeaderIdle)) != fmt.Sprint(start+500) || len(m.Value) > 0 {
			t.Errorf("partition %d: last message %q, headers %q", p, m.Value, m.Headers)
		}
	}
	if list := r.broker.parts[partitionOf(1, 3)]; len(list) != 2 || list[0].Header(collect.HeaderIdle) != nil {
		t.Errorf("the lines did not come first: %d messages", len(list))
	}
	r.broker.ackAll()
	s := r.saved()
	if len(s.Marks) != 1 || s.Marks[0].Source != "s" {
		t.Errorf("marks %+v: idleness has none", s.Marks)
	}
	if again := newRig(t, r.broker, s.State, nil); again.splitter.Newest() != r.splitter.Newest() || again.splitter.Newest() < start+500 {
		t.Errorf("newest %d after a restart, want %d", again.splitter.Newest(), r.splitter.Newest())
	}
}

// TestRefusedForGood: a message that the bus never takes is told, and the others and
// the mark go on.
func TestRefusedForGood(t *testing.T) {
	k := newBroker(1)
	k.refuse = func(m *bus.Message) error {
		if strings.HasPrefix(string(m.Value), "2") {
			return errors.New("too large")
		}
		return nil
	}
	r := newRig(t, k, nil, nil)
	for i, text := range []string{"1 1700000000\n", "2 1700000000\n", "3 1700000000\n"} {
		r.put(whole("s", int64(i)*13, text))
	}
	k.ackAll()
	if s := r.saved(); s.Marks[0].Offset != 39 || s.Rows[0].Read != 3 {
		t.Errorf("saved %+v", s)
	}
	if len(k.parts[0]) != 2 || !slices.Equal(r.lost, []string{"s: too large"}) {
		t.Errorf("%d messages, told %q", len(k.parts[0]), r.lost)
	}
	for i := range k.parts[0] {
		if string(k.parts[0][i].Header(collect.HeaderIdentity)) != "print" {
			t.Errorf("message %d does not say how clients are told", i)
		}
	}
}

// TestPutWaits: at the bound Put blocks until the oldest group is acknowledged, or its
// context ends; what is held in memory is bounded.
func TestPutWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newBroker(2), nil, nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		data := strings.Repeat("1 1700000000\n", 1100<<10/13)
		taken, ended := int64(0), make(chan error, 1)
		go func() {
			for {
				b := batch("s", taken*int64(len(data)), data)
				if err := r.c.Put(ctx, &b); err != nil {
					ended <- err
					return
				}
				taken++
			}
		}()
		synctest.Wait()
		if got := r.c.Stats().Waiting; got != 8 || taken != 8 {
			t.Fatalf("%d groups wait, %d batches of 1.1 MB taken, want 8", got, taken)
		}
		r.broker.ack(len(r.broker.waiting) - 1) // not the oldest
		synctest.Wait()
		if taken != 8 {
			t.Fatal("Put went on though the oldest group is not acknowledged")
		}
		for range 2 { // lines, and a word to the other partition
			r.broker.ack(0)
		}
		synctest.Wait()
		if got := r.c.Stats().Waiting; got != 8 || taken != 9 {
			t.Errorf("%d groups wait, %d batches taken after one was acknowledged, want 8 and 9", got, taken)
		}
		cancel(errors.New("end"))
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Put ended with %v", err)
		}
		if err := r.c.Flush(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Flush ended with %v", err)
		}
		if err := r.c.Idle(ctx, "me", start); !errors.Is(err, context.Canceled) {
			t.Errorf("Idle ended with %v", err)
		}
	})
}

// TestSendFails: where the bus is closed, Put says so, and the mark stays.
func TestSendFails(t *testing.T) {
	r := newRig(t, newBroker(1), nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := whole("s", 0, "1 1700000000\n")
	if err := r.c.Put(ctx, &b); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, moved := r.c.Saved(); moved {
		t.Error("the mark moved")
	}
}
