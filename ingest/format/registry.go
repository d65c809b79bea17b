// Package format reads access-log lines. Each format is one file that registers
// a Spec; a spec string in the config, "name" or "name:argument", is compiled
// once to a parser that works without regular expressions and without
// allocating on a line that holds no escapes.
//
// A client chooses most bytes of a line. A parser therefore takes a field only
// from where no client can move it: what is escaped is split at bytes that
// the gateway escapes, and where a format does not escape, a line with more than
// one possible reading gives only the fields that all readings share.
package format

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// Auto is the name of the format that is found by looking at the file.
const Auto = "auto"

// Spec is one registered format.
type Spec struct {
	// Doc says in one line what writes this format.
	Doc string
	// Example is one line of it, or for a format with an argument, one spec string.
	Example string
	// Compile turns the argument behind "name:" (empty if there was none) into a
	// format. Its error says where in the argument the mistake is.
	Compile func(arg string) (Format, error)
	// Score says how surely a line is of this format, 0 (not at all) to 100. Detect
	// uses it; nil means 100 for a line that parses whole, otherwise 0.
	Score func(line []byte) int
	// Tie decides between formats that read a sample equally well and find as much in
	// it: the greater one is taken.
	Tie int
}

// Format is an opened format.
type Format struct {
	// Name is the spec's name, without the argument.
	Name string
	// Spec is the spec string with which Open makes the same format.
	Spec string
	// New makes a parser; each goroutine needs its own. It is nil if Auto.
	New func() ingest.Parser
	// Auto means that the format is still to be found: call Detect with the first
	// lines of the file, for each file.
	Auto bool
	find func(sample []byte) (Format, string, error) // of an Auto in an envelope
	// Origins say where in a line the fields come from; nil where that is not known.
	Origins []Origin
	// Warnings say what the format cannot tell, such as a missing time. They are
	// for the operator, once, at start.
	Warnings []string
}

// Origin says where a field of an event comes from.
type Origin struct {
	Field field.Field
	Name  string // a variable, or a path in an object
	Key   string // the last name of a path, which the line then holds in quotes
}

// In tells whether a line can have the field from there.
func (o *Origin) In(line string) bool {
	return o.Key == "" || strings.Contains(strings.ToLower(line), `"`+strings.ToLower(o.Key)+`"`)
}

// compileText makes a format of a text plan.
func compileText(pieces []text.Piece, d text.Dialect) (Format, error) {
	p, err := text.Compile(pieces, d)
	if err != nil {
		return Format{}, err
	}
	return planFormat(p), nil
}

// openObject makes a format of a map of keys.
func openObject(m *object.Map) Format {
	return Format{New: func() ingest.Parser { return object.New(m) }}
}

// registry fills while packages initialise and is only read afterwards.
var registry = map[string]Spec{}

// Register adds a format. It panics if the name is taken or the spec is not
// complete, so that a mistake shows at the first start.
func Register(name string, s Spec) {
	if _, taken := registry[name]; taken || name == Auto {
		panic("format: " + name + " is registered twice")
	}
	if name == "" || strings.Contains(name, ":") || s.Compile == nil || s.Doc == "" {
		panic("format: the spec of " + name + " is not complete")
	}
	registry[name] = s
}

// Names lists the registered formats in alphabetical order, "auto" among them.
func Names() []string {
	out := []string{Auto}
	for name := range registry {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Lookup returns a registered spec, for help texts.
func Lookup(name string) (Spec, bool) {
	s, ok := registry[name]
	return s, ok
}

// Open compiles a spec string: "name" or "name:argument". For "auto" it returns
// a Format whose Auto is true and whose New is nil; such a caller uses Detect.
func Open(spec string) (Format, error) {
	name, arg, _ := strings.Cut(spec, ":")
	name = strings.TrimSpace(name)
	if name == Auto {
		if arg != "" {
			return Format{}, fmt.Errorf("format: %q takes no argument", Auto)
		}
		return Format{Name: Auto, Spec: Auto, Auto: true}, nil
	}
	s, ok := registry[name]
	if !ok {
		return Format{}, unknown(spec, name)
	}
	f, err := s.Compile(arg)
	if err != nil {
		return Format{}, fmt.Errorf("format: %s: %w", name, err)
	}
	if f.Name == "" {
		f.Name = name
	}
	f.Spec = spec
	return f, nil
}

func unknown(spec, name string) error {
	if strings.Contains(spec, "$") {
		return fmt.Errorf("format: %q names no format: put \"nginx:\" in front of an nginx log_format string", field.Capped(spec))
	}
	near := nearest(name, Names())
	return fmt.Errorf("format: unknown format %q; did you mean %s? (portcullis formats lists them)",
		field.Capped(name), strings.Join(near, " or "))
}

// nearest returns the one to three names closest to a mistyped one.
func nearest(name string, names []string) []string {
	best := slices.Clone(names)
	slices.SortStableFunc(best, func(a, b string) int {
		return distance(name, a) - distance(name, b)
	})
	least := distance(name, best[0])
	n := 1
	for n < len(best) && n < 3 && distance(name, best[n]) <= least+1 {
		n++
	}
	return best[:n]
}

// distance counts the edits between two names; a shared beginning counts for it.
func distance(a, b string) int {
	a, b = field.Capped(a), field.Capped(b)
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diag, row[j] = row[j], min(row[j]+1, row[j-1]+1, diag+cost)
		}
	}
	if a != "" && strings.HasPrefix(b, a) {
		return row[len(b)] / 2
	}
	return row[len(b)]
}
