package config

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// EnvPrefix starts the name of every variable that overrides a setting: the key
// path in capitals, its steps and dashes as underscores, so that
// console.listen is PORTCULLIS_CONSOLE_LISTEN and the format of the first source
// PORTCULLIS_SOURCES_0_FORMAT. An empty variable counts as not set.
const EnvPrefix = "PORTCULLIS_"

// reserved are variables that are read elsewhere and are no settings.
var reserved = [...]string{
	"PORTCULLIS_CONFIG", "PORTCULLIS_DATA", "PORTCULLIS_SOAK", "PORTCULLIS_TEST", "PORTCULLIS_DEBUG", "PORTCULLIS_BENCH",
}

// serviceLink matches the variables that Docker and Kubernetes set for a service
// that happens to be called portcullis; they are none of ours.
var serviceLink = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)

// serviceURL matches the value of the one of them whose name tells nothing.
var serviceURL = regexp.MustCompile(`^(tcp|udp|sctp)://`)

// variable is one override found in the environment.
type variable struct {
	name, value string
	targets     []target
}

// target is a setting that a variable's name may mean.
type target struct {
	key    string // path
	steps  []step // from the root
	secret bool   // the variable names the file of a secret
}

// step leads from a value into a field or, with index ≥ 0, into a list's entry.
type step struct {
	field string
	index int
}

// envName is the variable that overrides the setting at a key path.
func envName(key string) string {
	return EnvPrefix + strings.Map(func(r rune) rune {
		switch r {
		case '.', '-', '[':
			return '_'
		case ']':
			return -1
		}
		return r
	}, strings.ToUpper(key))
}

// environment applies the overrides.
func (l *loader) environment(environ []string, root reflect.Value) {
	var vars []variable
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, EnvPrefix) || value == "" || foreign(name, value) {
			continue
		}
		v := variable{name: name, value: value}
		v.targets = match(root.Type(), root, strings.TrimPrefix(name, EnvPrefix))
		vars = append(vars, v)
	}
	slices.SortStableFunc(vars, func(a, b variable) int { return compareSteps(a.targets, b.targets) })
	for _, v := range vars {
		at := place{file: environmentName}
		switch len(v.targets) {
		case 0:
			l.fault(at, shownKey(v.name), "no such setting", didYouMean(v.name, envNames(root, "")))
		case 1:
			l.override(v, v.targets[0], root)
		default:
			l.fault(at, shownKey(v.name), fmt.Sprintf("means both %s and %s", v.targets[0].key, v.targets[1].key), "set it in the file")
		}
	}
}

// foreign reports whether a variable is none of ours although it begins so.
func foreign(name, value string) bool {
	return slices.Contains(reserved[:], name) || serviceLink.MatchString(name) ||
		strings.HasSuffix(name, "_PORT") && serviceURL.MatchString(value)
}

// compareSteps orders entries of lists by number, so that 9 is appended before 10.
func compareSteps(a, b []target) int {
	if len(a) == 0 || len(b) == 0 {
		return cmp.Compare(len(a), len(b))
	}
	return slices.CompareFunc(a[0].steps, b[0].steps, func(x, y step) int {
		return cmp.Or(cmp.Compare(x.field, y.field), cmp.Compare(x.index, y.index))
	})
}

// match finds the settings that the rest of a variable's name can mean. A list's
// entries need not exist yet, so v may be invalid where only the type is known.
func match(t reflect.Type, v reflect.Value, rest string) []target {
	if !v.IsValid() {
		v = started(t)
	}
	var out []target
	for _, f := range fields(v) {
		if !f.v.IsValid() {
			continue
		}
		name := strings.TrimPrefix(envName(f.key), EnvPrefix)
		tail, ok := strings.CutPrefix(rest, name)
		if !ok {
			continue
		}
		here := step{field: f.key, index: -1}
		s := shapeOf(f.v.Type())
		switch {
		case tail == "" && s != mapping && s != mappings:
			out = append(out, target{key: f.key, steps: []step{here}})
		case tail == "_FILE" && f.secret():
			out = append(out, target{key: f.yamlKey(), steps: []step{here}, secret: true})
		case s == mapping && strings.HasPrefix(tail, "_"):
			out = append(out, under(f.key, here, match(f.v.Type(), f.v, tail[1:]))...)
		case s == mappings && strings.HasPrefix(tail, "_"):
			digits, tail, _ := strings.Cut(tail[1:], "_")
			i, err := strconv.Atoi(digits)
			if err != nil || i < 0 || digits != strconv.Itoa(i) {
				continue
			}
			here.index = i
			out = append(out, under(item(f.key, i), here, match(f.v.Type().Elem(), reflect.Value{}, tail))...)
		}
	}
	return out
}

// under puts targets below a key.
func under(key string, s step, found []target) []target {
	for i, t := range found {
		found[i].key = join(key, t.key)
		found[i].steps = append([]step{s}, t.steps...)
	}
	return found
}

// override sets the one setting that a variable means.
func (l *loader) override(v variable, t target, root reflect.Value) {
	at := place{file: environmentName}
	f, key := field{v: root}, ""
	for _, s := range t.steps {
		fs := fields(f.v)
		f = fs[slices.IndexFunc(fs, func(f field) bool { return f.key == s.field })]
		key = join(key, s.field)
		if s.index < 0 {
			continue
		}
		if n := f.v.Len(); s.index > n {
			l.fault(at, v.name, fmt.Sprintf("%s has %d entries, so the next one is number %d", key, n, n), "")
			return
		} else if s.index == n {
			entry := started(f.v.Type().Elem())
			if err := setDefaults(entry, item(key, n)); err != nil {
				l.fault(at, v.name, err.Error(), "")
				return
			}
			f.v.Set(reflect.Append(f.v, entry))
			l.where[item(key, n)] = at
		}
		key = item(key, s.index)
		f = field{v: f.v.Index(s.index)}
	}
	l.where[key] = at
	text := v.value
	if t.secret {
		var err error
		if text, err = readSecret(l.file, v.value); err != nil {
			l.fault(at, v.name, err.Error(), "")
			return
		}
	}
	if err := setText(f.v, f.tag, text); err != nil {
		message := err.Error()
		if f.secret() {
			message = "cannot be used as a secret"
		}
		l.fault(at, v.name, message, scalarHint(text, f.v, f.tag))
	}
}

// envNames lists the variables of all settings, 0 standing for a list's entry.
func envNames(v reflect.Value, path string) []string {
	var out []string
	for _, f := range fields(v) {
		if !f.v.IsValid() {
			continue
		}
		p := join(path, f.key)
		switch shapeOf(f.v.Type()) {
		case mapping:
			out = append(out, envNames(f.v, p)...)
		case mappings:
			out = append(out, envNames(started(f.v.Type().Elem()), item(p, 0))...)
		default:
			out = append(out, envName(p))
			if f.secret() {
				out = append(out, envName(p)+"_FILE")
			}
		}
	}
	return out
}
