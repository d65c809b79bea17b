package push

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// long is longer than the tests' max_line.
var long = strings.Repeat("y", 200)

// splits are bodies and what becomes of them.
var splits = []struct {
	name  string
	mode  mode
	body  string
	lines string // separated by |
	wrong string // index: why, separated by |
}{
	{"lines", modeText, "a b\nc\n", "a b|c", ""},
	{"last line without its end", modeText, "a\nb", "a|b", ""},
	{"empty lines", modeText, "\n\na\n \r\n\nb\n\n", "a|b", ""},
	{"line ends of Windows", modeText, "a \r\nb\r\n", "a |b", ""},
	{"carriage return within", modeText, "a\rb\n", "a b", ""},
	{"byte order mark", modeText, "\xef\xbb\xbfa\n", "a", ""},
	{"text that begins like an array", modeSniff, "[2026-01-02] GET /\n[2026-01-03] GET /\n", "[2026-01-02] GET /|[2026-01-03] GET /", ""},
	{"long line", modeText, "a\n" + long + "\nb\n", "a|b", "1: is longer than 100 bytes (max_line)"},
	{"ndjson", modeNDJSON, "{\"a\":1}\n{\"b\":\"}\"}\n", `{"a":1}|{"b":"}"}`, ""},
	{"ndjson with a bad line", modeNDJSON, "{\"a\":1}\n{\"cut\n[1]\n\"s\"\n{\"b\":2}", `{"a":1}|{"b":2}`,
		"1: is not a JSON object|2: is not a JSON object|3: is not a JSON object"},
	{"one object", modeJSON, `{"a":{"b":[1,2,{}]}}`, `{"a":{"b":[1,2,{}]}}`, ""},
	{"one object over lines", modeJSON, "{\n  \"a\": 1,\r\n  \"b\": []\n}\n", `{   "a": 1,    "b": [] }`, ""},
	{"objects one after another", modeJSON, `{"a":1}{"b":2} {"c":3}`, `{"a":1}|{"b":2}|{"c":3}`, ""},
	{"ndjson as json", modeJSON, "{\"a\":1}\n{\"b\":2}\n", `{"a":1}|{"b":2}`, ""},
	{"array", modeJSON, "[{\"a\":1},\n {\"b\":\"],[\"}, {\"c\":\"\\\"\\\\\"} ]", `{"a":1}|{"b":"],["}|{"c":"\"\\"}`, ""},
	{"empty array", modeJSON, " [ ] ", "", ""},
	{"arrays one after another", modeJSON, `[{"a":1}][{"b":2}]`, `{"a":1}|{"b":2}`, ""},
	{"array by sniffing", modeSniff, "\n [ {\"a\":1}]", `{"a":1}`, ""},
	{"object by sniffing", modeSniff, "{\n\"a\":1}", `{ "a":1}`, ""},
	{"array of other things", modeJSON, `[1, "a,]b", null, [{"x":1},2], {"a":1}, true]`, `{"a":1}`,
		"0: is not a JSON object|1: is not a JSON object|2: is not a JSON object|3: is not a JSON object|5: is not a JSON object"},
	{"array that is not closed", modeJSON, `[{"a":1}, `, `{"a":1}`, "1: the body ends before the array is closed"},
	{"array cut within an element", modeJSON, `[{"a":1}, {"b":`, `{"a":1}`, "1: the body ends within the record"},
	{"array cut within a number", modeJSON, `[{"a":1}, 12`, `{"a":1}`, "1: the body ends within the record"},
	{"garbage between objects", modeJSON, "{\"a\":1}\nnot json {\n{\"b\":2}\n", `{"a":1}|{"b":2}`, "1: is not a JSON object"},
	{"a string without its end", modeJSON, "{\"a\":\"cut\n{\"b\":2}\n", `{"b":2}`, "0: a line ends within a string, or brackets do not match"},
	{"brackets that do not match", modeJSON, "[{\"a\":1], {\"b\":2}]", `{"b":2}`, "0: a line ends within a string, or brackets do not match"},
	{"line ends in a string of an array", modeJSON, "[{\"a\":\"x\ny\"}]", `{"a":"x y"}`, ""},
	{"long element", modeJSON, `[{"a":"` + long + `"},{"b":2}]`, `{"b":2}`, "0: is longer than 100 bytes (max_line)"},
	{"closing bracket alone", modeJSON, "]\n{\"a\":1}", `{"a":1}`, "0: is not a JSON object"},
	{"nothing", modeJSON, "", "", ""},
	{"blanks", modeSniff, " \n\t ", "", ""},
}

