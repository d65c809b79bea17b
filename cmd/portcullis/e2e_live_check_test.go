package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/fixtures/gateways"
)

// told is one event as explain tells it.
type told struct{ fields map[string]string }

func (s told) get(name string) string { return s.fields[name] }

func (s told) String() string { return fmt.Sprintf("%q", s.fields) }

// readExplained reads what explain writes: the events, in the order of their
// lines, and how many lines are none, by reason.
func readExplained(t *testing.T, out []byte) ([]told, map[string]int64) {
	t.Helper()
	var events []told
	rejected := map[string]int64{}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var x struct {
			Rejected string
			Fields   []understood
		}
		if err := dec.Decode(&x); err != nil {
			t.Fatal(err)
		}
		if x.Rejected != "" {
			rejected[x.Rejected]++
			continue
		}
		s := told{map[string]string{}}
		for _, f := range x.Fields {
			s.fields[f.Field] = f.Value
		}
		events = append(events, s)
	}
	return events, rejected
}

// expectation is what a gateway's log can tell, and how it tells it.
type expectation struct {
	lacks    string                                  // fields that are not in its log
	rejected map[string]int64                        // lines that are no events, by reason
	target   func(s gateways.Sent) string            // nil: as sent
	change   func(s gateways.Sent, w map[string]any) // what else is told differently
}

// shown is how a value reads in explain's JSON: bytes that are no UTF-8 are
// replaced there, and there only.
func shown(s string) string {
	b, err := json.Marshal(s)
	var out string
	if err != nil || json.Unmarshal(b, &out) != nil {
		return s
	}
	return out
}

var (
	pseudonym  = regexp.MustCompile(`<[kpst]_[0-9a-z]+>`)
	queryValue = regexp.MustCompile(`\btoken=[^&]*`)
)

// key is what events and requests are matched by.
func (x *expectation) key(s gateways.Sent) string {
	target := s.Target
	if x.target != nil {
		target = x.target(s)
	}
	return queryValue.ReplaceAllString(shown(target), "token=<>")
}

// missing is a well-formed request that no line of the log is about, or "".
func (x *expectation) missing(text []byte, sent []gateways.Sent) string {
	for _, s := range sent {
		if s.Malformed {
			continue
		}
		mark := s.Target[strings.LastIndexByte(s.Target, '/')+1:]
		mark = mark[:min(len(mark), 100)]
		if i := strings.IndexAny(mark, "\"\\{<&'"); i >= 0 {
			mark = mark[:i]
		}
		if !bytes.Contains(text, []byte(mark)) {
			return mark
		}
	}
	return ""
}

// compare holds the events against the requests: each well-formed one has exactly
// one event, which says what was sent; what is left came of malformed ones.
func (x *expectation) compare(t *testing.T, sent []gateways.Sent, events []told, rejected map[string]int64) {
	t.Helper()
	byTarget := map[string][]told{}
	for _, e := range events {
		key := pseudonym.ReplaceAllString(e.get("url.original"), "<>")
		byTarget[key] = append(byTarget[key], e)
	}
	keys := map[string]string{}
	var bad []gateways.Sent
	for _, s := range sent {
		if s.Malformed {
			bad = append(bad, s)
			continue
		}
		key := x.key(s)
		found := byTarget[key]
		delete(byTarget, key)
		if len(found) != 1 {
			t.Errorf("%s: %d events for %s %.200q, want 1: %v", s.What, len(found), s.Method, key, found)
			continue
		}
		x.same(t, s, found[0])
		x.sameKey(t, s, found[0], keys)
	}
	left := 0
	for _, list := range byTarget {
		for _, e := range list {
			left++
			if bad = without(bad, e); bad == nil {
				t.Errorf("no client sent this: %v", e)
			}
		}
	}
	if !maps.Equal(rejected, x.rejected) {
		t.Errorf("rejected lines: %v, want %v", rejected, x.rejected)
	}
	t.Logf("%d requests, each well-formed one is one event; malformed ones are %d events, %d are not logged, %v rejected", len(sent), left, len(bad), rejected)
}

// without takes a malformed request out of a list that an event can have come
// from: same client, and a status that the client saw, unless it saw none. It
// returns nil if there is none.
func without(list []gateways.Sent, e told) []gateways.Sent {
	at := slices.IndexFunc(list, func(s gateways.Sent) bool {
		return s.Local.Addr().String() == e.get("client.ip") && fmt.Sprint(s.Status) == e.get("http.response.status_code")
	})
	if at < 0 {
		at = slices.IndexFunc(list, func(s gateways.Sent) bool { return s.Local.Addr().String() == e.get("client.ip") && s.Status == 0 })
	}
	if at < 0 {
		return nil
	}
	return slices.Delete(list, at, at+1)
}

// same compares one event with its request.
func (x *expectation) same(t *testing.T, s gateways.Sent, got told) {
	t.Helper()
	peer := s.Local.Addr().String()
	want := map[string]any{
		"client.ip": peer, "network.peer": peer, "http.request.method": s.Method,
		"http.response.status_code": fmt.Sprint(s.Status), "user_agent.original": shown(s.Agent),
		"http.request.referrer": shown(s.Referer), "x_forwarded_for": s.XFF,
	}
	for _, name := range strings.Fields(x.lacks) {
		want[name] = ""
	}
	if x.change != nil {
		x.change(s, want)
	}
	for name, w := range want {
		if g := got.get(name); g != w {
			t.Errorf("%s %.80q (%s): %s is %.300q, want %.300q", s.Method, s.Target, s.What, name, g, w)
		}
	}
	at, err := time.Parse(time.RFC3339Nano, got.get("@timestamp"))
	if late := at.Sub(s.At); err != nil || late < -2*time.Second || late > 10*time.Second {
		t.Errorf("%s %.80q: at %s (%v), sent at %s", s.Method, s.Target, got.get("@timestamp"), err, detect.FormatTime(s.At.UnixNano()))
	}
	if flags := got.get("flags"); strings.Contains(flags, "malformed") || strings.Contains(flags, "truncated") {
		t.Errorf("%s %.80q: flags %s", s.Method, s.Target, flags)
	}
}

// sameKey: one key has one pseudonym, and no two keys have the same.
func (x *expectation) sameKey(t *testing.T, s gateways.Sent, got told, keys map[string]string) {
	t.Helper()
	name := got.get("key")
	if s.Key == "" || strings.Contains(" "+x.lacks+" ", " key ") {
		return
	}
	if name == "" {
		t.Errorf("%s %.80q: no pseudonym of its key: %v", s.Method, s.Target, got)
		return
	}
	for key, known := range keys {
		if (key == s.Key) != (known == name) {
			t.Errorf("key %s is %s, key %s is %s", key, known, s.Key, name)
		}
	}
	keys[s.Key] = name
}
