package format

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// table is a JSON format of one gateway: paths and what stands there.
type table struct {
	plan    object.Map
	entries []object.Entry
	zoned   bool   // it has times without a zone: "zone=Europe/Berlin" says which
	vouch   string // the argument by which the operator vouches for vouched, or ""
	vouched string // a path of Unit Guess that is the peer's address if vouched for
	timed   bool   // "duration=ms" says what durations count
	warning string // unless it is vouched
}

// register makes a format of a table.
func (t table) register(name, doc, example string) {
	Register(name, Spec{Doc: doc, Example: example, Compile: t.open})
}

// open compiles the table with the options of a spec string.
func (t table) open(arg string) (Format, error) {
	entries, plan := slices.Clone(t.entries), t.plan
	var warnings []string
	vouched := false
	for option := range strings.SplitSeq(arg, ",") {
		option = strings.TrimSpace(option)
		name, value, _ := strings.Cut(option, "=")
		var err error
		switch {
		case option == "":
		case name == "zone" && t.zoned:
			plan.Zone, err = zone(value)
		case name == "duration" && t.timed:
			err = t.durations(entries, value)
		case option == t.vouch:
			vouched = true
			t.trust(entries)
		default:
			err = fmt.Errorf("unknown option %q: it takes %s", field.Capped(option), t.options())
		}
		if err != nil {
			return Format{}, err
		}
	}
	if t.warning != "" && !vouched {
		warnings = append(warnings, t.warning)
	}
	m, err := object.Compile(plan, entries)
	if err != nil {
		return Format{}, err
	}
	f := openObject(m)
	f.Warnings, f.Origins = warnings, originsOf(entries)
	return f, nil
}

// originsOf names the paths that fields come from; a line has some of them.
func originsOf(entries []object.Entry) []Origin {
	var out []Origin
	for _, e := range entries {
		out = append(out, Origin{Field: e.Field, Name: e.Path, Key: e.Path[strings.LastIndexByte(e.Path, '.')+1:]})
	}
	return out
}

// options lists what may stand behind the colon.
func (t table) options() string {
	var out []string
	if t.zoned {
		out = append(out, "zone=UTC, zone=Local or the name of a time zone")
	}
	if t.timed {
		out = append(out, "duration=s, ms, us or ns")
	}
	if t.vouch != "" {
		out = append(out, t.vouch)
	}
	if out == nil {
		return "none"
	}
	return strings.Join(out, "; ")
}

// trust makes the peer of the address that the operator vouches for.
func (t table) trust(entries []object.Entry) {
	for i := range entries {
		if e := &entries[i]; e.Unit == object.Guess && (e.Path == t.vouched || strings.HasSuffix(e.Path, "."+t.vouched)) {
			e.Field, e.Unit = field.RealPeer, object.Usual
		}
	}
}

// durations sets what durations count.
func (t table) durations(entries []object.Entry, name string) error {
	u, ok := object.UnitNamed(name)
	if !ok {
		return fmt.Errorf("duration=%q is no unit: say s, ms, us or ns", field.Capped(name))
	}
	for i := range entries {
		if entries[i].Field == field.Duration {
			entries[i].Unit = u
		}
	}
	return nil
}

// zone returns the time zone of a name.
func zone(name string) (*time.Location, error) {
	loc, err := time.LoadLocation(name)
	if err != nil || name == "" {
		return nil, fmt.Errorf("zone=%q is no time zone of this machine: say UTC, Local or a name like Europe/Berlin", field.Capped(name))
	}
	return loc, nil
}

// headerFields are the request headers that an event has room for.
var headerFields = []struct {
	name  string
	field field.Field
}{
	{"x-forwarded-for", field.Chain}, {"forwarded", field.Forwarded}, {"user-agent", field.Agent}, {"referer", field.Referer},
	{"host", field.HTTPHost}, {"x-api-key", field.Key}, {"apikey", field.Key}, {"authorization", field.Token}, {"cookie", field.Session},
	{"cf-connecting-ip", field.RealIP}, {"true-client-ip", field.RealIP}, {"x-real-ip", field.RealIP},
	{"x-request-id", field.RequestID}, {"x-amzn-trace-id", field.RequestID},
}

// headers makes the entries of request headers, whose names stand behind a prefix in
// any case.
func headers(prefix string) []object.Entry {
	var out []object.Entry
	for _, h := range headerFields {
		out = append(out, object.Entry{Path: prefix + h.name, Field: h.field, Fold: true})
	}
	return out
}

// oneOf says that a marker has one of these values.
func oneOf(values ...string) func([]byte) bool {
	return func(v []byte) bool { return slices.Contains(values, string(v)) }
}
