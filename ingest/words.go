package ingest

import "strings"

// Names of the small numbers of an event, for people. The zero value has none.
var (
	kindNames    = [...]string{"", "login", "token", "reset", "docs", "health"}
	classNames   = [...]string{"", "none", "browser", "app", "library", "crawler", "monitor", "scanner", "other"}
	crawlerNames = [...]string{"", "unknown", "verified", "fake"}
	flagNames    = [...]string{"invalid_utf8", "malformed", "truncated", "forgeable", "claimed"}
)

// String returns the kind's name, "" for an ordinary route.
func (k RouteKind) String() string { return word(kindNames[:], int(k)) }

// String returns the class's name, "" for AgentUnknown.
func (c AgentClass) String() string { return word(classNames[:], int(c)) }

// String returns the state's name, "" for CrawlerNo.
func (c Crawler) String() string { return word(crawlerNames[:], int(c)) }

// String lists the flags that are set, by name.
func (f Flags) String() string {
	var names []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func word(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "?"
}
