package config

import (
	"reflect"
	"strings"
)

// check calls the Checkers of a mapping and of everything in it. Problems that
// were there before hide what a Checker says about the same keys.
func (l *loader) check(root reflect.Value, path string) {
	before := l.problems[:len(l.problems):len(l.problems)]
	l.checkWithin(root, path, func(key, message string) {
		if !before.touch(key) && !l.meant[key] {
			l.faultAt(key, message)
		}
	})
}

func (l *loader) checkWithin(v reflect.Value, path string, report func(key, message string)) {
	callCheckers(v, func(key, message string) { report(join(path, key), message) })
	for _, f := range fields(v) {
		if !f.v.IsValid() {
			continue
		}
		if unused(v, f.key) {
			continue
		}
		p := join(path, f.key)
		switch shapeOf(f.v.Type()) {
		case mapping:
			l.checkWithin(f.v, p, report)
		case mappings:
			for i := range f.v.Len() {
				l.checkWithin(f.v.Index(i), item(p, i), report)
			}
		}
	}
}

// callCheckers calls the Checker of a struct and of those inlined in it. One
// that is promoted from an embedded struct may be called twice: repeats are
// removed from the report.
func callCheckers(v reflect.Value, report func(key, message string)) {
	if c, ok := v.Addr().Interface().(Checker); ok {
		c.Check(report)
	}
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		_, options, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if sf.IsExported() && options == "inline" && sf.Type.Kind() == reflect.Struct && !unused(v, sf.Name) {
			callCheckers(v.Field(i), report)
		}
	}
}

// unused asks a struct whether one of its sections counts.
func unused(v reflect.Value, section string) bool {
	if !v.CanAddr() {
		return false
	}
	c, ok := v.Addr().Interface().(Chooser)
	return ok && c.Unused(section)
}
