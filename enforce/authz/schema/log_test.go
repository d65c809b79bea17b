package schema

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/openapi"
)

// texts are values as they stand in a URL, most of them close to what schemas say.
var texts = []string{"", "a", "ab", "abc", "b", "aaaa", "bäö", "12", "0", "1", "1.0", "-1", "3", "-4", "2.5", "1e1", "007", "true", "false", "null",
	"2147483648", "9223372036854775808", "2026-01-02", "2026-13-02", "127.0.0.1", "x y", "+", "\xff"}

// text makes a schema of what a URL can hold: its types first, as documents have them.
func (d *dice) text(depth int) words {
	s := words{"type": pickOf[any](d, "string", "integer", "number", "boolean", []string{"string", "null"}, []string{"integer", "null"}, []string{"integer", "string"})}
	for range d.roll(4) {
		switch d.roll(10) {
		case 0:
			s["minLength"] = d.roll(4)
		case 1:
			s["maxLength"] = 1 + d.roll(4)
		case 2:
			s["pattern"] = pickOf(d, "^a", "b$", "[0-9]+", "^.?$")
		case 3:
			s["minimum"] = d.roll(8) - 4
		case 4:
			s["exclusiveMaximum"] = d.roll(8) - 2
		case 5:
			s["multipleOf"] = 1 + d.roll(3)
		case 6:
			s["enum"] = pickOf[any](d, []any{"a", "12"}, []any{1, 3}, []any{true, 2.5, "b"})
		case 7:
			s["format"] = pickOf(d, "date", "ipv4", "int32")
		case 8:
			s["const"] = pickOf[any](d, "a", 1, true)
		case 9:
			if depth > 0 {
				s[pickOf(d, "allOf", "anyOf")] = []any{d.text(depth - 1), d.text(depth - 1)}
			}
		}
	}
	return s
}

// TestLogAsInline: what is said of a request by its line in the log is what would have been
// said while the gateway waits, as far as the log has it.
func TestLogAsInline(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const schemas = 400
	paths := words{}
	var made []string
	for i := range schemas {
		data := make([]byte, 40)
		for j := range data {
			data[j] = byte(r.Uint32())
		}
		s := (&dice{data: data}).text(2)
		paths[fmt.Sprintf("/a%d", i)] = words{"get": words{"responses": words{"200": words{"description": "ok"}},
			"parameters": []any{words{"name": "x", "in": "query", "schema": s}}}}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, string(text))
	}
	doc, err := json.Marshal(words{"openapi": "3.1.0", "info": words{"title": "t", "version": "1"}, "paths": paths})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "api.json")
	if err := os.WriteFile(name, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	api, err := openapi.Open([]openapi.Document{{File: name}})
	if err != nil {
		t.Fatal(err)
	}
	inline, log := rulesOf(t, string(doc), Options{}).Checker(), api.Reader()
	counts := map[bool]int{}
	for i := range schemas {
		for _, v := range texts {
			target := fmt.Sprintf("/a%d?x=%s", i, url.QueryEscape(v))
			var of ingest.API
			log.Query(log.Find(0, "GET", fmt.Sprintf("/a%d", i)).Op, target, &of)
			departs := of.Departures[0].Kind == ingest.DepartureValue
			verdict := said(inline.Check(&Request{Method: "GET", Target: target}))
			// In the log the values of a list are texts: it takes 1 for one of a list of "1", which a
			// document in YAML easily confuses.
			list := strings.Contains(made[i], `"enum"`) || strings.Contains(made[i], `"const"`)
			if refused := strings.Contains(verdict, "query x: "); departs && !refused || refused && !departs && !list {
				t.Errorf("%s with %q: in the log %t, inline %q", made[i], v, departs, verdict)
			}
			counts[departs]++
		}
		if t.Failed() {
			return
		}
	}
	if counts[true] < 1000 || counts[false] < 1000 {
		t.Errorf("%v: one side is hardly tried", counts)
	}
}
