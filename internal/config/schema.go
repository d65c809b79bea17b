package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// member and object are a JSON object that keeps the order of its keys, so that
// the schema reads in the order of the struct.
type member struct {
	name  string
	value any
}

type object []member

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := plainJSON(m.name)
		if err != nil {
			return nil, err
		}
		value, err := plainJSON(m.value)
		if err != nil {
			return nil, fmt.Errorf("config: schema: %s: %w", m.name, err)
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// plainJSON encodes without the escapes for HTML, which a schema does not need.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Schema returns the JSON Schema (draft 2020-12) of the settings in dst, for
// editors and for checks in a pipeline.
func Schema(dst any, title string) ([]byte, error) {
	v, err := fresh(dst)
	if err != nil {
		return nil, err
	}
	root := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", title},
	}
	root = append(root, mappingSchema(v)...)
	raw, err := plainJSON(root)
	if err != nil {
		return nil, fmt.Errorf("config: schema: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return nil, fmt.Errorf("config: schema: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// mappingSchema describes a mapping with known keys; it may be left empty.
func mappingSchema(v reflect.Value) object {
	properties := object{}
	for _, f := range fields(v) {
		properties = append(properties, member{f.yamlKey(), fieldSchema(f)})
	}
	return object{
		{"type", [...]string{"object", "null"}},
		{"properties", properties},
		{"additionalProperties", false},
	}
}

// fieldSchema describes one key.
func fieldSchema(f field) object {
	out := object{}
	if f.doc != "" {
		out = append(out, member{"description", f.doc})
	}
	if !f.v.IsValid() {
		return append(out, member{"type", [...]string{"object", "null"}}, member{"additionalProperties", false})
	}
	if f.secret() {
		return append(out, member{"type", "string"})
	}
	switch shapeOf(f.v.Type()) {
	case mapping:
		return append(out, mappingSchema(f.v)...)
	case mappings:
		return append(out, member{"type", [...]string{"array", "null"}},
			member{"items", append(object{}, mappingSchema(newEntry(f.v.Type()))...)})
	case texts:
		out = append(out, member{"type", [...]string{"array", "null"}},
			member{"items", scalarSchema(f.v.Type().Elem(), f.tag)})
	case labels:
		out = append(out, member{"type", [...]string{"object", "null"}},
			member{"additionalProperties", object{{"type", "string"}}})
	default:
		out = append(out, scalarSchema(f.v.Type(), f.tag)...)
	}
	return append(out, member{"default", plain(f.v, f.tag)})
}

// newEntry is an entry of a list of mappings with its defaults, which verify has
// seen to be well.
func newEntry(list reflect.Type) reflect.Value {
	v := started(list.Elem())
	_ = setDefaults(v, "")
	return v
}

// Patterns of durations and sizes as the schema gives them.
const (
	durationPattern = `^(0|-?([0-9.]+w)?([0-9.]+d)?([0-9.]+(ns|us|µs|ms|s|m|h))*)$`
	sizePattern     = `^-?[0-9]+(\.[0-9]+)? ?([kKMGT]i?)?B$`
)

// scalarSchema describes a single value.
func scalarSchema(t reflect.Type, tag reflect.StructTag) object {
	switch {
	case t == durationType:
		return object{{"type", [...]string{"string", "integer"}}, {"pattern", durationPattern}, {"maximum", 0}, {"minimum", 0}}
	case t.Kind() == reflect.String:
		if enum := enumOf(tag); len(enum) > 0 {
			if tag.Get("default") == "" {
				enum = append(enum, "")
			}
			return object{{"type", "string"}, {"enum", enum}}
		}
		return object{{"type", "string"}}
	case t.Kind() == reflect.Bool:
		return object{{"type", "boolean"}}
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		return append(object{{"type", "number"}}, rangeSchema(t, tag)...)
	case sized(tag):
		return object{{"type", [...]string{"integer", "string"}}, {"pattern", sizePattern}}
	}
	return append(object{{"type", "integer"}}, rangeSchema(t, tag)...)
}

// rangeSchema gives the bounds of a number: those of the tags, else of the type.
func rangeSchema(t reflect.Type, tag reflect.StructTag) object {
	out := object{}
	low, high := "", ""
	if t.Kind() != reflect.Float64 && t.Kind() != reflect.Float32 && t.Bits() < 64 || t.Kind() == reflect.Uint64 || t.Kind() == reflect.Uint {
		low, high = bounds(t)
	}
	if s, ok := tag.Lookup("min"); ok {
		low = s
	}
	if s, ok := tag.Lookup("max"); ok {
		high = s
	}
	if low != "" {
		out = append(out, member{"minimum", json.Number(low)})
	}
	if high != "" {
		out = append(out, member{"maximum", json.Number(high)})
	}
	return out
}

// plain is a value as JSON shows it: durations and sizes as their text.
func plain(v reflect.Value, tag reflect.StructTag) any {
	switch shapeOf(v.Type()) {
	case texts:
		out := make([]string, v.Len())
		for i := range out {
			out[i] = v.Index(i).String()
		}
		return out
	case labels:
		out := map[string]string{}
		for it := v.MapRange(); it.Next(); {
			out[it.Key().String()] = it.Value().String()
		}
		return out
	}
	switch {
	case v.Type() == durationType:
		return FormatDuration(time.Duration(v.Int()))
	case v.Kind() == reflect.String:
		return v.String()
	case v.Kind() == reflect.Bool:
		return v.Bool()
	}
	s := textOf(v, tag)
	if _, err := strconv.ParseFloat(s, 64); err == nil && !strings.ContainsAny(s, "iI") {
		return json.Number(s)
	}
	return s
}
