package ingesttest

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// FormatCase is a log format under test.
type FormatCase struct {
	// New makes a parser.
	New func() ingest.Parser
	// Lines are lines of the format, each with the event it must give. At least two;
	// some of them should hold escapes, if the format has them.
	Lines []FormatLine
	// Rejects are lines that must be refused, each with the true reason. The empty
	// line, a blank one and one with a NUL byte are tried without being named.
	Rejects map[string]ingest.Reason
}

// FormatLine is a line and what it says.
type FormatLine struct {
	Line  string
	Event ingest.Event
	// Plain means that nothing in the line is escaped, so that parsing it must not allocate.
	Plain bool
}

// Format checks a format against the contract of ingest.Parser.
func Format(t *testing.T, c FormatCase) {
	if len(c.Lines) < 2 {
		t.Fatal("the contract needs two lines at least, to see that one does not leak into the next")
	}
	t.Run("events", func(t *testing.T) { formatEvents(t, c) })
	t.Run("rejects", func(t *testing.T) { formatRejects(t, c) })
	t.Run("lifetime", func(t *testing.T) { formatLifetime(t, c) })
	t.Run("allocations", func(t *testing.T) { formatAllocations(t, c) })
	t.Run("damage", func(t *testing.T) { formatDamage(t, c) })
}

// formatEvents: each line gives its event, and leaves alone what others set.
func formatEvents(t *testing.T, c FormatCase) {
	p := c.New()
	for _, l := range c.Lines {
		line := []byte(l.Line)
		var ev ingest.Event
		if r := p.Parse(line, &ev); r != ingest.OK {
			t.Errorf("refused as %s, but it is an event: %q", r, l.Line)
			continue
		}
		if string(line) != l.Line {
			t.Errorf("the parser wrote into the line, which other readers share: %q became %q", l.Line, line)
		}
		if ev.Client.IsValid() || ev.Route != "" || ev.RouteID != 0 || ev.Kind != 0 || ev.Line != "" || ev.Pos != (ingest.Position{}) {
			t.Errorf("Client, Route, Kind, Line and Pos are set by others, not by a parser: %+v", ev)
		}
		if ev != l.Event {
			t.Errorf("line %q\ngives %+v\nwant  %+v", l.Line, ev, l.Event)
		}
	}
}

func formatRejects(t *testing.T, c FormatCase) {
	p := c.New()
	rejects := map[string]ingest.Reason{
		"": ingest.EmptyLine, " \t ": ingest.EmptyLine, "\x00\x00\x00\x00": ingest.HasNUL,
		c.Lines[0].Line[:1] + "\x00" + c.Lines[0].Line[1:]: ingest.HasNUL,
	}
	maps.Copy(rejects, c.Rejects)
	for line, want := range rejects {
		var ev ingest.Event
		if r := p.Parse([]byte(line), &ev); r != want {
			t.Errorf("gives %s, want %s: %q", r, want, line)
		}
	}
	var ev ingest.Event
	if r := p.Parse([]byte(c.Lines[0].Line), &ev); r != ingest.OK || ev != c.Lines[0].Event {
		t.Errorf("after refused lines a good one gives %s, %+v: a parser must forget a line it refused", r, ev)
	}
}

// formatLifetime: an event stays as it was while its line does, whatever is parsed
// afterwards and after Reset, and does not hang on the parser's scratch being kept.
func formatLifetime(t *testing.T, c FormatCase) {
	p := c.New()
	const rounds = 200
	var lines [][]byte
	var events []ingest.Event
	for i := range rounds * len(c.Lines) {
		line := []byte(c.Lines[i%len(c.Lines)].Line)
		var ev ingest.Event
		p.Parse(line, &ev)
		lines, events = append(lines, line), append(events, ev)
		if i%7 == 0 {
			p.Reset()
		}
	}
	for i, ev := range events {
		if want := c.Lines[i%len(c.Lines)].Event; ev != want {
			t.Fatalf("the event of line %d changed after later lines or Reset: scratch is never to be overwritten\nnow  %+v\nwant %+v", i, ev, want)
		}
	}
	// Two parsers share nothing.
	q := c.New()
	var a, b ingest.Event
	p.Parse(lines[0], &a)
	q.Parse(lines[1], &b)
	if a != c.Lines[0].Event || b != c.Lines[1].Event {
		t.Error("two parsers from one New disturb each other: each worker has its own")
	}
}

func formatAllocations(t *testing.T, c FormatCase) {
	p := c.New()
	for _, l := range c.Lines {
		line := []byte(l.Line)
		var ev ingest.Event
		n := testing.AllocsPerRun(200, func() {
			ev = ingest.Event{}
			p.Parse(line, &ev)
		})
		if l.Plain && n != 0 {
			t.Errorf("%v allocations for a line without escapes: fields are to be borrowed from it: %q", n, l.Line)
		}
	}
}

// formatDamage: a line that was cut, doubled or overwritten is an event or has a
// reason; it never panics, and never makes up a client.
func formatDamage(t *testing.T, c FormatCase) {
	p := c.New()
	for _, l := range c.Lines {
		line := []byte(l.Line)
		for k := range line {
			var ev ingest.Event
			if r := p.Parse(line[:k:k], &ev); r == ingest.OK && ev.Peer != l.Event.Peer {
				t.Errorf("cut to %d bytes the line gives the client %s, the gateway saw %s: %q", k, ev.Peer, l.Event.Peer, line[:k])
			}
			for _, c := range []byte("\"\\ {}[]:,\xff%-") {
				broken := bytes.Clone(line)
				broken[k] = c
				ev = ingest.Event{}
				if r := p.Parse(broken, &ev); strings.HasPrefix(r.String(), "unknown") {
					t.Errorf("a reason that is none: %d", r)
				}
			}
		}
		var ev ingest.Event
		p.Parse(append(bytes.Clone(line), line...), &ev)
	}
}
