// Package text compiles the format strings of gateways (log_format, LogFormat,
// log-format) to parsers that work without regular expressions and, on a line
// that holds no escapes, without allocating.
//
// A dialect says how a gateway writes values: what it escapes and how. The plan
// follows: a value that a client chooses ends at the first byte which the gateway
// would have escaped within it. Where nothing escaped stands between two such
// values, all ways to read the line are looked at, and what they do not agree on
// is not taken.
package text

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// Kind says what a value can look like, and so where it can end.
type Kind uint8

// The kinds of values.
const (
	Text        Kind = iota // bytes that a client chooses
	Addr                    // an address
	Local                   // a time like 23/Nov/2026:13:03:36 +0000
	ISO                     // a time like 2026-11-23T13:03:36+00:00
	Status                  // three digits
	Int                     // digits or "-"
	Seconds                 // seconds with a fraction, or "-"
	SecondsList             // a list of these, one per upstream tried
	Token                   // a word that the gateway wrote
	Word                    // one of letters, digits, dash and underscore only
	List                    // a list of such words
	AddrPort                // an address with a port: 203.0.113.7:443 or [2001:db8::7]:443
	Custom                  // what Variable.Read reads
	Braced                  // "{a|b}", or nothing at all, and then also not the blank behind it
	Signed                  // digits, -1 for nothing, or digits behind a +
	Quoted                  // "a" "b", or nothing at all like Braced
)

// Reader reads the number that begins at b[i] and returns it with the index behind
// it, or an index of -1. Times and durations are nanoseconds.
type Reader func(c *field.Clock, b []byte, i int) (n int64, end int)

// Escape is how the values of some variables are written.
type Escape struct {
	// Marker introduces an escape; 0 means that nothing is escaped.
	Marker byte
	// Undo undoes the escapes of a value once; ok is false if one is broken. It need
	// not be called for a value without the marker.
	Undo func(s *field.Scratch, v []byte) (out []byte, ok bool)
	// Escaped tells the bytes that no value holds as they are; nil means none.
	Escaped func(c byte) bool
}

// width returns the length of the escape at the beginning of b: \xHH, or the marker and
// what it escapes. Dialects with other escapes read values of fixed borders only, or
// are more careful than they need be.
func (e *Escape) width(b []byte) int {
	if len(b) >= 4 && b[1] == 'x' && field.IsHex(b[2]) && field.IsHex(b[3]) {
		return 4
	}
	return min(2, len(b))
}

// TimePart says what a value that is part of a time tells of its zone.
type TimePart uint8

// What a part of a time tells.
const (
	NoZone TimePart = iota // nothing: a fraction, or a time since 1970
	Wall                   // a clock on a wall, in a zone that stands elsewhere or nowhere
	Offset                 // how far the zone is from UTC
)

// Variable is what the compiler knows of a variable of a format string.
type Variable struct {
	Field   field.Field
	Kind    Kind
	Unit    int64         // what an Int counts, in nanoseconds or bytes; 0: one
	Read    Reader        // of a Custom value
	Set     *[256]bool    // the bytes that a Custom, Token or Word value can consist of
	Raw     bool          // a Text that is written as it is, though the dialect escapes others
	Escape  *Escape       // how the value is written, where that is not the dialect's way
	Width   int           // bytes of a Custom value that always has as many
	Zone    TimePart      // of a Custom value that is part of a time
	Usually string        // what nearly always stands there: lines are first read as if nothing else could
	Empty   string        // what is written for an empty text, with bytes that no other value holds
	Named   bool          // an Addr in whose place a host name or "-" can stand: such a line has no client
	Parts   []field.Field // what the values of a Braced or Quoted are
}

// Piece is a literal or a variable of a format string.
type Piece struct {
	Text     string // the literal, or the variable's name as people write it
	Pos      int    // where in the format string it begins, from 0
	Variable *Variable
}

// Dialect is how a gateway writes its values.
type Dialect struct {
	// Marker introduces an escape; 0 means that nothing is escaped.
	Marker byte
	// Undo undoes the escapes of a value once; ok is false if one is broken. It is
	// called only for lines that hold the marker.
	Undo func(s *field.Scratch, v []byte) (out []byte, ok bool)
	// Escaped tells the bytes that no Text value holds as they are; nil means none.
	Escaped func(c byte) bool
	// Nil is what stands for a value that is not there, "-" for most.
	Nil string
	// Other recognises a line of the gateway that is no access-log entry; nil means
	// that only nginx's error log is known.
	Other func(line []byte) bool
	// Keyed means that a format that is a JSON object may have its keys in any order:
	// lines that the template does not fit are read by key.
	Keyed bool
	// Peerless means that a format without a client address compiles; whoever uses the
	// parser then settles the peer, or refuses the line.
	Peerless bool
	// Advice is what an operator can do about values that run into each other.
	Advice string
	// PeerHint says which variable is missing where a format has no client address.
	PeerHint string
	// Bad is what stands for the request, or a part of it, where it could not be read.
	Bad string
	// Zone is the time zone of a Wall clock; nil means that of this machine.
	Zone *time.Location
	// Cuts means that the gateway cuts lines at a length: one that ends behind its
	// client, time and status is worth an event.
	Cuts bool
	// TimeHint and StatusHint do so for the other vital values.
	TimeHint, StatusHint, TargetHint string
}

