package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

func init() {
	Register("json", Spec{
		Doc: "JSON objects of any make: behind the colon stand field=path pairs, with dots in the path for nesting and :s, :ms, :us or :ns behind it for what a number counts; " +
			"zone=Europe/Berlin says where times without a zone were written",
		Example: "json:time=@timestamp,peer=client.ip,status=http.status,method=http.method,target=http.url,duration=took:ms,chain=headers.x-forwarded-for",
		Compile: compileJSON,
	})
}

// aliases are names that people try for a field.
var aliases = map[string]field.Field{"chain": field.Chain, "xff": field.Chain, "uri": field.RequestURI, "user_agent": field.Agent, "api_key": field.Key}

// setting is one "name=value" of the argument.
type setting struct{ name, value string }

// compileJSON makes a format of a map of fields to paths.
func compileJSON(arg string) (Format, error) {
	list, err := settings(arg)
	if err != nil {
		return Format{}, err
	}
	var plan object.Map
	var entries []object.Entry
	for _, s := range list {
		if s.name == "zone" {
			if plan.Zone, err = zone(s.value); err != nil {
				return Format{}, err
			}
			continue
		}
		e, err := jsonEntry(s)
		if err != nil {
			return Format{}, err
		}
		entries = append(entries, e)
	}
	has := func(is func(field.Field) bool) bool {
		return slices.ContainsFunc(entries, func(e object.Entry) bool { return is(e.Field) })
	}
	if !has(field.IsPeer) {
		return Format{}, errors.New("no path for the client's address: add peer=PATH, the address that connected to the gateway (not one that a header says)")
	}
	plan.Timed = has(field.IsTime)
	m, err := object.Compile(plan, entries)
	if err != nil {
		return Format{}, err
	}
	f := openObject(m)
	f.Warnings, f.Origins = jsonWarnings(has), originsOf(entries)
	return f, nil
}

// jsonWarnings says what a map leaves out that most detectors need.
func jsonWarnings(has func(func(field.Field) bool) bool) []string {
	var out []string
	if !has(field.IsTime) {
		out = append(out, "no time: add time=PATH, or lines count as of when they are read")
	}
	if !has(func(f field.Field) bool { return f == field.StatusCode }) {
		out = append(out, "no status: add status=PATH, or refused logins and errors are not seen")
	}
	if !has(field.IsTarget) {
		out = append(out, "no target: add target=PATH, url=PATH or request=PATH, or what was asked for is not seen")
	}
	return out
}

// jsonEntry reads one pair.
func jsonEntry(s setting) (object.Entry, error) {
	e := object.Entry{Path: s.value}
	f, ok := field.Named(s.name)
	if !ok {
		f, ok = aliases[s.name]
	}
	if !ok {
		names := append(field.Names(), "chain", "zone")
		return e, fmt.Errorf("%q is no field; did you mean %s? (all: %s)",
			field.Capped(s.name), strings.Join(nearest(s.name, names), " or "), strings.Join(names, ", "))
	}
	e.Field = f
	if path, unit, found := cutLast(s.value, ":"); found {
		if e.Unit, ok = object.UnitNamed(unit); ok {
			e.Path = path
			if !field.IsTime(f) && f != field.Duration && f != field.UpstreamTime {
				return e, fmt.Errorf("%s=%s: %s is neither a time nor a duration, so it has no unit", s.name, field.Capped(s.value), s.name)
			}
		} else if len(unit) <= 3 {
			return e, fmt.Errorf("%s=%s: %q is no unit: say s, ms, us or ns", s.name, field.Capped(s.value), unit)
		}
	}
	if e.Path == "" {
		return e, fmt.Errorf("%s has no path: write %s=PATH", s.name, s.name)
	}
	names := strings.Split(strings.ToLower(e.Path), ".")
	e.Fold = len(names) > 1 && slices.Contains([]string{"headers", "header", "request_headers", "requestheaders"}, names[len(names)-2])
	return e, nil
}

// settings cuts the argument into pairs: "a=b,c=d", a pair a line, or a JSON object
// {"a":"b"}.
func settings(arg string) ([]setting, error) {
	if arg = strings.TrimSpace(arg); arg == "" {
		return nil, errors.New("no map of fields: write json:time=PATH,peer=PATH,status=PATH,method=PATH,target=PATH (fields: " + strings.Join(field.Names(), ", ") + ")")
	}
	if arg[0] == '{' {
		return objectSettings(arg)
	}
	var out []setting
	for _, pair := range strings.FieldsFunc(arg, func(r rune) bool { return r == ',' || r == '\n' }) {
		name, value, ok := strings.Cut(pair, "=")
		if name, value = strings.TrimSpace(name), strings.TrimSpace(value); name == "" && !ok {
			continue
		}
		if !ok {
			return nil, fmt.Errorf("%q is no field=path pair", field.Capped(pair))
		}
		out = append(out, setting{name, value})
	}
	return out, nil
}

// objectSettings reads the pairs of a JSON object in their order.
func objectSettings(arg string) ([]setting, error) {
	dec := json.NewDecoder(bytes.NewReader([]byte(arg)))
	var out []setting
	var words []string
	for {
		tok, err := dec.Token()
		if err != nil {
			break
		}
		switch v := tok.(type) {
		case string:
			words = append(words, v)
		case json.Delim:
			if v == '[' || v == ']' || v == '{' && dec.InputOffset() > 1 {
				return nil, fmt.Errorf("byte %d: a path is a string with dots, {\"peer\":\"client.ip\"}", dec.InputOffset())
			}
		default:
			return nil, fmt.Errorf("byte %d: %v is no path", dec.InputOffset(), v)
		}
	}
	if !json.Valid([]byte(arg)) {
		return nil, fmt.Errorf("the map of fields is no JSON object: the mistake is at about byte %d", dec.InputOffset())
	}
	for i := 0; i+1 < len(words); i += 2 {
		out = append(out, setting{words[i], words[i+1]})
	}
	return out, nil
}

// cutLast cuts around the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	if k := strings.LastIndex(s, sep); k >= 0 {
		return s[:k], s[k+len(sep):], true
	}
	return s, "", false
}
