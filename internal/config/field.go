package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	sectionsType = reflect.TypeFor[Sections]()
)

// field is one key of a mapping: of a struct or of Sections.
type field struct {
	key   string
	doc   string
	tag   reflect.StructTag
	v     reflect.Value // settable; invalid for a section without settings
	index []int         // within the struct; nil for a section
}

// secret reports whether the value may not stand in the YAML.
func (f field) secret() bool { return f.tag.Get("secret") == "file" }

// yamlKey is the key as the file has it: key_file for secrets.
func (f field) yamlKey() string {
	if f.secret() {
		return f.key + "_file"
	}
	return f.key
}

// fields lists the keys that the mapping v has, in the order of declaration.
func fields(v reflect.Value) []field {
	if v.Type() != sectionsType {
		return ownFields(v)
	}
	return sectionFields(v.Interface().(Sections))
}

func sectionFields(list Sections) []field {
	var out []field
	for _, s := range list {
		f := field{key: s.Name, doc: s.Doc}
		if s.Value != nil {
			f.v = reflect.ValueOf(s.Value).Elem()
		}
		out = append(out, f)
	}
	return out
}

// inlinedSections tells a field whose sections stand among its parent's keys.
func inlinedSections(sf reflect.StructField) bool {
	_, options, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
	return sf.IsExported() && options == "inline" && sf.Type == sectionsType
}

// ownFields lists the tagged fields of a struct, those of inlined structs in place.
func ownFields(v reflect.Value) []field {
	var out []field
	t := v.Type()
	for i := range t.NumField() {
		sf := t.Field(i)
		key, options, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		switch {
		case !sf.IsExported():
		case inlinedSections(sf):
			out = append(out, sectionFields(v.Field(i).Interface().(Sections))...)
		case options == "inline" && sf.Type.Kind() == reflect.Struct:
			for _, f := range ownFields(v.Field(i)) {
				if f.index != nil {
					f.index = append([]int{i}, f.index...)
				}
				out = append(out, f)
			}
		case key != "" && key != "-":
			out = append(out, field{key: key, doc: sf.Tag.Get("doc"), tag: sf.Tag, v: v.Field(i), index: []int{i}})
		}
	}
	return out
}

// keysOf lists the keys as the file has them.
func keysOf(fs []field) []string {
	out := make([]string, len(fs))
	for i, f := range fs {
		out[i] = f.yamlKey()
	}
	return out
}

// shape is what a value looks like in YAML.
type shape uint8

const (
	unsupported shape = iota
	scalar            // text, number, duration, true or false
	texts             // list of texts
	mappings          // list of mappings
	labels            // mapping of text to text
	mapping           // keys known from a struct or from Sections
)

// shapeOf tells how a value of this type is written.
func shapeOf(t reflect.Type) shape {
	if t == sectionsType {
		return mapping
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return scalar
	case reflect.Struct:
		return mapping
	case reflect.Slice:
		switch t.Elem().Kind() {
		case reflect.String:
			return texts
		case reflect.Struct:
			return mappings
		}
	case reflect.Map:
		if t.Key().Kind() == reflect.String && t.Elem().Kind() == reflect.String {
			return labels
		}
	}
	return unsupported
}

// started is a new value of a settings struct, with its sections.
func started(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	start(v)
	return v
}

// start gives a new entry of a list its sections.
func start(v reflect.Value) {
	if s, ok := v.Addr().Interface().(Starter); ok {
		s.Start()
	}
}

// deepest bounds the nesting of settings structs, so that one that contains
// itself is a clear error.
const deepest = 20

// verify reports mistakes of the programmer: types and tags that cannot work.
func verify(v reflect.Value, path string) error {
	if strings.Count(path, ".") > deepest {
		return fmt.Errorf("config: %s: settings nested too deeply", path)
	}
	seen := map[string]bool{}
	for _, f := range fields(v) {
		p := join(path, f.key)
		if seen[f.yamlKey()] {
			return fmt.Errorf("config: %s: two fields have this key", p)
		}
		seen[f.yamlKey()] = true
		if err := verifyField(f, p); err != nil {
			return err
		}
	}
	return nil
}

// verifyField is verify for one key.
func verifyField(f field, path string) error {
	if !f.v.IsValid() { // a section without settings
		return nil
	}
	if f.secret() && f.v.Kind() != reflect.String {
		return fmt.Errorf("config: %s: a secret must be text", path)
	}
	switch shapeOf(f.v.Type()) {
	case unsupported:
		return fmt.Errorf("config: %s: type %s is not supported", path, f.v.Type())
	case mapping:
		if f.v.Type() == sectionsType {
			if err := verifySections(f.v.Interface().(Sections), path); err != nil {
				return err
			}
		}
		return verify(f.v, path)
	case mappings:
		return verify(started(f.v.Type().Elem()), path+"[]")
	}
	return nil
}

// verifySections demands that every section can hold settings.
func verifySections(list Sections, path string) error {
	for _, s := range list {
		v := reflect.ValueOf(s.Value)
		if s.Value != nil && (v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct) {
			return fmt.Errorf("config: %s: section %q: want a pointer to a struct, got %T", path, s.Name, s.Value)
		}
		if s.Name == "" {
			return fmt.Errorf("config: %s: a section has no name", path)
		}
	}
	return nil
}

// setDefaults puts the defaults of the tags in place; fields without one keep
// what they hold.
func setDefaults(v reflect.Value, path string) error {
	for _, f := range fields(v) {
		if !f.v.IsValid() {
			continue
		}
		p := join(path, f.key)
		if shapeOf(f.v.Type()) == mapping {
			if err := setDefaults(f.v, p); err != nil {
				return err
			}
			continue
		}
		text, ok := f.tag.Lookup("default")
		if !ok {
			continue
		}
		if err := setText(f.v, f.tag, text); err != nil {
			return fmt.Errorf("config: %s: default %q: %w", p, text, err)
		}
	}
	return nil
}

// setText sets a value from the text of a tag or a variable. Lists are
// separated by commas, labels are key=value pairs separated by commas.
func setText(v reflect.Value, tag reflect.StructTag, s string) error {
	switch shapeOf(v.Type()) {
	case scalar:
		return setScalar(v, tag, s)
	case texts:
		return setTexts(v, tag, split(s))
	case labels:
		m := reflect.MakeMap(v.Type())
		for _, pair := range split(s) {
			key, value, ok := strings.Cut(pair, "=")
			if !ok || key == "" {
				return fmt.Errorf("want key=value pairs separated by commas, got %s", shown(pair))
			}
			m.SetMapIndex(reflect.ValueOf(strings.TrimSpace(key)).Convert(v.Type().Key()),
				reflect.ValueOf(strings.TrimSpace(value)).Convert(v.Type().Elem()))
		}
		v.Set(m)
		return nil
	}
	return errors.New("only single values, lists of text and key=value pairs can be set here")
}

// setTexts fills a list of texts, each checked against the tag's enum.
func setTexts(v reflect.Value, tag reflect.StructTag, items []string) error {
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, s := range items {
		if err := setScalar(out.Index(i), tag, s); err != nil {
			return err
		}
	}
	v.Set(out)
	return nil
}

// split cuts at commas and trims; nothing gives no entries.
func split(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
