package detect

import (
	"errors"
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/detect/window"
)

// Partials is what level one, somewhere, has to tell level two: how far it has
// closed, and what it saw of subjects that are wider than a client. Their effect
// does not depend on the order in which those of several engines arrive; those of one
// engine come in order, each once.
type Partials struct {
	Closed int64 // seconds up to this one are closed there
	List   []Partial
}

// Partial concerns one wider subject.
type Partial struct {
	Kind    PartialKind
	Hash    uint64 // of the subject, by the installation's seed: which part of level two merges it
	Payload string // in the kind's own form
}

// PartialKind says what a Partial holds. A kind whose payload changes gets a new
// number; a level two that does not know a kind refuses it.
type PartialKind uint8

// The kinds of partials. Others were those of versions that were not released.
const (
	ExcerptPartial PartialKind = 10 // a request, for one subject it concerns
	LoadPartial    PartialKind = 11 // a Load of a route, a system or all traffic, to be added up; hash 0
	UsePartial     PartialKind = 7  // a Use of an identity, to be added up
	LapsePartial   PartialKind = 8  // a Lapse of a route, to be added up
	HitPartial     PartialKind = 9  // a Hit of a route by a client; hash 0
)

const partialsVersion = 1

// ErrNewer says that something was written by a newer version: it is not lost, and can
// be read after an update.
var ErrNewer = errors.New("update level two first")

// Append appends the binary form to out.
func (p *Partials) Append(out []byte) []byte {
	size := 32
	for i := range p.List {
		size += 16 + len(p.List[i].Payload)
	}
	k := window.NewWriter(slices.Grow(out, size))
	p.code(k)
	return k.Bytes()
}

// ParsePartials reads the binary form. Payloads are parts of data; they are looked at by
// Wide.Feed.
func ParsePartials(data []byte) (*Partials, error) {
	version := uint64(0)
	window.NewReader(data).U64(&version)
	if len(data) > 0 && version > partialsVersion {
		return nil, fmt.Errorf("detect: partials of version %d, this program reads %d: %w", version, partialsVersion, ErrNewer)
	}
	if len(data) > 0 && version != partialsVersion {
		return nil, fmt.Errorf("detect: partials of version %d, this program reads %d", version, partialsVersion)
	}
	p, k := &Partials{}, window.NewBorrower(data)
	p.code(k)
	k.Done()
	if k.Err() != nil {
		return nil, fmt.Errorf("detect: partials: %w, or were written by another program", k.Err())
	}
	return p, nil
}

func (p *Partials) code(k *window.Codec) {
	version := uint64(partialsVersion)
	k.U64(&version)
	k.I64(&p.Closed)
	n := k.Len(len(p.List))
	if k.Reading() && n > 0 {
		p.List = make([]Partial, 0, min(n, 1<<10)) // grows with what is really there
	}
	for i := 0; i < n && k.Err() == nil; i++ {
		if k.Reading() {
			p.List = append(p.List, Partial{})
		}
		x := &p.List[i]
		kind := uint8(x.Kind)
		k.U8(&kind)
		x.Kind = PartialKind(kind)
		k.U64(&x.Hash)
		k.String(&x.Payload)
	}
}

// Split divides them among n parts of level two by subject, as clients are divided
// among partitions: by the virtual shard, modulo n. Every part is told what is closed.
func (p *Partials) Split(n int) []Partials {
	out := make([]Partials, n)
	for i := range out {
		out[i].Closed = p.Closed
	}
	for _, x := range p.List {
		to := &out[int(x.Hash>>56)%n]
		to.List = append(to.List, x)
	}
	return out
}