// Plan is a compiled format string. It is read by many parsers and never written.
type Plan struct {
	dialect   Dialect
	prefix    string
	steps     []step
	keys      *object.Map // of a JSON object, for lines in another order; nil if it is none
	origins   []Origin
	timed     bool // a line without a time is refused
	multi     bool // the target comes from more than one value
	forgeable bool
	zone      *time.Location // of a time without one; nil if there is none such
	rare      *Plan          // for lines where Variable.Usually is not what stands there
	warnings  []string
}

// Warnings say what the format cannot tell.
func (p *Plan) Warnings() []string { return p.warnings }

// Timed reports whether the format has a time.
func (p *Plan) Timed() bool { return p.timed }

// Origin says which variable a field of an event comes from.
type Origin struct {
	Field field.Field
	Name  string
}

// Origins lists the fields that the plan takes, in the order of the format.
func (p *Plan) Origins() []Origin { return p.origins }

// New makes a parser, for one goroutine.
func (p *Plan) New() ingest.Parser {
	r := &parser{plan: p}
	r.sink.Multi = p.multi
	if p.keys != nil {
		r.object = object.NewReader(p.keys, &r.sink)
	}
	return r
}

// step reads one value and the literal that stands behind it. What each line needs
// comes first: it fits two cache lines.
type step struct {
	op     op
	Kind   Kind
	Field  field.Field
	stop   byte   // first byte of lit, 0 if there is none
	cut    bool   // a line that ends within this value still tells who, when and what came of it
	trim   bool   // all behind lit's blank may be missing, and then that may be, too
	mark   int8   // index in lit of the span's mark
	marker byte   // of the value's escapes
	odd    bool   // its text can be empty in a way of its own: Variable.Empty
	signs  uint16 // bit n: a sign for "nothing" has n bytes
	lit    string
	word   uint64 // lit and mask compare a literal of up to 8 bytes at once
	mask   uint64 // 0 for a longer one
	most   int64  // of an Int or Signed: the largest number that its unit leaves room for
	scale  int64  // how many nanoseconds or bytes that is
	tail   uint64 // the last 8 bytes of a literal of 9 to 16
	seps   string // the byte behind each of several numbers but the last
	esc    *Escape
	set    *[256]bool // of a Token or Word
	limit  *[256]bool // of a Text that the gateway wrote as one word
	span   *span
	v      *Variable
	name   string
	pos    int
}

// op says how a step finds its value's end.
type op uint8

const (
	opTight   op = iota // by the value's own grammar
	opInt               // by the first byte that is no digit
	opText              // at the first byte of lit, which no value can hold
	opRest              // at the end of the line
	opWord              // at the first byte that is none of the word
	opNumbers           // by passing over several numbers that nobody asks for
	opSeveral           // by the brace or quote behind them
	opSpan              // by looking at all that the span holds
	opHead              // it has none: the steps behind it read what "combined" has
)

// span is a run of values of which at least one is text and not closed by a byte that
// the gateway escapes. Its end is certain, what is within is searched.
type span struct {
	parts       []step
	tail        string // the literal behind the last part
	seal        int    // index in tail of a byte that no value can hold, -1: the end of the line
	width       int    // bytes behind the first part's value if that is always the same, else -1
	texts       int
	marker      byte // of the escapes of its texts
	mark        byte // a byte in all literals behind texts and in no other value, 0 if there is none
	peer        bool // the span holds what Parse must know, and not in its suffix
	suffix      int  // how many parts at the end have a fixed width
	suffixWidth int  // their bytes, with their literals
	time        bool
	names       []string
}

// together is the error of two values with nothing between them.
func together(a, b *step, pos int) error {
	return fmt.Errorf("at byte %d: %s and %s (at byte %d) stand together, and nothing tells where one ends; "+
		"put a blank or a quote between them", a.pos, field.Capped(a.name), field.Capped(b.name), pos)
}
