package syslog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/octetcounting"

	"github.com/portcullis/portcullis/ingest/source/spool"
)

// cut feeds a stream in chunks of the sizes that size gives.
func cut(stream []byte, longest int, size func() int) (got []string, long int) {
	f := &frames{max: longest}
	keep := func(b []byte) { got = append(got, string(b)) }
	for len(stream) > 0 {
		n := copy(f.space()[:], stream[:min(len(stream), size())])
		f.fed(n)
		stream = stream[n:]
		f.take(false, keep, func() { long++ })
	}
	f.take(true, keep, func() { long++ })
	return got, long
}

// FuzzFrames: how a stream is cut into packets does not matter, what is counted
// is what the twin finds, and nothing is longer than allowed.
func FuzzFrames(f *testing.F) {
	for _, s := range []string{
		"<13>a\n<14>b\n", "5 <1>ab7 <2>a\nb", "99999999999 <1>x\n1 x\n", "300 <1>" + strings.Repeat("x", 296) + "<1>y\n",
		strings.Repeat("y", 300) + "\n<1>z\x00\x00", "12", "12 ", "0 <1>", "3 <1", "<1>half",
	} {
		f.Add([]byte(s), uint64(1))
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		const longest = 256
		rnd := rand.New(rand.NewPCG(seed, 1))
		got, long := cut(stream, longest, func() int { return 1 + rnd.IntN(9) })
		again, longAgain := cut(stream, longest, func() int { return 1 + rnd.IntN(2000) })
		if strings.Join(got, "\x01") != strings.Join(again, "\x01") || len(got) != len(again) || long != longAgain {
			t.Fatalf("%q: in other packets: %q and %q, too long %d and %d", stream, got, again, long, longAgain)
		}
		for _, m := range got {
			if len(m) > longest {
				t.Fatalf("%q: a message of %d bytes", stream, len(m))
			}
		}
		if want, ok := twin(stream, longest); ok && strings.Join(got, "\x01") != strings.Join(want, "\x01") {
			t.Fatalf("%q: %q, want %q", stream, got, want)
		}
	})
}

// twin reads octet counting with go-syslog; ok if all of the stream is that.
func twin(stream []byte, longest int) (want []string, ok bool) {
	ok = len(stream) > 0
	at := 0
	p := octetcounting.NewParser(syslog.WithListener(func(r *syslog.Result) {
		var size int
		if r.Error != nil || r.Message == nil {
			ok = false
			return
		}
		n, err := fmt.Sscanf(string(stream[at:]), "%d ", &size)
		head := len(fmt.Sprint(size)) + 1
		if n != 1 || err != nil || size > longest || at+head+size > len(stream) {
			ok = false
			return
		}
		want = append(want, string(stream[at+head:at+head+size]))
		at += head + size
	}))
	p.Parse(bytes.NewReader(stream))
	return want, ok && at == len(stream)
}

func TestFramesAllocateNothing(t *testing.T) {
	f := &frames{max: 8 << 10}
	stream := []byte(strings.Repeat("<13>a line of some length\n30 <13>a counted line, 30 long...", 20))
	n := 0
	var lines []byte
	run := func() {
		b := f.space()
		f.fed(copy(b, stream))
		lines = lines[:0]
		f.take(false, func(m []byte) { lines = spool.AppendLine(lines, trim(m)); n++ }, func() { t.Error("too long") })
	}
	run()
	if a := testing.AllocsPerRun(100, run); a != 0 || n != 40*102 {
		t.Errorf("%v allocations, %d messages", a, n)
	}
}
