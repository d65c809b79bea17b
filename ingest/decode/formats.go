package decode

import (
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

// linesOf returns how the lines of a batch's source are read.
func (d *Decoder) linesOf(b *ingest.Batch) *lines {
	if s := d.parsers[b.Source]; s != nil {
		return s
	}
	f, ok := d.plan.formatOf(b.Source, b.Data[:min(len(b.Data), 64<<10)])
	if !ok {
		return nil
	}
	s := &lines{parser: f.New(), format: f.Name}
	d.parsers[b.Source] = s
	return s
}

// doubted returns how to go on reading a source whose lines are mostly refused.
func (d *Decoder) doubted(source string, s *lines, sus *format.Suspicion) *lines {
	f, other := d.plan.doubted(source, s.format, sus)
	if !other || f.New == nil {
		return s
	}
	s = &lines{parser: f.New(), format: f.Name, last: s.last}
	d.parsers[source] = s
	return s
}
