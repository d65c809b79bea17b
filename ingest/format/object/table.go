package object

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/ingest/format/field"
)

// Unit says how a value is to be read; the zero value takes what the field is
// usually written as: a duration in seconds, a time in any shape.
type Unit uint8

// The units. Those of time scale numbers, with or without a fraction, of a duration or
// since 1970; a duration with its unit ("1.5ms") and a time that is no number are
// read as they are.
const (
	Usual   Unit = iota
	Seconds      //
	Millis       //
	Micros       //
	Nanos        //
	Guess        // an address that the gateway takes for the client: Chain, where there is no other
	Raw          // a whole request in base64: its request line and X-Forwarded-For are taken
)

var unitNames = map[string]Unit{"s": Seconds, "ms": Millis, "us": Micros, "ns": Nanos}

// UnitNamed returns the unit of a name: s, ms, us, ns.
func UnitNamed(name string) (Unit, bool) {
	u, ok := unitNames[name]
	return u, ok
}

// Entry is one path and what stands there. Of entries that state one fact the one
// that stands first in the table wins, unless field.Rivals decides.
//
// Where a path goes through a key whose value is an array, the array's elements are
// read as pairs, {"name":…,"value":…} or {"key":…,"value":…}. Where a path ends
// at an array, its first element that says something is the value; of Chain and
// Forwarded all are, joined by ", ".
type Entry struct {
	Path  string // names with dots between
	Field field.Field
	Unit  Unit
	Fold  bool // the last name is that of a header: upper and lower case are the same
	// Is, for field.Marker, says of the value whether the object is a request's; it
	// gets null as "null" and a string without its quotes.
	Is func(value []byte) bool
}

// node is a place in the table.
type node struct {
	id    int
	field field.Field
	fact  field.Field
	rank  uint16
	unit  Unit
	folds bool // its name is folded
	seeks bool // it says what was asked for
	odd   bool // its value is not simply stored
	inner bool // there are names below
	is    func([]byte) bool
	kids  map[string]*node
	fold  map[string]*node // by the name in lower case
}

// Compile makes a map of a table.
func Compile(m Map, entries []Entry) (*Map, error) {
	m.root = &node{inner: true}
	m.nodes = 1
	for k, e := range entries {
		if e.Field == field.Skip {
			return nil, fmt.Errorf("the path %q names no field", e.Path)
		}
		n, err := m.place(e)
		if err != nil {
			return nil, err
		}
		if n.field != field.Skip {
			return nil, fmt.Errorf("the path %q stands there twice", field.Capped(e.Path))
		}
		n.field, n.unit, n.folds, n.is = e.Field, e.Unit, e.Fold, e.Is
		fact, better := field.Rank(e.Field)
		n.fact, n.rank = fact, uint16(better)<<8|uint16(255-min(k, 255))
		n.seeks = field.IsTarget(e.Field)
		n.odd = e.Unit == Guess || e.Field == field.Marker || e.Field == field.Started && m.Ends
		switch {
		case e.Unit == Guess:
			n.fact = field.Marker // it competes with other guesses only
		case e.Field == field.Started && m.Ends:
			n.fact = field.Started
		}
	}
	return &m, nil
}

// place finds or makes the node of a path.
func (m *Map) place(e Entry) (*node, error) {
	n := m.root
	names := strings.Split(e.Path, ".")
	for k, name := range names {
		if name == "" {
			return nil, fmt.Errorf("the path %q has an empty name", field.Capped(e.Path))
		}
		kids := &n.kids
		if e.Fold && k == len(names)-1 {
			kids, name = &n.fold, strings.ToLower(name)
		}
		next := (*kids)[name]
		if next == nil {
			if next = (&node{id: m.nodes}); *kids == nil {
				*kids = map[string]*node{}
			}
			(*kids)[name] = next
			m.nodes++
		}
		n.inner = true
		n = next
	}
	return n, nil
}

// find returns the node of a key below n, or nil. A key with dots may be several
// names at once.
func (n *node) find(key []byte) *node {
	for {
		if to := n.kids[string(key)]; to != nil {
			return to
		}
		if n.fold != nil {
			var low [64]byte
			if len(key) <= len(low) {
				for i, c := range key {
					if c-'A' < 26 {
						c |= 0x20
					}
					low[i] = c
				}
				if to := n.fold[string(low[:len(key)])]; to != nil {
					return to
				}
			}
		}
		k := bytes.IndexByte(key, '.')
		if k < 0 {
			return nil
		}
		if n = n.kids[string(key[:k])]; n == nil {
			return nil
		}
		key = key[k+1:]
	}
}

// flatNode returns the place of a key in a map without a table.
func (r *Reader) flatNode(key []byte) *node {
	f := r.plan.Lookup(field.Str(key))
	if f == field.Skip {
		return nil
	}
	if r.flat[f] == nil {
		n := &node{field: f, seeks: field.IsTarget(f), odd: f == field.Marker}
		fact, better := field.Rank(f)
		n.fact, n.rank = fact, uint16(better)
		r.flat[f] = n
	}
	return r.flat[f]
}
