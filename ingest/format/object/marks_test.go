package object

import (
	"bytes"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// againstPlain reads a line with marks and without, with blanks around it so that it is
// long enough and lies across blocks, and wants the same of both.
func againstPlain(t *testing.T, p, plain *parser, line []byte) {
	t.Helper()
	for _, front := range []int{0, 1, 31, 61, 62, 63, 64 - len(line)%64} {
		long := append(append(bytes.Repeat([]byte(" "), front), line...), bytes.Repeat([]byte("\t"), 64)...)
		for range 3 { // keys are learned, their order is, and then known
			var a, b ingest.Event
			ra, rb := p.Parse(long, &a), plain.parse(long, plain.reader.lookPlain(long), &b)
			if ra != rb || ra == ingest.OK && a != b {
				t.Fatalf("marks change the line: %s %+v\nwithout %s %+v\n%q", ra, a, rb, b, long)
			}
		}
	}
}

// plainSeeds are lines in which a quote, a bracket or a key is easily misread.
var plainSeeds = []string{
	`{"peer":"1.2.3.4","m":"GET","id":"` + strings.Repeat(`\\`, 70) + `","s":{"t":"` + strings.Repeat("x", 130) + `"},"ref":"r"}`,
	`{"peer":"1.2.3.4","x":{"y":[{"}":"]"},[[],{}],"\"}"]},"m":"GET","x":[[[[[[{}]]]]]],"id":"` + strings.Repeat("[", 64) + `"}`,
	`{"peer":"1.2.3.4","x":[\"abc"],"m":"GET"}`, `{"peer":"1.2.3.4","x":\"abc","m":"GET"}`, `{"peer":"1.2.3.4",\"m":"GET"}`,
	`{ "peer" : "1.2.3.4" , "m" : "GET" , "id" : 12 , "a" : { "b" : "x" } , "ref" : null }`, `{"peer":"1.2.3.4","m":  "GET","id":7 ,"ref":-,"s":{"t":},"a":true}`,
	`{"peer":"1.2.3.4","a.c.d":"x","` + strings.Repeat("k", 24) + `":1,"` + strings.Repeat("k", 30) + `":2,"` + strings.Repeat("k", 40) + `":"3","` + strings.Repeat("k", 200) + `":"4","m":"GET"}`,
	`[{"peer":"1.2.3.4","x":{"a":[1]},"m":"GET"}]`, `[{"peer":"1.2.3.4","m":"GET","x":[1]`, `{"peer":"1.2.3.4","x":{"a":[1]`, `{"peer":"1.2.3.4","x":"`, `{"peer":"1.2.3.4","x":{]}`,
}

func arrayParser(t testing.TB) *parser {
	m, err := Compile(Map{Array: true}, twinTable)
	if err != nil {
		t.Fatal(err)
	}
	return New(m).(*parser)
}

func TestMarks(t *testing.T) {
	p, plain := arrayParser(t), arrayParser(t)
	for _, s := range append(plainSeeds, twinSeeds...) {
		againstPlain(t, p, plain, []byte(s))
		againstTwin(t, p, []byte(s))
	}
}

// FuzzMarks holds the reader with marks against the one without, both of which remember
// the lines before.
func FuzzMarks(f *testing.F) {
	for _, s := range append(plainSeeds, twinSeeds...) {
		f.Add([]byte(s))
	}
	p, plain := arrayParser(f), arrayParser(f)
	f.Fuzz(func(t *testing.T, line []byte) { againstPlain(t, p, plain, line) })
}

// TestKnownKeys reads keys that differ in one byte from one that is remembered.
func TestKnownKeys(t *testing.T) {
	for n := 1; n <= maxKey; n++ {
		key := strings.Repeat("k", n)
		p := New(&Map{Lookup: func(k string) field.Field {
			return map[string]field.Field{key: field.Agent, "peer": field.Peer, "m": field.Method}[k]
		}})
		agent := func(key string) string {
			ev := ingest.Event{}
			line := `{"peer":"1.2.3.4","` + key + `":"x","m":"GET","end":"` + strings.Repeat("-", 64) + `"}`
			if r := p.Parse([]byte(line), &ev); r != ingest.OK {
				t.Fatalf("%s: %s", r, line)
			}
			return ev.Agent
		}
		for range 2 {
			if got := agent(key); got != "x" {
				t.Fatalf("%q gives %q", key, got)
			}
		}
		for i := range n {
			other := key[:i] + "j" + key[i+1:]
			if got := agent(other); got != "" {
				t.Fatalf("%q is taken for %q", other, key)
			}
			if got := agent(key); got != "x" {
				t.Fatalf("%q gives %q", key, got)
			}
		}
	}
}
