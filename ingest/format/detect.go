package format

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// detectLines is how many lines of a sample are looked at: enough for a majority
// even where a scanner's garbage opens the file.
const detectLines = 64

// candidate is one registered format and how well it reads the sample.
type candidate struct {
	format Format
	score  int
	known  int // fields filled, to decide between equals
	tie    int
}

// Detect finds the format of a file from its first lines. It takes the registered
// format that reads most of them, at least half, and says why; formats that need
// an argument take no part. Where none does, it looks into the envelopes that
// lines can be in. The sample's last line counts only if it is whole or alone.
func Detect(sample []byte) (Format, string, error) {
	lines := sampleLines(sample)
	f, why, err := detectPlain(lines)
	if err == nil || len(lines) == 0 {
		return f, why, err
	}
	for _, e := range envelopes {
		if f, why, within := findWithin(e.name, e.unwrap, sample); within == nil {
			return f, why, nil
		}
	}
	return Format{}, "", err
}

// detectPlain finds the format of lines that are in no envelope.
func detectPlain(lines [][]byte) (Format, string, error) {
	if len(lines) == 0 {
		return Format{}, "", fmt.Errorf("format: nothing to detect from: the sample holds no line")
	}
	var all []candidate
	for _, name := range Names() {
		spec := registry[name]
		if name == Auto || isEnvelope(name) {
			continue
		}
		f, err := Open(name)
		if err != nil {
			continue // needs an argument
		}
		c := candidate{format: f, tie: spec.Tie}
		c.read(spec.Score, lines)
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(b.score-a.score, b.known-a.known, b.tie-a.tie)
	})
	if len(all) == 0 || all[0].score*2 < 100*len(lines) {
		return Format{}, "", undetected(lines)
	}
	best := all[0]
	why := fmt.Sprintf("%s reads %d of the first %d lines", best.format.Name, best.score/100, len(lines))
	if len(all) > 1 && all[1].score == best.score {
		why += fmt.Sprintf(", so does %s, which tells no more", all[1].format.Name)
		if all[1].known < best.known {
			why = strings.TrimSuffix(why, "no more") + "less"
		}
	}
	return best.format, why, nil
}

func isEnvelope(name string) bool {
	for _, e := range envelopes {
		if e.name == name {
			return true
		}
	}
	return false
}

// Find settles a Format that is Auto by the first lines of its file; any other is
// what it is.
func (f Format) Find(sample []byte) (Format, string, error) {
	if !f.Auto {
		return f, "", nil
	}
	if f.find != nil {
		return f.find(sample)
	}
	return Detect(sample)
}

// read scores the sample's lines.
func (c *candidate) read(score func([]byte) int, lines [][]byte) {
	p := c.format.New()
	for _, line := range lines {
		var ev ingest.Event
		ok := p.Parse(line, &ev) == ingest.OK && ev.Flags&ingest.FlagTruncated == 0
		switch {
		case score != nil:
			c.score += min(max(score(line), 0), 100)
		case ok:
			c.score += 100
		}
		if ok {
			c.known += filled(&ev)
		}
		p.Reset()
	}
}

// filled counts what a parser found.
func filled(ev *ingest.Event) int {
	n := 0
	for _, has := range []bool{
		ev.Time != 0, ev.Peer.IsValid(), ev.Chain != "", ev.Method != "", ev.Target != "", ev.Host != "",
		ev.Protocol != "", ev.Referer != "", ev.Agent != "", ev.Status != 0, ev.User != "", ev.Key != "",
		ev.RequestID != "", ev.Body != "", ev.TLS != "", ev.Cipher != "", ev.BytesOut != 0, ev.BytesIn != 0,
		ev.Duration != 0, ev.Upstream != 0,
	} {
		if has {
			n++
		}
	}
	return n
}

// sampleLines cuts the sample into at most detectLines lines that are not blank.
func sampleLines(sample []byte) [][]byte {
	var out [][]byte
	for len(sample) > 0 && len(out) < detectLines {
		line, rest, whole := bytes.Cut(sample, []byte("\n"))
		sample = rest
		if !whole && len(out) > 0 {
			break
		}
		if line = bytes.TrimSuffix(line, []byte("\r")); !field.IsBlankLine(line) {
			out = append(out, line)
		}
	}
	return out
}

// undetected says what the lines look like and how to name their format.
func undetected(lines [][]byte) error {
	first := field.Str(lines[0])
	var saw string
	switch {
	case field.IsErrorLog(lines[0]):
		saw = "this looks like nginx's error log; give the access log"
	case field.IsObject(lines[0]):
		saw = "these are JSON objects without the usual keys; name them: json:time=PATH,peer=PATH,status=PATH,method=PATH,target=PATH"
	default:
		saw = "give the format's name, or nginx: and the log_format string of nginx.conf"
	}
	return fmt.Errorf("format: none of the %d known formats reads half of the first %d lines, the first is %q: %s",
		len(registry), len(lines), field.Capped(first), saw)
}