// TestSplit: what becomes a line, what is wrong, whatever the sizes in which the
// body arrives.
func TestSplit(t *testing.T) {
	for _, c := range splits {
		for _, chunk := range []int{1, 2, 3, 7, 1 << 16} {
			lines, errs, _, err := cut(c.mode, c.body, chunk, 100)
			if err != nil {
				t.Errorf("%s, chunks of %d: %v", c.name, chunk, err)
			}
			want := c.lines
			if want != "" {
				want = strings.ReplaceAll(want, "|", "\n") + "\n"
			}
			if lines != want {
				t.Errorf("%s, chunks of %d:\ngot  %q\nwant %q", c.name, chunk, lines, want)
			}
			var wrong []string
			for _, e := range errs {
				wrong = append(wrong, fmt.Sprintf("%d: %s", e.Index, e.Error))
			}
			if got := strings.Join(wrong, "|"); got != c.wrong {
				t.Errorf("%s, chunks of %d:\ngot  %q\nwant %q", c.name, chunk, got, c.wrong)
			}
		}
	}
}

// FuzzSplit: the sizes of the chunks change nothing, a line holds no line end,
// every record is counted, and a valid JSON array of objects is taken whole and
// unchanged but for its blanks.
func FuzzSplit(f *testing.F) {
	for _, body := range []string{
		`[{"a":1},{"b":[1,"\"]"]}]`, "{\"a\":1}\n{\"b\":2}\n", "a\r\nb\n\nc", "[1,[2,{}],\"x\"]", "{\"a\":\"x\n", "]}[{", "\xef\xbb\xbf{}", "[{\"a\":\"\\\\\"},",
	} {
		for m := modeSniff; m <= modeJSON; m++ {
			f.Add(uint8(m), body, uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, m uint8, body string, chunk uint8) {
		md := mode(m % 4)
		lines, errs, n, err := cut(md, body, 1<<16, 1000)
		again, errs2, n2, err2 := cut(md, body, int(chunk)+1, 1000)
		if lines != again || n != n2 || !reflect.DeepEqual(errs, errs2) || err != nil || err2 != nil {
			t.Fatalf("chunks of %d: %q %v %v %v\nwhole: %q %v %v %v", int(chunk)+1, again, errs2, n2, err2, lines, errs, n, err)
		}
		if int64(strings.Count(lines, "\n")) != n.accepted || strings.Contains(lines, "\r") || strings.HasPrefix(lines, "\n") || strings.Contains(lines, "\n\n") {
			t.Fatalf("%d lines of %q", n.accepted, lines)
		}
		if n.next != n.accepted+n.rejected {
			t.Fatalf("%+v does not add up", n)
		}
		var elements []map[string]any
		if md != modeJSON || len(body) > 1000 || json.Unmarshal([]byte(body), &elements) != nil || body == "null" || strings.TrimSpace(body)[0] != '[' {
			return
		}
		checkElements(t, lines, elements)
	})
}

// checkElements demands that each element is a line.
func checkElements(t *testing.T, lines string, elements []map[string]any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(lines))
	for i, want := range elements {
		if want == nil { // null is no object
			continue
		}
		var got map[string]any
		if err := dec.Decode(&got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("element %d: got %v, want %v: %v", i, got, want, err)
		}
	}
}
