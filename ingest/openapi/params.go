package openapi

import (
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// separators are what stands between the items of a list that is one value, by style
// (OpenAPI 3.0.3, section 4.7.12.2).
var separators = map[string]byte{"": ',', "form": ',', "spaceDelimited": ' ', "pipeDelimited": '|', "simple": ','}

// queryParam takes in a query parameter.
func (c *compiler) queryParam(op *Operation, p *openapi3.Parameter) {
	schema := p.Schema
	exploded := p.Explode == nil && (p.Style == "" || p.Style == "form") || p.Explode != nil && *p.Explode
	x := &param{name: p.Name, empty: p.AllowEmptyValue}
	op.query[p.Name] = x
	switch {
	case schema == nil || schema.Value == nil:
	case is(schema.Value, "array"):
		if only(schema.Value) {
			x.check = c.schema(schema.Value.Items, 0)
		}
		x.empty = true // a list without items
		if !exploded {
			x.separator = separators[p.Style]
		}
	case is(schema.Value, "object") || len(schema.Value.Properties) > 0:
		if exploded && p.Style != "deepObject" {
			delete(op.query, p.Name)
			c.members(op, schema.Value)
		}
	default:
		x.check = c.schema(schema, 0)
	}
}

// members takes in the members of an object, which are parameters of their own where it is
// written exploded.
func (c *compiler) members(op *Operation, s *openapi3.Schema) {
	for name, member := range s.Properties {
		if op.query[name] == nil {
			op.query[name] = &param{name: name, check: c.schema(member, 0)}
		}
	}
	more := s.AdditionalProperties
	if len(s.AllOf)+len(s.OneOf)+len(s.AnyOf)+len(s.PatternProperties) > 0 || more.Schema != nil || more.Has == nil || *more.Has {
		op.open = true
	}
}

// pathParam takes in a parameter that is a whole segment of the path.
func (c *compiler) pathParam(op *Operation, p *openapi3.Parameter, segs []string) {
	at := slices.Index(segs, "{"+p.Name+"}")
	if at < 0 || p.Schema == nil || p.Schema.Value == nil || p.Style != "" && p.Style != "simple" {
		return
	}
	x := &param{name: p.Name, check: c.schema(p.Schema, 0)}
	if is(p.Schema.Value, "array") {
		if x.check = nil; only(p.Schema.Value) {
			x.check, x.separator = c.schema(p.Schema.Value.Items, 0), ','
		}
	}
	op.places = slices.DeleteFunc(op.places, func(o place) bool { return o.segment == at })
	if x.check != nil {
		op.places = append(op.places, place{at, x})
	}
}

// is reports whether a value may be of a type, as far as the schema says so itself.
func is(s *openapi3.Schema, name string) bool { return slices.Contains(s.Type.Slice(), name) }

// only reports whether a list can be nothing else.
func only(s *openapi3.Schema) bool {
	return !slices.ContainsFunc(s.Type.Slice(), func(name string) bool { return name != "array" && name != "null" })
}
