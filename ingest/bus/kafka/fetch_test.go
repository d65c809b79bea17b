package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"

	"github.com/portcullis/portcullis/ingest/bus"
)

// written are messages as a batch of records, as a broker keeps them from an offset on.
func written(t testing.TB, p *packer, base int64, messages []bus.Message) []byte {
	t.Helper()
	var list []entry
	for _, m := range messages {
		list = append(list, entry{message: m, size: sizeOf(&m)})
	}
	b, err := (&encoder{packer: p}).batch(list, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint64(b[4:], uint64(base))
	return b[4:] // without its size
}

// readBack is what a fetcher hands out of batches from an offset on, and where it goes on.
func readBack(t testing.TB, batches []byte, from int64) (out []bus.Message, next int64, err error) {
	t.Helper()
	u, err := newUnpacker()
	if err != nil {
		t.Fatal(err)
	}
	f := &fetcher{Client: &Client{unpacker: u, answers: &spare{}, spare: &spare{}}, topic: "t", partition: 3, queue: newQueue[arrival](1 << 30)}
	next, err = f.take(t.Context(), batches, from, 99)
	f.queue.close()
	for _, a := range f.queue.take(t.Context(), 1<<40, 1<<30) {
		m := *a.message
		if a.end != 99 || m.Topic != "t" || m.Partition != 3 {
			t.Errorf("%+v with end %d", m, a.end)
		}
		m.Free = nil
		out = append(out, m)
	}
	return out, next, err
}

func some(n int) (list []bus.Message) {
	for i := range n {
		m := bus.Message{Value: []byte(strings.Repeat(fmt.Sprint("line ", i, "\n"), 50))}
		switch i % 3 {
		case 1:
			m.Key, m.Headers = []byte{}, []bus.Header{{Key: "a", Value: []byte("1")}, {Key: "", Value: nil}}
		case 2:
			m.Key, m.Value = []byte("key"), nil
		}
		list = append(list, m)
	}
	return list
}

// TestFetchedAsWritten: whatever compressed it, a batch gives the messages that were
// written, from the offset on that was asked for.
func TestFetchedAsWritten(t *testing.T) {
	all := map[string]*packer{"gzip": {code: int16(compress.Gzip), pack: packGzip}}
	for name, make := range packers {
		p, err := make()
		if err != nil {
			t.Fatal(err)
		}
		all[name] = p
	}
	for name, p := range all {
		t.Run(name, func(t *testing.T) {
			want := some(7)
			for i := range want {
				want[i].Topic, want[i].Partition, want[i].Offset = "t", 3, int64(10+i)
			}
			batches := slices.Concat(written(t, p, 10, want[:4]), written(t, p, 14, want[4:]))
			for from := int64(8); from <= 17; from++ {
				got, next, err := readBack(t, batches, from)
				if err != nil || next != 17 || len(got) != len(want[max(0, from-10):]) || len(got) > 0 && !reflect.DeepEqual(got, want[max(0, from-10):]) {
					t.Fatalf("from %d: %v, next %d\n got %+v\nwant %+v", from, err, next, got, want[max(0, from-10):])
				}
			}
		})
	}
}

// TestFetchedBehindItsEnd: a broker looks where the partition ends, then reads what may have
// come since. No message is behind the end that comes with it.
func TestFetchedBehindItsEnd(t *testing.T) {
	u, err := newUnpacker()
	if err != nil {
		t.Fatal(err)
	}
	f := &fetcher{Client: &Client{unpacker: u, answers: &spare{}, spare: &spare{}}, topic: "t", queue: newQueue[arrival](1 << 30)}
	if _, err := f.take(t.Context(), written(t, &packer{}, 10, some(4)), 10, 12); err != nil {
		t.Fatal(err)
	}
	f.queue.close()
	var ends []int64
	for _, a := range f.queue.take(t.Context(), 1<<40, 1<<30) {
		ends = append(ends, a.end)
	}
	if !slices.Equal(ends, []int64{12, 12, 13, 14}) {
		t.Errorf("ends %v", ends)
	}
}

// packGzip is what our own writers cannot, and those of others may.
func packGzip(dst, plain []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	w := compress.Codecs[compress.Gzip].NewWriter(out)
	_, err := w.Write(plain)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

// TestFetchedInParts: what is cut off at the end of an answer is asked for again; what
// is no message is passed over; what nobody can read is an error that says so.
func TestFetchedInParts(t *testing.T) {
	none := &packer{}
	one, two := written(t, none, 5, some(2)), written(t, none, 7, some(3))
	for cut := range len(two) {
		got, next, err := readBack(t, slices.Concat(one, two[:cut]), 5)
		if err != nil || len(got) != 2 || next != 7 {
			t.Fatalf("cut after %d bytes: %d messages, next %d: %v", cut, len(got), next, err)
		}
	}
	marker := slices.Clone(one)
	marker[atAttributes-4+1] |= 0x20
	if got, next, err := readBack(t, slices.Concat(marker, two), 5); err != nil || len(got) != 3 || next != 10 {
		t.Errorf("behind the end of a transaction: %d messages, next %d: %v", len(got), next, err)
	}
	emptied := slices.Clone(one)[:headSize-4] // all its records were compacted away
	binary.BigEndian.PutUint32(emptied[8:], uint32(len(emptied)-12))
	binary.BigEndian.PutUint32(emptied[atCount-4:], 0)
	if got, next, err := readBack(t, slices.Concat(emptied, two), 5); err != nil || len(got) != 3 || next != 10 {
		t.Errorf("behind an empty batch: %d messages, next %d: %v", len(got), next, err)
	}
	for says, change := range map[string]func(b []byte){
		"of format 1":                  func(b []byte) { b[atMagic-4] = 1 },
		"compression 7 is not known":   func(b []byte) { b[atAttributes-4+1] = 7 },
		"cannot be decompressed":       func(b []byte) { b[atAttributes-4+1] = 4 },
		"ends too early":               func(b []byte) { binary.BigEndian.PutUint32(b[atCount-4:], 9) },
		"of -1 records up to offset 9": func(b []byte) { binary.BigEndian.PutUint32(b[atCount-4:], 1<<32-1) },
	} {
		bad := slices.Clone(two)
		change(bad)
		_, next, err := readBack(t, slices.Concat(one, bad), 5)
		if err == nil || !strings.Contains(err.Error(), says) || next < 7 {
			t.Errorf("%q: error %v, next %d", says, err, next)
		}
	}
}

// TestAnswers: an answer says where the partition ends, or what is wrong.
func TestAnswers(t *testing.T) {
	said := func(code uint16) []byte {
		b := []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 3}
		b = binary.BigEndian.AppendUint16(b, code)
		b = binary.BigEndian.AppendUint64(b, 42) // high watermark
		b = append(b, make([]byte, 16)...)
		b = binary.BigEndian.AppendUint32(b, 1) // an aborted transaction
		b = append(b, make([]byte, 16)...)
		return append(b, 0, 0, 0, 2, 'x', 'y')
	}
	a, err := readAnswer(said(0))
	if err != nil || a.end != 42 || string(a.batches) != "xy" {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := readAnswer(said(1)); !errors.Is(err, kafkago.OffsetOutOfRange) {
		t.Errorf("error %v, want offset out of range", err)
	}
	for n := range len(said(0)) {
		if _, err := readAnswer(said(0)[:n]); err == nil {
			t.Errorf("no error after %d bytes", n)
		}
	}
}

// FuzzFetched: no bytes of a broker make it fail other than with an error.
func FuzzFetched(f *testing.F) {
	zstd, err := newZstd()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(written(f, &packer{}, 5, some(3)))
	f.Add(written(f, zstd, 5, some(3)))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = readAnswer(b)
		got, next, _ := readBack(t, b, 5)
		if next < 5 || len(got) > len(b) && len(b) < headSize {
			t.Errorf("%d messages, next %d", len(got), next)
		}
	})
}
