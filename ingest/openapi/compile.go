package openapi

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// maxOperations bounds what documents may describe together.
const maxOperations = 20_000

// compiler makes an API of documents.
type compiler struct {
	api   *API
	cfg   *Document
	doc   *openapi3.T
	trees []*tree // that the document at hand is for

	patterns map[string]*regexp.Regexp // nil for one that cannot be compiled
	each     func(Described) error
}

// add takes in a document.
func (c *compiler) add(cfg *Document, doc *openapi3.T) error {
	c.cfg, c.doc = cfg, doc
	c.trees = c.api.trees // a document without a host speaks for all
	if cfg.Host != "" {
		at := slices.Index(c.api.hosts, strings.ToLower(cfg.Host))
		c.trees = c.api.trees[at+1 : at+2]
	}
	found := 0
	for _, name := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
		item := doc.Paths.Value(name)
		if !strings.HasPrefix(name, "/") {
			return fmt.Errorf("%s: the path %.80q does not begin with a /", c.where(item.Origin), name)
		}
		verbs := item.Operations()
		for _, verb := range slices.Sorted(maps.Keys(verbs)) {
			found++
			for _, base := range c.bases(verbs[verb], item) {
				if err := c.operation(base+name, verb, verbs[verb], item); err != nil {
					return err
				}
			}
		}
	}
	if found == 0 {
		return fmt.Errorf("it describes no operation: it needs paths with methods")
	}
	c.covers()
	if len(c.api.Operations) > maxOperations {
		return fmt.Errorf("with it there are %d operations, at most %d can be known: split the API among installations", len(c.api.Operations), maxOperations)
	}
	return nil
}

// where is the place of something in its document.
func (c *compiler) where(o *openapi3.Origin) string {
	if o == nil || o.Key == nil {
		return "somewhere"
	}
	return fmt.Sprintf("line %d", o.Key.Line)
}

// covers notes what the document speaks for.
func (c *compiler) covers() {
	list := c.cfg.Covers
	if len(list) == 0 {
		list = c.bases(&openapi3.Operation{}, &openapi3.PathItem{})
	}
	for _, t := range c.trees {
		for _, text := range list {
			segs, _ := segments(text+"/", make([]string, 0, maxSegments), nil)
			if segs != nil {
				t.covers = append(t.covers, segs)
			}
		}
	}
}

// operation takes in a method on a path, which may be a template.
func (c *compiler) operation(full, verb string, x *openapi3.Operation, item *openapi3.PathItem) error {
	segs, err := templateSegments(full)
	if err != nil {
		return fmt.Errorf("%s: %w", c.where(x.Origin), err)
	}
	op := &Operation{Method: verb, Template: routeOf(segs), Deprecated: x.Deprecated, File: c.cfg.File, query: map[string]*param{}}
	if x.Origin != nil && x.Origin.Key != nil {
		op.Line = x.Origin.Key.Line
	}
	c.secure(op, x)
	c.parameters(op, segs, x, item)
	placed, before := false, op.Template
	for _, t := range c.trees {
		for i, root := range []*node{&t.exact, &t.folded} {
			at := root
			for _, seg := range segs {
				if i == 1 {
					seg = lowerTexts(seg)
				}
				at = at.step(seg)
			}
			if at.end == nil {
				at.end = &path{template: op.Template}
			}
			if slices.ContainsFunc(at.end.operations, func(m method) bool { return m.name == verb }) {
				before = at.end.template
				continue
			}
			placed = true
			op.Template = at.end.template
			at.end.operations = append(at.end.operations, method{verb, op})
		}
	}
	if !placed {
		c.warn("%s: %s %.80q is described before, as %.80q or in another document: the first one counts", c.where(x.Origin), verb, full, before)
		return nil
	}
	c.api.Operations = append(c.api.Operations, op)
	if c.each == nil {
		return nil
	}
	if err := c.each(Described{op, segs, c.doc, item, x}); err != nil {
		return fmt.Errorf("%s: %w", c.where(x.Origin), err)
	}
	return nil
}

func (c *compiler) warn(form string, args ...any) {
	c.api.Warnings = append(c.api.Warnings, fmt.Sprintf("openapi: %.200q: ", c.cfg.File)+fmt.Sprintf(form, args...))
}

// templateSegments are the segments of a path of a document, as segments reads those of a
// request; names in braces are left as they are.
func templateSegments(full string) ([]string, error) {
	var out []string
	for seg := range strings.SplitSeq(full, "/") {
		if seg == "" || seg == "." || seg == ".." {
			continue
		}
		texts := textsOf(seg)
		for _, text := range texts {
			if strings.ContainsAny(text, "{}") {
				return nil, fmt.Errorf("the path %.80q has a brace without its other: write parameters as {name}", full)
			}
		}
		if strings.ContainsAny(seg, "?#") {
			return nil, fmt.Errorf("the path %.80q has a query: describe it with parameters", full)
		}
		if len(texts) == 1 {
			seg, _ = unescape(seg, nil, false)
		}
		out = append(out, seg)
	}
	if len(out) > maxSegments {
		return nil, fmt.Errorf("the path %.80q has more than %d segments", full, maxSegments)
	}
	return out, nil
}

// routeOf writes segments as a route: of one that is fixed in part, gateways and others
// know a parameter.
func routeOf(segs []string) string {
	var b strings.Builder
	for _, seg := range segs {
		b.WriteByte('/')
		if texts := textsOf(seg); len(texts) == 1 || len(texts) == 2 && texts[0] == "" && texts[1] == "" {
			b.WriteString(seg)
			continue
		}
		b.WriteString("{" + strings.NewReplacer("{", "", "}", "").Replace(seg) + "}")
	}
	if len(segs) == 0 {
		return "/"
	}
	return b.String()
}

// lowerTexts writes what a segment fixes in small letters.
func lowerTexts(seg string) string {
	texts := textsOf(seg)
	for i, t := range texts {
		texts[i] = string(lowered(nil, t))
	}
	return strings.Join(texts, "{x}")
}

// secure notes whether an operation needs credentials, and the parameters that carry them.
func (c *compiler) secure(op *Operation, x *openapi3.Operation) {
	list := c.doc.Security
	if x.Security != nil {
		list = *x.Security
	}
	op.Secured = len(list) > 0
	for _, need := range list {
		op.Secured = op.Secured && len(need) > 0 // an empty one says that none are needed
		for name := range need {
			if c.doc.Components == nil {
				continue
			}
			if s := c.doc.Components.SecuritySchemes[name]; s != nil && s.Value != nil && s.Value.In == "query" {
				op.query[s.Value.Name] = &param{name: s.Value.Name}
			}
		}
	}
}

// parameters takes in those of the path and of the operation, which go before.
func (c *compiler) parameters(op *Operation, segs []string, x *openapi3.Operation, item *openapi3.PathItem) {
	for _, ref := range slices.Concat(item.Parameters, x.Parameters) {
		if ref == nil || ref.Value == nil {
			continue
		}
		switch p := ref.Value; p.In {
		case "query":
			c.queryParam(op, p)
		case "querystring": // OpenAPI 3.2
			op.open = true
		case "path":
			c.pathParam(op, p, segs)
		}
	}
}
