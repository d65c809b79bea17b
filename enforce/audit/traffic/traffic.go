// Package traffic finds in a log how a gateway behaves, which its configuration does
// not tell: routes that answer without credentials, keys in URLs, plain HTTP, old TLS.
// It sees events as detection does, and keeps counts only, per route, bounded.
package traffic

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
	"github.com/portcullis/portcullis/ingest"
)

// maxRoutes bounds what is kept; requests of routes beyond count for none.
const maxRoutes = 10000

// tally is what is known of one route.
type tally struct {
	kind     ingest.RouteKind
	answered int64 // successes without any credential
	known    int64 // successes with one
	keyed    int64 // requests with a key or token in the URL
	plain    int64 // successes over plain HTTP
	old      int64 // requests over TLS older than 1.2
	worst    string
	at       doc.Place
}

// Log is the evidence of one log. The zero value is not usable.
type Log struct {
	routes map[string]*tally
	redact func(string) string
	file   *doc.File
	who    bool // the log tells who calls
	tls    bool // the log tells whether it is TLS
	events int64
}

// New returns a Log of that name. redact replaces secrets in a request target, as
// identity.Redactor does in lines: a target that it changes carries one.
func New(name string, redact func(string) string) *Log {
	return &Log{routes: map[string]*tally{}, redact: redact, file: doc.NewFile(name, nil)}
}

// Observe counts an event. It keeps nothing of it.
func (l *Log) Observe(ev *ingest.Event) {
	if ev.Flags&ingest.FlagMalformed != 0 || ev.Route == "" {
		return
	}
	l.events++
	t := l.routes[ev.Route]
	if t == nil {
		if len(l.routes) >= maxRoutes {
			return
		}
		t = &tally{kind: ev.Kind, at: l.file.At(0, 0)}
		l.routes[strings.Clone(ev.Route)] = t
	}
	named := ev.User != "" || ev.Consumer != "" || ev.Key != "" || ev.Token != "" || ev.Session != "" || ev.Subject != ""
	if strings.Contains(ev.Target, "?") && l.redact(ev.Target) != ev.Target {
		t.keyed++
		named = true
	}
	l.who = l.who || named
	success := ev.Status >= http.StatusOK && ev.Status < http.StatusMultipleChoices
	switch {
	case success && named:
		t.known++
	case success && ev.Method != http.MethodOptions:
		t.answered++
	}
	version := strings.ToUpper(ev.TLS)
	switch {
	case strings.HasPrefix(version, "TLS"), strings.HasPrefix(version, "SSL"):
		l.tls = true
		if old(version) {
			t.old++
			t.worst = strings.Clone(ev.TLS)
		}
	case success:
		t.plain++
	}
}

// old reports whether a version is older than TLS 1.2.
func old(version string) bool {
	return strings.HasPrefix(version, "SSL") || version == "TLSV1" || version == "TLSV1.0" || version == "TLSV1.1" || version == "TLS1.0" || version == "TLS1.1"
}

// Events is how many events were counted.
func (l *Log) Events() int64 { return l.events }

// Config is the evidence as the audit judges it. What the log does not tell, such as
// who calls, is listed as blind.
func (l *Log) Config() *audit.Config {
	c := audit.NewConfig("log")
	if !l.who {
		c.Blinded("%s does not tell who calls: log the user, the consumer or a key's id", l.file.Name)
	}
	if !l.tls {
		c.Blinded("%s does not tell whether a request came over TLS: log the protocol version", l.file.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(l.routes)) {
		t := l.routes[name]
		l.say(c, fmt.Sprintf("%.120q", name), t)
	}
	return c
}

func (l *Log) say(c *audit.Config, name string, t *tally) {
	say := func(check string, n int64, format string, args ...any) {
		if n > 0 {
			c.Say(check, name, audit.Fact{State: audit.Bad, At: t.at, Saw: fmt.Sprintf(format, args...)})
		}
	}
	switch {
	case !l.who || t.kind != ingest.RouteOrdinary:
	case t.known == 0:
		say("seen-public", t.answered, "%d requests without credentials were answered with success, and none with", t.answered)
	default:
		say("seen-unauthenticated", t.answered, "%d requests without credentials were answered with success, %d with", t.answered, t.known)
	}
	if t.kind == ingest.RouteDocs {
		say("seen-docs", t.answered, "%d requests without credentials were answered with success", t.answered)
	}
	say("seen-key-in-url", t.keyed, "%d requests carried a key or token in the URL", t.keyed)
	if l.tls {
		say("seen-plain", t.plain, "%d requests were answered with success over plain HTTP", t.plain)
	}
	say("seen-old-tls", t.old, "%d requests came over %.20q", t.old, t.worst)
}
