package schema

import (
	"fmt"
	"maps"
	"net/textproto"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/portcullis/portcullis/ingest/openapi"
)

// form is how a parameter is written.
type form uint8

const (
	formText   form = iota // one value
	formList               // values between separators, or the name again and again
	formObject             // its members are written name[member], or between commas
	formJSON               // it is JSON
	formAny                // in a way that is not looked at
)

// param is a parameter of an operation.
type param struct {
	in       string
	name     string // in canonical form, for a header
	lower    string // of a header
	required bool
	empty    bool // it may be left without a value
	form     form
	node     *node
	sep      byte // of a list in one value; 0: the name is repeated
	bit      int  // of a query parameter, in the order of the document

	segment, before, after int // of one in the path: where it is, and the bytes around it
}

// compiler makes rules of documents.
type compiler struct {
	file   string
	memo   map[*openapi3.Schema]*node
	bodies map[*openapi3.RequestBody]*body
	all    []*node
	said   map[string]bool // warnings
}

// maxWarnings bounds what is said about documents.
const maxWarnings = 100

func (c *compiler) warn(form string, args ...any) {
	if len(c.said) < maxWarnings {
		c.said[fmt.Sprintf("schema: %.200q: ", c.file)+fmt.Sprintf(form, args...)] = true
	}
}

// maxQueryParams bounds those of one operation that can be required.
const maxQueryParams = 64

// operation compiles a method on a path.
func (c *compiler) operation(d openapi.Described) *operation {
	o := &operation{op: d.Op, query: map[string]*param{}}
	list := map[[2]string]*openapi3.Parameter{}
	var order [][2]string
	for _, ref := range slices.Concat(d.Item.Parameters, d.Source.Parameters) {
		if ref == nil || ref.Value == nil {
			continue
		}
		key := [2]string{ref.Value.In, ref.Value.Name}
		if list[key] == nil {
			order = append(order, key)
		}
		list[key] = ref.Value // that of the operation goes before that of the path
	}
	for _, key := range order {
		c.place(o, d, c.param(list[key]), list[key])
	}
	c.credentials(o, d.Doc)
	if d.Source.RequestBody != nil && d.Source.RequestBody.Value != nil {
		o.body = c.body(d.Source.RequestBody.Value)
	}
	return o
}

// place puts a parameter where it will be looked for.
func (c *compiler) place(o *operation, d openapi.Described, p *param, x *openapi3.Parameter) {
	switch p.in {
	case "path":
		for i, seg := range d.Segments {
			texts := openapi.Texts(seg)
			if len(texts) == 2 && seg == texts[0]+"{"+p.name+"}"+texts[1] {
				p.segment, p.before, p.after = i, len(texts[0]), len(texts[1])
				o.path = append(o.path, p)
			}
		}
	case "query":
		if p.form == formObject && exploded(x) && x.Style != "deepObject" {
			c.members(o, x.Schema)
			return
		}
		c.asked(o, p)
	case "querystring": // OpenAPI 3.2
		o.open = true
	case "header":
		switch p.lower {
		case "accept", "content-type", "authorization": // OpenAPI 3.0.3, section 4.7.12.1: they are described elsewhere
		default:
			o.headers = append(o.headers, p)
		}
	case "cookie":
		o.cookies = append(o.cookies, p)
	}
}

// asked takes in a query parameter.
func (c *compiler) asked(o *operation, p *param) {
	p.bit = -1
	if len(o.bits) < maxQueryParams {
		p.bit = len(o.bits)
		o.bits = append(o.bits, p)
		if p.required {
			o.must |= 1 << p.bit
		}
	} else {
		c.warn("%s %.80q has more than %d query parameters: whether the rest is there, and how often, is not looked at", o.op.Method, o.op.Template, maxQueryParams)
	}
	o.query[p.name] = p
}

// members takes in the members of an object that is written exploded: each is a parameter.
func (c *compiler) members(o *operation, ref *openapi3.SchemaRef) {
	s := ref.Value
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if o.query[name] == nil {
			p := &param{in: "query", name: name}
			c.formed(p, s.Properties[name], true, "")
			c.asked(o, p)
		}
	}
	more := s.AdditionalProperties
	if len(s.AllOf)+len(s.OneOf)+len(s.AnyOf)+len(s.PatternProperties) > 0 || more.Schema != nil || more.Has == nil || *more.Has {
		o.open = true
	}
}

