package decode

import (
	"fmt"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format"
)

// formatOf settles the format of a source, once for all decoders. An "auto" that
// cannot be settled by these lines stays open.
func (p *Plan) formatOf(source string, sample []byte) (format.Format, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, known := p.formats[source]
	if known && !f.Auto {
		return f, true
	}
	found, why, err := f.Find(sample)
	if err != nil {
		if p.say != nil && !p.unsure[source] {
			p.unsure[source] = true // said once
			p.say(source, "", err.Error())
		}
		return f, false
	}
	p.formats[source], p.guessed[source] = found, true
	if p.say != nil {
		p.say(source, found.Name, why)
	}
	return found, true
}

// doubted hears that a source's lines are mostly refused. A format that was only
// guessed gives way to the one that reads them; one that was given stays, and what
// is wrong is said.
func (p *Plan) doubted(source, name string, s *format.Suspicion) (format.Format, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.formats[source]
	if now.Name != name {
		return now, true // another decoder has seen to it
	}
	if s.Format.New == nil || s.Format.Name == name || !p.guessed[source] {
		if p.say != nil {
			p.say(source, "", name+": "+s.String())
		}
		return now, false
	}
	p.formats[source] = s.Format
	if p.say != nil {
		p.say(source, s.Format.Name, "it was taken for "+name+", but "+s.String())
	}
	return s.Format, true
}

// opened is a format that a batch named, or why it cannot be had.
type opened struct {
	format format.Format
	err    error
}

// maxOpened bounds the formats that batches may name, in a process, and those that
// a decoder keeps parsers for. Beyond it all are opened anew.
const maxOpened = 1024

// Open reports whether lines of a format can be read here: a batch that names
// another is rejected line by line.
func (p *Plan) Open(spec string) error {
	_, err := p.open(spec)
	return err
}

func (p *Plan) open(spec string) (format.Format, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, known := p.opened[spec]
	if !known {
		if o.format, o.err = format.Open(spec); o.err == nil && o.format.Auto {
			o.err = fmt.Errorf("decode: the lines are of a format that their sender has not found yet (%s): name it there", spec)
		}
		if len(p.opened) >= maxOpened {
			clear(p.opened)
		}
		p.opened[spec] = o
	}
	return o.format, o.err
}

// linesOf returns how the lines of a batch are read; nil if they cannot be.
func (d *Decoder) linesOf(b *ingest.Batch) *lines {
	if len(b.Data) == 0 {
		return nil
	}
	k := stock{b.Source, b.Format}
	s := d.parsers[k]
	if s == nil {
		s = d.newLines(b)
		if s == nil {
			return nil
		}
		if len(d.parsers) >= maxOpened {
			clear(d.parsers)
		}
		d.parsers[k] = s
	}
	s.parser.Reset()
	return s
}

// FormatOf is the format by which the lines of a batch are read, as format.Open takes
// it; "" where none is found yet.
func (d *Decoder) FormatOf(b *ingest.Batch) string {
	if s := d.parsers[stock{b.Source, b.Format}]; s != nil && len(b.Data) > 0 {
		return s.spec
	}
	return ""
}

func (d *Decoder) newLines(b *ingest.Batch) *lines {
	if b.Format != "" {
		f, err := d.plan.open(b.Format)
		if err != nil {
			return nil
		}
		return &lines{parser: f.New(), format: f.Name, spec: b.Format, given: true}
	}
	f, ok := d.plan.formatOf(b.Source, b.Data[:min(len(b.Data), 64<<10)])
	if !ok {
		return nil
	}
	return &lines{parser: f.New(), format: f.Name, spec: f.Spec}
}

// doubted returns how to go on reading a source whose lines are mostly refused.
func (d *Decoder) doubted(source string, s *lines, sus *format.Suspicion) *lines {
	f, other := d.plan.doubted(source, s.format, sus)
	if !other || f.New == nil {
		return s
	}
	s = &lines{parser: f.New(), format: f.Name, spec: f.Spec, last: s.last}
	d.parsers[stock{source: source}] = s
	return s
}
