package text

import (
	"math/rand"
	"regexp"
	"slices"
	"testing"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// quotedDialect escapes as nginx and Apache do.
var quotedDialect = Dialect{Marker: '\\', Undo: func(s *field.Scratch, v []byte) ([]byte, bool) { return s.UndoHex(v), true },
	Escaped: func(c byte) bool { return c < 32 || c == '"' || c == '\\' || c > 126 }, Nil: "-"}

// slowly returns the plan without its quick ways: each step by itself, each number by
// the reader of its kind.
func slowly(p *Plan) *Plan {
	slow := *p
	slow.steps = nil
	for _, st := range p.steps {
		if st.op == opHead {
			continue
		}
		if st.op == opInt || st.op == opSeveral {
			st.op = opTight
		}
		slow.steps = append(slow.steps, st)
	}
	return &slow
}

// combined is "combined" with something before and behind it.
func combined() []Piece {
	return pieces(Variable{Field: field.Skip, Kind: Token, Set: &field.WordBytes}, ":", Variable{Field: field.Skip, Kind: Int}, " ",
		Variable{Field: field.Peer, Kind: Addr}, " - ", Variable{Field: field.User}, " [", Variable{Field: field.TimeLocal, Kind: Local}, `] "`,
		Variable{Field: field.Request}, `" `, Variable{Field: field.StatusCode, Kind: Status}, " ", Variable{Field: field.BytesBody, Kind: Int}, ` "`,
		Variable{Field: field.Referer}, `" "`, Variable{Field: field.Agent}, `" `, Variable{Field: field.Duration, Kind: Signed, Unit: 1e6}, " ",
		Variable{Field: field.BytesIn, Kind: Int})
}

// TestQuickTwin holds the quick ways against the plain one on lines with damage of all kinds.
func TestQuickTwin(t *testing.T) {
	quick, err := Compile(combined(), quotedDialect)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(quick.steps, func(s step) bool { return s.op == opHead }) || quick.steps[0].op == opHead {
		t.Fatalf("the head is not found behind the first values: %+v", quick.steps)
	}
	fast, slow := quick.New(), slowly(quick).New()
	random := rand.New(rand.NewSource(11))
	whole := `a-example:443 203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /a?b=c HTTP/1.1" 200 512 "-" "curl/8.5.0" -1 77`
	atoms := []string{`"`, `\`, `\x22`, " ", "-", "+", "0", "12", "999999999999999", "9999999999999999999", "9223372036854775807", "[", "] ", ":", "bob", "::1", " HTTP/1.1", "é", ""}
	events := 0
	for range 200_000 {
		line := []byte(whole)
		for range random.Intn(3) {
			at := random.Intn(len(line) + 1)
			line = slices.Replace(line, at, min(len(line), at+random.Intn(4)), []byte(atoms[random.Intn(len(atoms))])...)
		}
		var a, b ingest.Event
		ra, rb := fast.Parse(line, &a), slow.Parse(line, &b)
		if ra != rb || ra == ingest.OK && a != b {
			t.Fatalf("%s\n%s %+v\nslowly %s %+v", line, ra, a, rb, b)
		}
		if ra == ingest.OK {
			events++
		}
	}
	if events < 20_000 {
		t.Errorf("only %d lines were events", events)
	}
}

// TestPassTwin holds the passing over several numbers against a regular expression.
func TestPassTwin(t *testing.T) {
	s := &step{seps: "/ /"}
	want := regexp.MustCompile(`^(?:[-+]\d*|\d+)/(?:[-+]\d*|\d+) (?:[-+]\d*|\d+)/(?:[-+]\d*|\d+)`)
	random := rand.New(rand.NewSource(5))
	passed := 0
	for range 300_000 {
		line := []byte("x")
		for k := range 4 {
			line = append(line, []string{"0", "7", "12", "-1", "+3", "-", "", "4567", "+", "x"}[random.Intn(10)]...)
			line = append(line, "/ /,"[k])
		}
		line = line[:len(line)-random.Intn(2)]
		end := -1
		if m := want.FindIndex(line[1:]); m != nil {
			end = 1 + m[1]
			passed++
		}
		if got := s.pass(line, 1); got != end {
			t.Fatalf("%q ends at %d, want %d", line, got, end)
		}
	}
	if passed < 1000 {
		t.Errorf("only %d were numbers", passed)
	}
}
