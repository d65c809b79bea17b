package config

import (
	"fmt"
	"regexp"
)

// plainName is how an entry may be called: it stands in metrics and messages.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Entries checks the types and names of a list of entries, such as gateways. The zero
// value with a Noun is ready.
type Entries struct {
	Noun  string   // what one is called: gateway
	Kinds []string // the types there are

	seen map[string]bool
}

// Check reports what is wrong with an entry: at is its place, such as "gateways[0].", kind
// its type and unknown why there is none like it, name what the settings call it, and id
// what it goes by, with the name or without.
func (e *Entries) Check(report func(key, message string), at, kind string, unknown error, name, id string) {
	switch {
	case kind == "":
		report(at+"type", "is missing")
	case unknown != nil:
		hint := ""
		if near, ok := Nearest(kind, e.Kinds); ok {
			hint = fmt.Sprintf("; did you mean %s?", near)
		}
		report(at+"type", unknown.Error()+hint)
	case name != "" && !plainName.MatchString(name):
		report(at+"name", fmt.Sprintf("%.64q: want letters, digits and ._- only, 64 at most", name))
	case e.seen[id]:
		report(at+"name", fmt.Sprintf("%q is the name of another %s: give each its own", id, e.Noun))
	}
	if e.seen == nil {
		e.seen = map[string]bool{}
	}
	e.seen[id] = true
}
