// Package config loads a strict YAML file into a struct whose tags say what is
// allowed. It reports every mistake at once, each with its place in the file,
// what was wanted and the nearest valid key, and it writes the JSON Schema, the
// example file and the reference page from the same tags.
//
// The tags of a field: `yaml:"key"` (without it the field is no setting; a
// struct or Sections tagged `yaml:",inline"` lends its keys to its parent), `default:"30s"`,
// `doc:"one sentence"`, and where needed `min:"1"`, `max:"100"`, `enum:"a,b"`,
// `unit:"bytes"` (sizes such as 64MiB are then understood) and `secret:"file"`
// (the value comes from the file named by key_file or from the environment,
// never from the YAML). A struct may check itself with the Checker method.
package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Section is a named mapping whose struct the config package does not know at
// compile time, such as the settings of one detector.
type Section struct {
	Name  string
	Doc   string
	Value any // pointer to a struct with the same tags; nil = no settings
}

// Sections is a mapping from Section.Name to its settings. Whoever calls Load
// fills it before; Load writes into the structs that the values point to.
type Sections []Section

// Checker is implemented by settings that can be wrong together, or in a way no
// tag can say. It is called after defaults, file and environment are in place.
// The key is a path relative to the struct; "" means the struct itself. Keys that
// already have a problem are not reported again.
type Checker interface {
	Check(report func(key, message string))
}

// Chooser is implemented by settings of which only some sections count, such as
// those of one kind among several. What is unused is read, but not checked.
type Chooser interface {
	// Unused tells whether a section does not count: by its key, or, where it is
	// inlined, by the name of its type.
	Unused(section string) bool
}

// Starter is implemented by entries of lists whose sections are not known at
// compile time: Start fills its Sections in. It is called on every new entry,
// before its defaults.
type Starter interface{ Start() }

// loader carries what one call of Load found out.
type loader struct {
	file     string
	problems Problems
	where    map[string]place // key path → where it was set
	meant    map[string]bool  // key paths that unknown keys were near to
	broken   bool             // the YAML could not be read as a whole
}

// Load fills dst, a pointer to a struct, with the defaults of its tags, then the
// YAML in data, then the PORTCULLIS_ variables of environ ("KEY=value", as
// os.Environ returns them). The file name is used in messages and to find
// secrets named by a relative path. An empty file is fine.
//
// If anything is wrong the error is of type Problems and holds every mistake;
// dst is then half filled and must not be used. An error of another type says
// that dst itself is no settings struct.
func Load(file string, data []byte, environ []string, dst any) error {
	root, err := rootOf(dst)
	if err != nil {
		return err
	}
	if err := setDefaults(root, ""); err != nil {
		return err
	}
	l := &loader{file: file, where: map[string]place{}, meant: map[string]bool{}}
	if tree := l.parse(data); tree != nil {
		l.decodeFields(tree, root, "")
	}
	l.environment(environ, root)
	if !l.broken {
		l.check(root, "")
	}
	return l.problems.tidy()
}

// rootOf returns the struct that dst points to, or why it cannot hold settings.
func rootOf(dst any) (reflect.Value, error) {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return reflect.Value{}, fmt.Errorf("config: want a pointer to a struct, got %T", dst)
	}
	if err := verify(v.Elem(), ""); err != nil {
		return reflect.Value{}, err
	}
	return v.Elem(), nil
}

// fresh returns a struct like dst with only its defaults, sharing nothing with it.
func fresh(dst any) (reflect.Value, error) {
	v, err := rootOf(dst)
	if err != nil {
		return reflect.Value{}, err
	}
	c := reflect.New(v.Type()).Elem()
	c.Set(cloned(v))
	return c, setDefaults(c, "")
}

// cloned copies a value of a supported type, following slices and sections.
func cloned(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	switch {
	case v.Type() == sectionsType:
		c.Set(reflect.ValueOf(clonedSections(v.Interface().(Sections))))
	case v.Kind() == reflect.Struct:
		for _, f := range ownFields(v) {
			if f.index != nil {
				c.FieldByIndex(f.index).Set(cloned(f.v))
			}
		}
		for i := range v.NumField() {
			if inlinedSections(v.Type().Field(i)) {
				c.Field(i).Set(cloned(v.Field(i)))
			}
		}
	case v.Kind() == reflect.Slice && !v.IsNil():
		c.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			c.Index(i).Set(cloned(v.Index(i)))
		}
	case v.Kind() == reflect.Map && !v.IsNil():
		c.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for it := v.MapRange(); it.Next(); {
			c.SetMapIndex(it.Key(), it.Value())
		}
	}
	return c
}

func clonedSections(list Sections) Sections {
	out := make(Sections, len(list))
	for i, s := range list {
		out[i] = s
		if s.Value != nil {
			p := reflect.New(reflect.TypeOf(s.Value).Elem())
			p.Elem().Set(cloned(reflect.ValueOf(s.Value).Elem()))
			out[i].Value = p.Interface()
		}
	}
	return out
}

// Set gives one setting of dst, a pointer to a settings struct, the value that a
// text stands for, as a variable would; key is a path such as tls.server_name.
func Set(dst any, key, text string) error {
	v, err := rootOf(dst)
	if err != nil {
		return err
	}
	for {
		step, rest, deeper := strings.Cut(key, ".")
		fs := fields(v)
		i := slices.IndexFunc(fs, func(f field) bool { return f.key == step && f.v.IsValid() })
		switch {
		case i < 0:
			return errors.New("no such setting" + hinted(didYouMean(step, keysOf(fs))))
		case !deeper:
			return setText(fs[i].v, fs[i].tag, text)
		case shapeOf(fs[i].v.Type()) != mapping:
			return fmt.Errorf("%s has no settings of its own", step)
		}
		v, key = fs[i].v, rest
	}
}

func hinted(hint string) string {
	if hint == "" {
		return ""
	}
	return " (" + hint + ")"
}