// credentials takes in the query parameters that carry them.
func (c *compiler) credentials(o *operation, doc *openapi3.T) {
	if doc.Components == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Components.SecuritySchemes)) {
		if s := doc.Components.SecuritySchemes[name]; s != nil && s.Value != nil && s.Value.In == "query" && o.query[s.Value.Name] == nil {
			c.asked(o, &param{in: "query", name: s.Value.Name})
		}
	}
}

// exploded reports whether the parts of a parameter stand apart.
func exploded(x *openapi3.Parameter) bool {
	if x.Explode != nil {
		return *x.Explode
	}
	return (x.In == "query" || x.In == "cookie") && (x.Style == "" || x.Style == "form")
}

// param compiles a parameter.
func (c *compiler) param(x *openapi3.Parameter) *param {
	p := &param{in: x.In, name: x.Name, required: x.Required, empty: x.AllowEmptyValue}
	if p.in == "header" {
		p.name, p.lower = textproto.CanonicalMIMEHeaderKey(x.Name), strings.ToLower(x.Name)
	}
	if x.Schema == nil {
		p.form = formAny
		for name, m := range x.Content {
			if m != nil && isJSON(name) {
				p.form, p.node = formJSON, c.node(m.Schema)
			}
		}
		return p
	}
	c.formed(p, x.Schema, exploded(x), x.Style)
	return p
}

// separators are what stands between the items of a list, by style (OpenAPI 3.0.3, section
// 4.7.12.2).
var separators = map[string]byte{"": ',', "form": ',', "simple": ',', "spaceDelimited": ' ', "pipeDelimited": '|'}

// formed decides how a parameter is read.
func (c *compiler) formed(p *param, ref *openapi3.SchemaRef, explode bool, style string) {
	p.node = c.node(ref)
	sep, known := separators[style]
	n := p.node
	switch {
	case n == nil || n.shape()&(kindArray|kindObject) == 0:
		p.form = formText
		if !known && style != "deepObject" {
			p.form = formAny
		}
	case n.shape() == kindArray && known:
		p.form, p.sep = formList, sep
		if explode && p.in == "query" {
			p.sep = 0
		}
	case n.shape() == kindObject && (style == "deepObject" || p.in == "query" && explode):
		p.form = formObject
	default:
		p.form = formAny
		c.warn("the %s parameter %.80q is written in a way that is not looked at", p.in, p.name)
	}
}

// body is what a request may carry.
type body struct {
	required bool
	media    []media
}

// media is a type of body.
type media struct {
	name string // in small letters, without parameters; may be a range such as text/*
	form form   // formJSON, formObject for a form, formAny
	node *node
}

func (c *compiler) body(x *openapi3.RequestBody) *body {
	if b := c.bodies[x]; b != nil {
		return b
	}
	b := &body{required: x.Required}
	c.bodies[x] = b
	for _, name := range slices.Sorted(maps.Keys(x.Content)) {
		m := media{name: bare(name), form: formAny}
		if t := x.Content[name]; t != nil && t.Schema != nil {
			switch {
			case isJSON(m.name):
				m.form, m.node = formJSON, c.node(t.Schema)
			case m.name == "application/x-www-form-urlencoded":
				m.form, m.node = formObject, c.node(t.Schema)
			}
		}
		b.media = append(b.media, m)
	}
	// The closest range counts (OpenAPI 3.1.0, section 4.8.13.1).
	slices.SortStableFunc(b.media, func(a, o media) int { return strings.Count(a.name, "*") - strings.Count(o.name, "*") })
	return b
}

// bare is a media type without its parameters, in small letters.
func bare(name string) string {
	name, _, _ = strings.Cut(name, ";")
	return strings.ToLower(strings.TrimSpace(name))
}

func isJSON(name string) bool {
	name = bare(name)
	return name == "application/json" || name == "text/json" || strings.HasSuffix(name, "+json")
}
