package marks

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// twin looks at one byte after the other, and takes a quote behind a backslash that is
// in no string for one that opens a string.
func twin(line []byte) (blocks []Block, look Look, stray bool) {
	blocks = make([]Block, len(line)/64+1)
	inside, escaped := false, false
	for i, c := range line {
		b, bit := &blocks[i/64], uint64(1)<<(i%64)
		look.NUL = look.NUL || c == 0
		look.High = look.High || c >= 0x80
		if c == '\\' {
			look.Escapes = true
			b.Slashes |= bit
		}
		switch {
		case c == '"' && escaped:
			stray = stray || !inside
		case c == '"':
			inside = !inside
			b.Quotes |= bit
		case inside:
		case c == '{' || c == '[':
			b.Opens |= bit
		case c == '}' || c == ']':
			b.Closes |= bit
		}
		escaped = c == '\\' && !escaped
	}
	return blocks, look, stray
}

// against holds Read against twin. What stands before and behind the line in memory must
// not matter, nor the line that was read before. On other CPUs Read must refuse.
func against(t *testing.T, l *Line, line []byte) {
	t.Helper()
	if len(line) < shortest || len(line) > longest {
		return
	}
	blocks, look, stray := twin(line)
	got, ok := l.Read(line)
	if ok != (fast && !stray) || ok && got != look {
		t.Fatalf("Read says %+v %v, a look at each byte %+v, stray %v: %q", got, ok, look, stray, line)
	}
	for k := range blocks {
		if ok && l.Blocks[k] != blocks[k] {
			t.Fatalf("block %d is %x, a look at each byte says %x: %q", k, l.Blocks[k], blocks[k], line)
		}
	}
}

// seeds are lines with quotes and backslashes where blocks meet.
func seeds() []string {
	var out []string
	for _, n := range []int{61, 62, 63, 64, 65, 66, 126, 127, 128, 129, 191, 192} {
		pad := strings.Repeat("x", n)
		out = append(out, `"`+pad+`\"{"`+pad+`}`, pad+`"\\`+pad+`"[]`+pad, `"`+strings.Repeat(`\`, n)+`"{}{}`+pad,
			`{"a":"`+pad+`\\\"}","b":[{},{}]}`+pad, pad+`\"{}"`+pad, pad+"\x00\x80[", pad+"\xfb\xdb\xfd\xdd{}[]", strings.Repeat(`{"\"":[`, n/4))
	}
	return out
}

// TestRead tries all alignments, with bytes around the line that must not be seen.
func TestRead(t *testing.T) {
	var l Line
	for _, s := range seeds() {
		for at := range 64 {
			room := bytes.Repeat([]byte{0}, at+len(s)+64)
			for i := range room {
				room[i] = "\"\\{}\x00"[i%5]
			}
			copy(room[at:], s)
			against(t, &l, room[at:at+len(s):at+len(s)])
		}
	}
}

// TestReadRandom tries lines of few kinds of bytes, of all lengths.
func TestReadRandom(t *testing.T) {
	var l Line
	r := rand.New(rand.NewPCG(1, 2))
	for n := shortest; n < 4*64; n++ {
		for _, kinds := range []string{`"\`, `"\\\\`, `"\{}[]x`, `xxxxxxxxxxxx"{`, "\"\\{}[]:,;\x00\x80\xfb\xff|z"} {
			for range 40 {
				line := make([]byte, n)
				for i := range line {
					line[i] = kinds[r.IntN(len(kinds))]
				}
				against(t, &l, line)
			}
		}
	}
}

// TestReadLimits tells what is left to the caller.
func TestReadLimits(t *testing.T) {
	var l Line
	for n, want := range map[int]bool{0: false, shortest - 1: false, shortest: fast, longest: fast, longest + 1: false} {
		if _, ok := l.Read(bytes.Repeat([]byte("x"), n)); ok != want {
			t.Errorf("%d bytes: %v, want %v", n, ok, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	var l Line
	f.Fuzz(func(t *testing.T, line []byte) {
		for len(line) >= shortest {
			against(t, &l, line)
			line = line[1:]
			if len(line) > 4*64 {
				line = line[63:]
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	line := []byte(strings.Repeat(`{"key":"value","other":12},`, 60))
	var l Line
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		l.Read(line)
	}
}
