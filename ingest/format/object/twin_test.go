package object

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// twinTable has nesting, rivals of one fact, header names and lists.
var twinTable = []Entry{
	{Path: "peer", Field: field.Peer},
	{Path: "a.b", Field: field.Agent},
	{Path: "a.c.d", Field: field.Agent},
	{Path: "a", Field: field.User},
	{Path: "ref", Field: field.Referer},
	{Path: "m", Field: field.Method},
	{Path: "id", Field: field.RequestID},
	{Path: "s.t", Field: field.Subject},
	{Path: "h.x-forwarded-for", Field: field.Chain, Fold: true},
	{Path: "h.forwarded", Field: field.Forwarded, Fold: true},
	{Path: "h.x-api-key", Field: field.Key, Fold: true},
	{Path: "h.X.y", Field: field.Consumer},
	{Path: "l", Field: field.Chain},
}

// tree is what encoding/json says of a line, with the members of objects in their order,
// doubles and all.
type tree struct {
	key   string
	value any // []tree, array, string, json.Number, bool, nil
}

type array []any

// readTree reads one object with encoding/json, or says that the line is none.
func readTree(line []byte) ([]tree, bool) {
	if !json.Valid(line) {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	v, err := readValue(dec)
	if _, more := dec.Token(); err != nil || more != io.EOF {
		return nil, false
	}
	t, ok := v.([]tree)
	return t, ok
}

func readValue(dec *json.Decoder) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('{'):
		out := []tree{}
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := readValue(dec)
			if err != nil {
				return nil, err
			}
			out = append(out, tree{key.(string), v})
		}
		_, err = dec.Token()
		return out, err
	case json.Delim('['):
		out := array{}
		for dec.More() {
			v, err := readValue(dec)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		_, err = dec.Token()
		return out, err
	}
	return tok, nil
}

// twin is the slow reader: it spells out the path of every value and looks for it
// in the table.
type twin struct {
	best map[field.Field]int // the entry that a field was taken from
	text map[field.Field]string
	from map[field.Field]int
}

func (w *twin) object(prefix string, members []tree) {
	for _, m := range members {
		w.value(prefix+m.key, m.value)
	}
}

// entry finds a path in the table: the last name of a Fold entry in any case.
func (w *twin) entry(path string) int {
	for k, e := range twinTable {
		at := strings.LastIndexByte(e.Path, '.') + 1
		if path == e.Path || e.Fold && len(path) == len(e.Path) && path[:at] == e.Path[:at] && lower(path[at:]) == e.Path[at:] {
			return k
		}
	}
	return -1
}

func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r | 0x20
		}
		return r
	}, s)
}

// inner tells whether the table has paths below this one.
func (w *twin) inner(path string) bool {
	for _, e := range twinTable {
		if strings.HasPrefix(e.Path, path+".") {
			return true
		}
	}
	return false
}

func (w *twin) value(path string, v any) {
	k := w.entry(path)
	switch v := v.(type) {
	case []tree:
		if w.inner(path) {
			w.object(path+".", v)
			return
		}
	case array:
		if w.inner(path) {
			for _, e := range v {
				w.pair(path, e)
			}
			return
		}
	}
	if k >= 0 {
		w.leaf(k, v, false, maxWrap)
	}
}

func (w *twin) pair(path string, e any) {
	members, ok := e.([]tree)
	if !ok {
		return
	}
	var name string
	var value any
	found := false
	for _, m := range members {
		switch m.key {
		case "name", "key", "Name", "Key":
			if s, ok := m.value.(string); ok {
				name = s
			}
		case "value", "Value":
			value, found = m.value, true
		}
	}
	if found {
		w.value(path+"."+name, value)
	}
}

// leaf takes a value and reports whether it said anything.
func (w *twin) leaf(k int, v any, joins bool, depth int) bool {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	case array:
		return depth > 0 && w.list(k, v, depth-1)
	case []tree:
		took := false
		for _, m := range v {
			switch m.key {
			case "stringValue", "intValue", "doubleValue", "arrayValue", "values":
				took = depth > 0 && w.leaf(k, m.value, joins, depth-1) || took
			}
		}
		return took
	}
	if text == "" || text == "-" {
		return false
	}
	return w.take(k, text, joins)
}

func (w *twin) list(k int, v array, depth int) bool {
	f := twinTable[k].Field
	took := false
	for _, e := range v {
		if took && f != field.Chain && f != field.Forwarded {
			break
		}
		took = w.leaf(k, e, took, depth) || took
	}
	return took
}

func (w *twin) take(k int, text string, joins bool) bool {
	e := twinTable[k]
	if old, ok := w.best[e.Field]; ok && k > old || e.Fold && text == "REDACTED" {
		return false
	}
	w.best[e.Field] = k
	if list := e.Field == field.Chain || e.Field == field.Forwarded; list && w.text[e.Field] != "" {
		if from, ok := w.from[e.Field]; joins || e.Fold && ok && from == k {
			w.text[e.Field] += ", " + text
			return true
		}
	}
	w.text[e.Field], w.from[e.Field] = text, k
	return true
}

