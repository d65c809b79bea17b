package source

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// piece is a line or a refused line, as the naive twin and the splitter see it.
type piece struct {
	off    int64
	length int64
	text   string
	long   bool
}

// naive splits all at once and looks at every byte.
func naive(data []byte, longest int, final bool) []piece {
	var out []piece
	start := 0
	add := func(line []byte) {
		p := piece{off: int64(start), length: int64(len(line)), text: string(line)}
		if len(line) > longest {
			p.long = true
			p.text = string(line[:min(len(line), ingest.SampleBytes, longest+1)])
		}
		out = append(out, p)
	}
	for i, c := range data {
		if c == '\n' {
			add(data[start:i])
			start = i + 1
		}
	}
	if final && start < len(data) {
		add(data[start:])
	}
	return out
}

// feed runs the splitter over data in reads of the given sizes.
func feed(data []byte, block, longest int, sizes []byte, final bool) ([]piece, error) {
	s := newSplitter(block, longest)
	var out []piece
	drain := func(final bool) error {
		for {
			r, ok := s.take(final)
			if !ok {
				return nil
			}
			for _, rej := range r.rejects {
				sample := rej.Sample[:min(len(rej.Sample), longest+1)]
				out = append(out, piece{rej.Pos.Offset, rej.Length, sample, true})
			}
			off := r.off
			for len(r.data) > 0 {
				end := bytes.IndexByte(r.data, '\n')
				if end < 0 {
					return fmt.Errorf("run at %d ends without a newline: %q", r.off, r.data)
				}
				out = append(out, piece{off, int64(end), string(r.data[:end]), false})
				off += int64(end) + 1
				r.data = r.data[end+1:]
			}
			if r.free != nil {
				r.free()
			}
		}
	}
	for i := 0; len(data) > 0; i++ {
		room := s.space()
		if len(room) == 0 {
			return nil, fmt.Errorf("no room to read to")
		}
		n := 1
		if len(sizes) > 0 {
			n = int(sizes[i%len(sizes)])%len(room) + 1
		}
		n = copy(room[:n], data)
		data = data[n:]
		s.fed(n)
		if len(s.buf) > longest+2*block+1 {
			return nil, fmt.Errorf("holds %d bytes with max %d, block %d", len(s.buf), longest, block)
		}
		if err := drain(false); err != nil {
			return nil, err
		}
	}
	if final {
		if err := drain(true); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func checkSplit(t *testing.T, data []byte, block, longest int, sizes []byte, final bool) {
	t.Helper()
	got, err := feed(data, block, longest, sizes, final)
	if err != nil {
		t.Fatal(err)
	}
	want := naive(data, longest, final)
	if len(got) != len(want) {
		t.Fatalf("%d pieces, want %d\n got %+v\nwant %+v", len(got), len(want), got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("piece %d = %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestSplit(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 100)
	for _, data := range [][]byte{
		nil, []byte("\n"), []byte("a"), []byte("a\nb\nc"), []byte("\n\n\na\r\n"),
		append(append([]byte("a\n"), long...), "\nb\n"...),
		append(append(append([]byte{}, long...), '\n'), long...),
		bytes.Repeat(append(append([]byte{}, long...), "\nok\n"...), 20),
		bytes.Repeat([]byte("0123456789\n"), 5000),
	} {
		for _, longest := range []int{10, 99, 100, 1 << 16} {
			for _, block := range []int{8, 64, 64 << 10} {
				checkSplit(t, data, block, longest, []byte{255}, true)
				checkSplit(t, data, block, longest, []byte{1, 7, 3}, false)
			}
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte("a\nbb\n\nccc"), uint16(8), uint16(4), []byte{3, 1}, true)
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nb\n"), uint16(16), uint16(10), []byte{9}, false)
	f.Fuzz(func(t *testing.T, data []byte, block, longest uint16, sizes []byte, final bool) {
		checkSplit(t, data, int(block)+4, int(longest)+1, sizes, final)
	})
}
