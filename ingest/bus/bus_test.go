package bus_test

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/ingesttest"
)

func TestMemoryContract(t *testing.T) {
	ingesttest.Bus(t, func(testing.TB, string) bus.Bus { return bus.NewMemory(bus.MemoryConfig{}) })
}

func TestMemoryBounds(t *testing.T) {
	ingesttest.BusBounds(t, 5, func(testing.TB, string) bus.Bus { return bus.NewMemory(bus.MemoryConfig{Messages: 5}) })
}

func TestMemoryBytes(t *testing.T) {
	b := bus.NewMemory(bus.MemoryConfig{Partitions: 1, Bytes: 10})
	full, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		size int
		fits bool
	}{{6, true}, {4, true}, {1, false}} {
		ctx := t.Context()
		if !c.fits {
			ctx = full // a Publish that would block sees that its context has ended
		}
		err := b.Publish(ctx, bus.Message{Topic: "t", Value: make([]byte, c.size)})
		if (err == nil) != c.fits {
			t.Errorf("Publish of %d bytes: %v, fits: %v", c.size, err, c.fits)
		}
	}
	if got, want := b.Depth(), []bus.Depth{{Topic: "t", Messages: 2, Bytes: 10}}; !reflect.DeepEqual(got, want) {
		t.Errorf("Depth = %v, want %v", got, want)
	}
	if err := b.Publish(t.Context(), bus.Message{Topic: "u", Value: make([]byte, 1000)}); err != nil {
		t.Errorf("a message over the bound must be let in alone: %v", err)
	}
}

func TestMemoryRebalance(t *testing.T) {
	b := bus.NewMemory(bus.MemoryConfig{Partitions: 2})
	one, err := b.Subscribe(t.Context(), "t", "g")
	if err != nil {
		t.Fatal(err)
	}
	held := map[int]*bus.Message{}
	for range 2 {
		if err := b.Publish(t.Context(), bus.Message{Topic: "t"}); err != nil {
			t.Fatal(err)
		}
		m, err := one.Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held[m.Partition] = m
	}
	two, err := b.Subscribe(t.Context(), "t", "g")
	if err != nil {
		t.Fatal(err)
	}
	m, err := two.Fetch(t.Context())
	if err != nil || m.Partition != 1 {
		t.Fatalf("the second reader got %v, %v, want partition 1 again from its last commit", m, err)
	}
	if err := one.Commit(t.Context(), held[1]); err != bus.ErrNotAssigned {
		t.Errorf("commit for a partition that moved: %v, want ErrNotAssigned", err)
	}
	if err := one.Commit(t.Context(), held[0]); err != nil {
		t.Errorf("commit for the partition that stayed: %v", err)
	}
}

func TestBatch(t *testing.T) {
	freed := 0
	in := ingest.Batch{
		Source: "gw", File: 1 << 63, Format: "nginx-combined", Offset: 1 << 40, Data: []byte("a\nb\n"), Lag: 7,
		Sizes: []int32{9, 2}, Gaps: []int32{0, 1 << 30}, Newest: 1_700_000_000,
		Remarks: []ingest.Remark{{At: 1 << 40, What: ingest.RemarkTime, Value: -1}, {At: 1 << 40, What: ingest.RemarkLate, Value: 17}, {At: 1<<40 + 9 + 1<<30, What: ingest.RemarkFuture}},
		Rejects: []ingest.Reject{{
			Pos:    ingest.Position{Source: "gw", File: 1 << 63, Offset: 3},
			Reason: ingest.TooLong, Length: 9, Sample: "\xff\x00<",
		}},
		Mark: ingest.Mark{Source: "gw", Path: "p", File: 1 << 63, Offset: 5, Inode: 6, Print: 1<<64 - 1, PrintLen: 4},
		Free: func() { freed++ },
	}
	want := in
	want.Free = nil
	m, err := bus.FromBatch("t", &in)
	if err != nil {
		t.Fatal(err)
	}
	if in.Release(); freed != 0 {
		t.Error("the batch still owned its bytes after FromBatch")
	}
	got, err := bus.ToBatch(&m)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if &got.Data[0] != &want.Data[0] {
		t.Error("the lines were copied")
	}
	if m.Free(); freed != 1 {
		t.Error("Free did not travel with the message")
	}
}