// againstTwin reads a line with the table and holds it against the slow reader.
func againstTwin(t *testing.T, p ingest.Parser, line []byte) {
	t.Helper()
	var ev ingest.Event
	reason := p.Parse(line, &ev)
	members, ok := readTree(line)
	if !ok || !utf8.Valid(line) || line[0] == '<' {
		return
	}
	if reason == ingest.BadJSON {
		t.Fatalf("valid JSON is refused: %q", line)
	}
	if reason != ingest.OK {
		return
	}
	w := twin{best: map[field.Field]int{}, text: map[field.Field]string{}, from: map[field.Field]int{}}
	w.object("", members)
	for name, pair := range map[string][2]string{
		"agent": {ev.Agent, w.text[field.Agent]}, "user": {ev.User, w.text[field.User]}, "referer": {ev.Referer, w.text[field.Referer]},
		"method": {ev.Method, w.text[field.Method]}, "id": {ev.RequestID, w.text[field.RequestID]}, "subject": {ev.Subject, w.text[field.Subject]},
		"chain": {ev.Chain, w.text[field.Chain]}, "forwarded": {ev.Forwarded, w.text[field.Forwarded]}, "key": {ev.Key, w.text[field.Key]},
		"consumer": {ev.Consumer, w.text[field.Consumer]},
	} {
		if pair[0] != pair[1] {
			t.Fatalf("%s is %q, encoding/json says %q: %q", name, pair[0], pair[1], line)
		}
	}
	if a, ok := field.Peername([]byte(w.text[field.Peer])); !ok || a != ev.Peer {
		t.Fatalf("peer is %s, encoding/json says %q: %q", ev.Peer, w.text[field.Peer], line)
	}
}

var twinSeeds = []string{
	`{"peer":"1.2.3.4","a":{"b":"x","c":{"d":"y"}},"m":"GET","ref":null,"id":12,"s":{"t":"CN=x"}}`,
	`{"peer":"[::1]:80","a.b":"x","a":{"c.d":"y"},"a":"z","a.c":{"d":"w"}}`,
	`{"peer":"1.2.3.4:5","h":{"X-Forwarded-For":["1.1.1.1","2.2.2.2"],"x-forwarded-for":"3.3.3.3","X-API-KEY":["","k","l"],"Forwarded":[]}}`,
	`{"peer":"1.2.3.4","h":[{"name":"X-Forwarded-For","value":"1.1.1.1"},{"value":{"stringValue":"k"},"key":"x-api-key"},7,[{}]],"l":["a",["b",{"x":1}],"c"]}`,
	`{ "peer" : "1.2.3.4" , "a" : [ { "key" : "b" , "value" : { "arrayValue" : { "values" : [ { "stringValue" : "v" } , { "intValue" : "7" } ] } } } ] , "l" : [ { "values" : "q" } ] }`,
	`{"peer":"1.2.3.4","\u0061":{"\u0062":"a\"b\\c\/\u00e9\ud83d\ude00\ud800x"},"h":{"X":{"y":true},"X.y":"c"},"m":"-","m":"","id":1e3}`,
	`{"peer":"1.2.3.4","s":{"t":"\\"},"x":{"peer":"9.9.9.9","y":["}","\"",{"z":[[]]}]},"peer":"4.3.2.1"}`,
	`{"peer":"1.2.3.4","l":"a","h":{"x-forwarded-for":"b","X-Forwarded-For":"REDACTED"},"l":"c"}`,
	`{"peer":"1.2.3.4","ref":"` + strings.Repeat("long ", 40) + `\"\\","":{"":""},"a.":1,".a":2,"a..b":3}`,
	`{}`, `{"a":1}x`, `{"a"}`, `{"a":"\`, `{"peer":"1.2.3.4",}`, `[{"peer":"1.2.3.4"}]`, `{"peer":"1.2.3.4"`, `{"a":[{]}`, `{"h":[{"name":"x","value":`,
}

func twinParser(t testing.TB) ingest.Parser {
	m, err := Compile(Map{}, twinTable)
	if err != nil {
		t.Fatal(err)
	}
	return New(m)
}

func TestTwin(t *testing.T) {
	p := twinParser(t)
	for range 2 { // the second time from memory
		for _, s := range twinSeeds {
			againstTwin(t, p, []byte(s))
		}
	}
}

// FuzzTwin reads a line with a reader that remembers another one, and without.
func FuzzTwin(f *testing.F) {
	for i, s := range twinSeeds {
		f.Add([]byte(twinSeeds[(i+1)%len(twinSeeds)]), []byte(s))
	}
	old := twinParser(f)
	f.Fuzz(func(t *testing.T, before, line []byte) {
		var ev ingest.Event
		old.Parse(before, &ev)
		againstTwin(t, old, line)
		var a, b ingest.Event
		ra, rb := old.Parse(line, &a), twinParser(t).Parse(line, &b)
		if ra != rb || ra == ingest.OK && a != b {
			t.Fatalf("what was read before changes the line: %s %+v\nalone %s %+v\n%q", ra, a, rb, b, line)
		}
	})
}
