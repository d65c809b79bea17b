package alert

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/internal/config"
)

// Matcher is one condition on an alert, such as severity>=high or route=/login*.
type Matcher struct {
	Key   string `json:"key"`
	Op    string `json:"op"`
	Value string `json:"value"`
}

// String is how it is written.
func (m Matcher) String() string { return m.Key + m.Op + m.Value }

// matchKeys are what alerts can be told apart by.
var matchKeys = []string{"alert", "campaign", "family", "route", "rule", "severity", "subject"}

// matchOps are tried in this order: the longer ones first.
var matchOps = []string{">=", "!=", "="}

// ParseMatcher reads a condition: KEY=VALUE, KEY!=VALUE or severity>=VALUE. A * in the
// value stands for any text; a network as subject matches the addresses in it.
func ParseMatcher(text string) (Matcher, error) {
	at := strings.IndexAny(text, "=!>")
	if at <= 0 {
		return Matcher{}, fmt.Errorf("%.100q: want KEY=VALUE, KEY!=VALUE or severity>=VALUE", text)
	}
	m := Matcher{Key: strings.TrimSpace(text[:at])}
	for _, op := range matchOps {
		if rest, ok := strings.CutPrefix(text[at:], op); ok {
			m.Op, m.Value = op, strings.TrimSpace(rest)
			break
		}
	}
	switch {
	case m.Op == "":
		return m, fmt.Errorf("%.100q: want =, != or >= behind the key", text)
	case !slices.Contains(matchKeys, m.Key):
		hint := ""
		if near, ok := config.Nearest(m.Key, matchKeys); ok {
			hint = fmt.Sprintf("; did you mean %s?", near)
		}
		return m, fmt.Errorf("%.100q: alerts have no %.40q: there are %s%s", text, m.Key, strings.Join(matchKeys, ", "), hint)
	case m.Value == "":
		return m, fmt.Errorf("%.100q: the value is missing", text)
	case m.Op == ">=" && m.Key != "severity":
		return m, fmt.Errorf("%.100q: only severity has an order", text)
	}
	if _, ok := detect.ParseSeverity(m.Value); m.Key == "severity" && !ok {
		return m, fmt.Errorf("%.100q: want info, low, medium, high or critical", text)
	}
	return m, nil
}

// Matchers are conditions of which all must hold; none hold for every alert.
type Matchers []Matcher

// ParseMatchers reads conditions.
func ParseMatchers(texts []string) (Matchers, error) {
	var out Matchers
	for _, t := range texts {
		m, err := ParseMatcher(t)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// Match reports whether all hold for the alert.
func (m Matchers) Match(a *Alert) bool {
	for _, x := range m {
		if !x.match(a) {
			return false
		}
	}
	return true
}

func (m Matcher) match(a *Alert) bool {
	if m.Key == "severity" {
		want, _ := detect.ParseSeverity(m.Value)
		switch m.Op {
		case ">=":
			return a.Severity >= want
		case "!=":
			return a.Severity != want
		}
		return a.Severity == want
	}
	yes := false
	switch m.Key {
	case "alert":
		yes = len(m.Value) >= 4 && strings.HasPrefix(a.ID, m.Value)
	case "campaign":
		yes = a.Campaign != "" && glob(m.Value, a.Campaign)
	case "family":
		yes = glob(m.Value, string(a.Family))
	case "route":
		yes = glob(m.Value, a.Route)
	case "rule":
		yes = glob(m.Value, a.Rule)
	case "subject":
		yes = m.subjects(a)
	}
	return yes == (m.Op == "=")
}

// subjects reports whether all that the alert is about matches: one that is also about
// others is to be heard of.
func (m Matcher) subjects(a *Alert) bool {
	if len(a.Subjects) == 0 || a.Clients > int64(len(a.Subjects)) {
		return false
	}
	network, err := netip.ParsePrefix(m.Value)
	for _, s := range a.Subjects {
		if err == nil && inside(network, s.Value) || glob(m.Value, s.Value) || glob(m.Value, s.Kind+":"+s.Value) {
			continue
		}
		return false
	}
	return true
}

// inside reports whether an address or network lies in a network.
func inside(network netip.Prefix, value string) bool {
	if a, err := netip.ParseAddr(value); err == nil {
		return network.Contains(a.Unmap())
	}
	p, err := netip.ParsePrefix(value)
	return err == nil && p.Bits() >= network.Bits() && network.Contains(p.Addr())
}

// glob compares a text with a pattern, in which * stands for any text.
func glob(pattern, text string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, head)
	for ok {
		var piece string
		piece, rest, star = strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(text, piece)
		}
		_, text, ok = strings.Cut(text, piece)
	}
	return false
}

// texts is how conditions are written.
func (m Matchers) texts() []string {
	out := make([]string, len(m))
	for i, x := range m {
		out[i] = x.String()
	}
	return out
}

// String is how they are written, with commas between.
func (m Matchers) String() string { return strings.Join(m.texts(), ", ") }