// TestBatchRefusesWhatDoesNotFit: lists of another length than the lines, and what
// is not a number.
func TestBatchRefusesWhatDoesNotFit(t *testing.T) {
	for _, c := range []struct{ header, value, want string }{
		{bus.HeaderSizes, "[1]", "1 sizes for 2 lines"},
		{bus.HeaderSizes, "[1,-2]", "a line of -2 bytes"},
		{bus.HeaderGaps, "\x01", "1 gaps for 2 lines"},
		{bus.HeaderGaps, "\x01\x01\x01", "3 gaps for 2 lines"},
		{bus.HeaderGaps, "\x01\xff", "not a number"},
		{bus.HeaderGaps, "\x01\xff\xff\xff\xff\x0f", "not a number"},
		{bus.HeaderRemarks, "\x01\x01", "cut off"},
		{bus.HeaderRemarks, "\x01\x09\x01", "kind 9"},
		{bus.HeaderRemarks, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01\x01", "out of order"},
		{bus.HeaderNewest, "soon", "invalid syntax"},
	} {
		m, err := bus.FromBatch("t", &ingest.Batch{Source: "s", Data: []byte("a\nb\n")})
		if err != nil {
			t.Fatal(err)
		}
		m.Headers = append(m.Headers, bus.Header{Key: c.header, Value: []byte(c.value)})
		if _, err := bus.ToBatch(&m); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.header) {
			t.Errorf("%s %q: error %v, want %q", c.header, c.value, err, c.want)
		}
	}
}

func FuzzToBatch(f *testing.F) {
	mark, _ := json.Marshal(ingest.Mark{Source: "s"})
	f.Add([]byte("a\nb"), []byte("ff"), []byte("12"), mark, []byte(`[{"offset":1,"sample":"AA=="}]`), []byte("[1,2]"), []byte("\x00\x05"), []byte("\x00\x01\x02\x03\x03\x05"))
	f.Fuzz(func(t *testing.T, data, file, offset, mark, rejects, sizes, gaps, remarks []byte) {
		m := bus.Message{Value: data, Headers: []bus.Header{
			{Key: bus.HeaderFile, Value: file}, {Key: bus.HeaderOffset, Value: offset}, {Key: bus.HeaderMark, Value: mark},
			{Key: bus.HeaderLag, Value: []byte("0")}, {Key: bus.HeaderRejects, Value: rejects},
			{Key: bus.HeaderSizes, Value: sizes}, {Key: bus.HeaderGaps, Value: gaps}, {Key: bus.HeaderRemarks, Value: remarks},
		}}
		b, err := bus.ToBatch(&m)
		if err != nil {
			if b.Source != "" || b.Data != nil || b.Rejects != nil {
				t.Errorf("a batch came with the error %v: %+v", err, b)
			}
			return
		}
		want := b
		again, err := bus.FromBatch("t", &b)
		if err != nil || again.Header(bus.HeaderMark) == nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		got, err := bus.ToBatch(&again)
		if err != nil || !slices.Equal(got.Gaps, want.Gaps) || !slices.Equal(got.Remarks, want.Remarks) || !slices.Equal(got.Sizes, want.Sizes) {
			t.Errorf("read %+v, written and read again %+v, %v", want, got, err)
		}
	})
}

func BenchmarkMemory(b *testing.B) {
	m := bus.NewMemory(bus.MemoryConfig{Partitions: 1})
	r, err := m.Subscribe(b.Context(), "t", "g")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Publish(b.Context(), bus.Message{Topic: "t"}); err != nil {
			b.Fatal(err)
		}
		got, err := r.Fetch(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := r.Commit(b.Context(), got); err != nil {
			b.Fatal(err)
		}
	}
}
