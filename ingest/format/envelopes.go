package format

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/envelope"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// unwrap takes a line out of its envelope. Scratch is only appended to.
type unwrap func(line, scratch []byte, ref time.Time) (h envelope.Header, msg, rest []byte, ok bool)

// envelopes are what lines can be wrapped in, in the order in which they are tried.
var envelopes = []struct {
	name, doc, example string
	unwrap             unwrap
}{
	{"syslog", "a syslog header (RFC 3164 or 5424) in front of a line of the format behind the colon",
		"syslog:nginx-combined", func(line, b []byte, ref time.Time) (envelope.Header, []byte, []byte, bool) {
			h, msg, ok := envelope.Syslog(line, ref)
			return h, msg, b, ok
		}},
	{"cri", "a Kubernetes container log around a line of the format behind the colon",
		"cri:nginx-combined", func(line, b []byte, _ time.Time) (envelope.Header, []byte, []byte, bool) {
			h, msg, ok := envelope.CRI(line)
			return h, msg, b, ok
		}},
	{"docker", "Docker's json-file log around a line of the format behind the colon",
		"docker:nginx-combined", func(line, b []byte, _ time.Time) (envelope.Header, []byte, []byte, bool) {
			return envelope.Docker(line, b)
		}},
	{"journald", "the systemd journal (journalctl -o json) around a line of the format behind the colon",
		"journald:nginx-combined", func(line, b []byte, _ time.Time) (envelope.Header, []byte, []byte, bool) {
			return envelope.Journald(line, b)
		}},
}

func init() {
	for _, e := range envelopes {
		Register(e.name, Spec{Doc: e.doc, Example: e.example, Compile: func(arg string) (Format, error) {
			return wrapped(e.name, arg, e.unwrap)
		}})
	}
}

// wrapped opens the format within an envelope; "auto" is found within it.
func wrapped(name, arg string, u unwrap) (Format, error) {
	if arg == "" {
		return Format{}, fmt.Errorf("name the format of the lines within: %s:nginx-combined, or %s:auto", name, name)
	}
	inner, err := Open(arg)
	if err != nil {
		return Format{}, err
	}
	if inner.Auto {
		return Format{Name: name + ":" + Auto, Auto: true, find: func(sample []byte) (Format, string, error) {
			return findWithin(name, u, sample)
		}}, nil
	}
	return wrap(name, inner, u), nil
}

func wrap(name string, inner Format, u unwrap) Format {
	f := inner
	f.Name, f.Spec = name+":"+inner.Name, name+":"+inner.Spec
	f.New = func() ingest.Parser { return &wrappedParser{inner: inner.New(), unwrap: u, ref: time.Now()} }
	return f
}

// findWithin detects the format of lines that are in an envelope.
func findWithin(name string, u unwrap, sample []byte) (Format, string, error) {
	var bare, scratch []byte
	lines := sampleLines(sample)
	opened := 0
	for _, line := range lines {
		_, msg, rest, ok := u(line, scratch, time.Now())
		scratch = rest
		if ok {
			opened++
			bare = append(append(bare, msg...), '\n')
		}
	}
	if opened*2 < len(lines) || opened == 0 {
		return Format{}, "", fmt.Errorf("format: %s: only %d of the first %d lines are in that envelope", name, opened, len(lines))
	}
	inner, why, err := detectPlain(sampleLines(bare))
	if err != nil {
		return Format{}, "", fmt.Errorf("format: within %s: %w", name, err)
	}
	return wrap(name, inner, u), "within " + name + " " + why, nil
}

// partBytes bounds what is kept of a line that comes in parts.
const partBytes = 1 << 20

// wrappedParser takes lines out of their envelope.
type wrappedParser struct {
	inner   ingest.Parser
	unwrap  unwrap
	ref     time.Time // near the lines' time, for headers without a year
	scratch []byte
	part    []byte // the beginning of a line that was cut
}

// Reset implements ingest.Parser.
func (p *wrappedParser) Reset() {
	p.inner.Reset()
	p.scratch = p.scratch[len(p.scratch):]
}

// Parse implements ingest.Parser.
func (p *wrappedParser) Parse(line []byte, ev *ingest.Event) ingest.Reason {
	if field.IsBlankLine(line) {
		return ingest.EmptyLine
	}
	if nul, _, _ := field.Look(line); nul {
		return ingest.HasNUL
	}
	if cap(p.scratch)-len(p.scratch) < len(line) {
		p.scratch = make([]byte, 0, max(64<<10, len(line)))
	}
	h, msg, scratch, ok := p.unwrap(line, p.scratch, p.ref)
	p.scratch = scratch
	if !ok {
		return ingest.BadEnvelope
	}
	if len(p.part) > 0 || h.Partial {
		p.part = append(p.part, msg...)
		if h.Partial && len(p.part) <= partBytes {
			if p.inner.Parse(p.part, &ingest.Event{}) != ingest.OK {
				return ingest.Continued
			}
			// Docker's last line may lack its end: it is whole if it reads whole.
		}
		msg, p.part = p.part, nil
	}
	r := p.inner.Parse(msg, ev)
	if r == ingest.OK && h.Time != 0 {
		if ev.Time == 0 {
			ev.Time = h.Time
		}
		p.ref = time.Unix(0, ev.Time)
	}
	return r
}
