package text

import (
	"testing"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// pieces makes a format of literals and variables.
func pieces(parts ...any) (out []Piece) {
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			out = append(out, Piece{Text: p})
		case Variable:
			out = append(out, Piece{Text: p.Field.String(), Variable: &p})
		}
	}
	return out
}

// spanPlans are formats that escape nothing, of which a span is searched.
func spanPlans(t *testing.T) (out []*Plan) {
	text := func(f field.Field) Variable { return Variable{Field: f} }
	status, size := Variable{Field: field.StatusCode, Kind: Status}, Variable{Field: field.BytesBody, Kind: Int}
	peer := Variable{Field: field.Peer, Kind: Addr}
	id := Variable{Field: field.RequestID, Kind: Word}
	for _, f := range [][]Piece{
		pieces(peer, ` "`, text(field.Request), `" `, status, " ", size, ` "`, text(field.Referer), `" "`, text(field.Agent), `"`),
		pieces(peer, ` |`, text(field.User), `| `, id, ` |`, text(field.Agent), `|`),
		pieces(peer, "\t", text(field.User), "\t", text(field.Agent), "\t", size),
		pieces(peer, " a[", text(field.User), "] (", text(field.Agent), "] ", status, " x"),
		pieces(peer, ` `, text(field.User), ` "`, text(field.Agent), `"`, text(field.Referer)),
	} {
		p, err := Compile(f, Dialect{Nil: "-"})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// TestMarkedTwin holds the two quick ways to read a span against the table that counts
// all: what they take must be the only reading, and the same.
func TestMarkedTwin(t *testing.T) {
	state := uint32(3)
	next := func(n int) int {
		state = state*1664525 + 1013904223
		return int(state>>8) % n
	}
	atoms := []string{`"`, ` `, `" `, `" "`, "|", "| ", "\t", "200", "12", "a", "-", "x", "[", "] (", "] ", `" 200 5 "`, "GET / HTTP/1.1", "] 200 x"}
	quick, only := 0, 0
	for _, plan := range spanPlans(t) {
		last := plan.steps[len(plan.steps)-1]
		sp := last.span
		if sp == nil || sp.mark == 0 && sp.texts < 2 {
			t.Fatalf("the format has no span that is searched: %+v", plan.steps)
		}
		p := plan.New().(*parser)
		for range 40_000 {
			var body []byte
			for range 1 + next(12) {
				body = append(body, atoms[next(len(atoms))]...)
			}
			var byMark, bySingle, byTable ingest.Event
			ways := p.count(sp, body)
			if ways == 1 {
				only++
				p.take(sp, body, &byTable)
			}
			if sp.mark != 0 && p.marked(sp, body, &byMark) {
				quick++
				if ways != 1 || byMark != byTable {
					t.Fatalf("%q has %d readings; by its mark %+v\nby the table %+v", body, ways, byMark, byTable)
				}
			} else if byMark != (ingest.Event{}) {
				t.Fatalf("%q: given up, but something is left: %+v", body, byMark)
			}
			if p.single(sp, body, &bySingle) && (ways != 1 || bySingle != byTable) {
				t.Fatalf("%q has %d readings; by single %+v\nby the table %+v", body, ways, bySingle, byTable)
			}
		}
	}
	if quick == 0 || only == 0 {
		t.Errorf("%d bodies were read by their mark, %d have one reading", quick, only)
	}
}

// TestSuffix: where a span can be read in several ways, what stands at its end and has
// a fixed width is still known.
func TestSuffix(t *testing.T) {
	f := pieces(Variable{Field: field.Peer, Kind: Addr}, " ", Variable{Field: field.User}, " ", Variable{Field: field.Agent}, " [",
		Variable{Field: field.TimeLocal, Kind: Local}, "] ", Variable{Field: field.StatusCode, Kind: Status})
	plan, err := Compile(f, Dialect{Nil: "-"})
	if err != nil {
		t.Fatal(err)
	}
	var ev ingest.Event
	line := []byte("1.2.3.4 a b c [23/Nov/2026:13:03:36 +0000] 404 d [23/Nov/2027:13:03:36 +0000] 200")
	if r := plan.New().Parse(line, &ev); r != ingest.OK || ev.User != "" || ev.Agent != "" || ev.Status != 200 || ev.Time != 1826975016e9 {
		t.Errorf("%s %+v", r, ev)
	}
}

// TestUsually: a value that nearly always is one word is read as a literal, and any
// other value in a second try.
func TestUsually(t *testing.T) {
	f := pieces(Variable{Field: field.Peer, Kind: Addr}, " ", Variable{Field: field.Session, Raw: true, Usually: "-"}, " ", Variable{Field: field.StatusCode, Kind: Status})
	plan, err := Compile(f, Dialect{Nil: "-"})
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{"1.2.3.4 - 200": "", "1.2.3.4 a 200": "a", "1.2.3.4 a - 200": "a -", "1.2.3.4  200": ""} {
		var ev ingest.Event
		if r := plan.New().Parse([]byte(line), &ev); r != ingest.OK || ev.Session != want || ev.Status != 200 {
			t.Errorf("%s: %s %+v", line, r, ev)
		}
	}
}
