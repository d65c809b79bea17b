package detect

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Class is what a fleet's requests have in common and those of ordinary clients have not:
// a user agent on a route. A gateway can tell it by each request alone, also that of a
// client that nobody has seen before.
type Class struct {
	Route string // route template
	Agent string // the whole user agent
}

// Subject is the class as findings, decisions and gateways name it.
func (c Class) Subject() Subject {
	return Subject{Kind: "class", Value: c.Route + " " + strconv.Quote(c.Agent)}
}

// ParseClass is the inverse of Class.Subject.
func ParseClass(s Subject) (Class, bool) {
	i := opening(s.Value)
	if s.Kind != "class" || i < 2 {
		return Class{}, false
	}
	agent, err := strconv.Unquote(s.Value[i:])
	c := Class{Route: s.Value[:i-1], Agent: agent}
	return c, err == nil && c.Subject() == s
}

// opening is where the quoted text begins that ends s, -1 if none does: within quotes, a
// quote stands behind a backslash that stands behind none itself.
func opening(s string) int {
	for i := len(s) - 2; i >= 0; i-- {
		if s[i] != '"' {
			continue
		}
		before := strings.TrimRight(s[:i], `\`)
		if (i-len(before))%2 == 0 {
			return i
		}
	}
	return -1
}

// ClassAgentBytes is the longest user agent that makes a class.
const ClassAgentBytes = 120

// ClassAgent reports whether a user agent can make a class: it is whole where it is kept,
// and reads the same in a log and in a header.
func ClassAgent(agent string) bool {
	return agent != "" && agent != "-" && len(agent) <= ClassAgentBytes && utf8.ValidString(agent) && strings.TrimSpace(agent) == agent &&
		!strings.ContainsFunc(agent, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Suspects are the clients of a finding that share a class, and who else has been seen
// in it.
type Suspects struct {
	Class    Class
	Clients  int64    // of the fleet
	Standing Standing // the ordinary ones: what a throttle of the class puts at risk
}

// MaxSuspects bounds the classes that a finding lists; those with the fewest clients are
// left out.
const MaxSuspects = 4

// PackSuspects packs classes into one string, the largest first, so that a Finding stays
// comparable.
func PackSuspects(list []Suspects) string {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Suspects) int {
		return cmp.Or(cmp.Compare(b.Clients, a.Clients), cmp.Compare(a.Class.Route, b.Class.Route), cmp.Compare(a.Class.Agent, b.Class.Agent))
	})
	var out []byte
	for _, s := range list[:min(len(list), MaxSuspects)] {
		for _, n := range []int64{s.Clients, s.Standing.Successes, s.Standing.People} {
			out = append(strconv.AppendInt(out, n, 10), ' ')
		}
		out = append(append(strconv.AppendQuote(out, strings.ToValidUTF8(s.Class.Route, "\uFFFD")), ' '), memberValue(s.Class.Agent)...)
		out = append(out, '\n')
	}
	return string(out)
}

// SuspectList unpacks Suspects. Lines that are none are left out.
func (f *Finding) SuspectList() []Suspects {
	var out []Suspects
	for line := range strings.Lines(f.Suspects) {
		if s, ok := parseSuspects(strings.TrimSuffix(line, "\n")); ok {
			out = append(out, s)
		}
	}
	return out
}

func parseSuspects(line string) (s Suspects, ok bool) {
	for _, n := range []*int64{&s.Clients, &s.Standing.Successes, &s.Standing.People} {
		word, rest, _ := strings.Cut(line, " ")
		var err error
		if *n, err = strconv.ParseInt(word, 10, 64); err != nil {
			return s, false
		}
		line = rest
	}
	quoted, err := strconv.QuotedPrefix(line)
	if err != nil {
		return s, false
	}
	agent, ok := strings.CutPrefix(line[len(quoted):], " ")
	if s.Class.Route, err = strconv.Unquote(quoted); err != nil || !ok {
		return s, false
	}
	if s.Class.Agent = agent; strings.HasPrefix(agent, `"`) {
		s.Class.Agent, err = strconv.Unquote(agent)
	}
	return s, err == nil
}

// SuspectsJSON is a class as output and documents show it.
type SuspectsJSON struct {
	Route     string `json:"route"`
	Agent     string `json:"agent"`
	Clients   int64  `json:"clients"`
	Successes int64  `json:"successes"`
	People    int64  `json:"people"`
}

// SuspectsJSON is the list of classes of the output contract, nil if there are none.
func (f *Finding) SuspectsJSON() []SuspectsJSON {
	var out []SuspectsJSON
	for _, s := range f.SuspectList() {
		out = append(out, SuspectsJSON{s.Class.Route, s.Class.Agent, s.Clients, s.Standing.Successes, s.Standing.People})
	}
	return out
}

// SetSuspects is the inverse of SuspectsJSON.
func (f *Finding) SetSuspects(list []SuspectsJSON) {
	out := make([]Suspects, len(list))
	for i, s := range list {
		out[i] = Suspects{Class{s.Route, s.Agent}, s.Clients, Standing{Successes: s.Successes, People: s.People}}
	}
	f.Suspects = PackSuspects(out)
}
