package schema

import (
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest/openapi"
)

// maxPairs bounds the query parameters of one request.
const maxPairs = 256

// parameters holds all of a request against its operation. Those in the path go first: they
// borrow what the reader read.
func (c *Checker) parameters(o *operation, q *Request, query string) {
	segs := c.reader.Segments()
	for _, p := range o.path {
		if p.segment < len(segs) && len(segs[p.segment]) >= p.before+p.after {
			s := segs[p.segment]
			c.single(p, s[p.before:len(s)-p.after])
		}
	}
	if query != "" || o.must != 0 {
		query, _, _ = strings.Cut(query, "#")
		c.query(o, query)
	}
	for _, p := range o.headers {
		switch v, there := q.field(p.lower, p.name); {
		case there:
			c.single(p, strings.Trim(v, " \t"))
		case p.required:
			c.fault(p.in, p.name, "is missing")
		}
	}
	if len(o.cookies) > 0 {
		c.cookies(o, q)
	}
}

func (q *Request) field(lower, canonical string) (string, bool) {
	if q.Fields == nil {
		return "", false
	}
	return q.Fields.Field(lower, canonical)
}

// query holds the query against the operation.
func (c *Checker) query(o *operation, query string) {
	var seen uint64
	rest := query
	for n := 0; rest != ""; n++ {
		var pair string
		if pair, rest, _ = strings.Cut(rest, "&"); pair == "" {
			continue
		}
		if n == maxPairs {
			c.fault("query", "", "has more parameters than are looked at")
			return
		}
		raw, value, _ := strings.Cut(pair, "=")
		name, bad := openapi.Unescape(raw, true)
		value, worse := openapi.Unescape(value, true)
		if bad || worse {
			c.fault("query", plainName(name), "has an escape that cannot be read")
			continue
		}
		p := o.named(name)
		switch {
		case p == nil:
			if !o.open && !c.rules.opt.PassParameters {
				c.fault("query", plainName(name), "is not described")
			}
			continue
		case p.bit >= 0 && seen>>p.bit&1 != 0:
			if p.form != formObject && (p.form != formList || p.sep != 0) {
				c.fault("query", p.name, "is given more than once")
			}
			continue
		case p.bit >= 0:
			seen |= 1 << p.bit
		}
		switch {
		case p.form == formList && p.sep == 0:
			c.judge(p, c.repeated(p, query))
		case p.form == formObject:
			c.deep(p, query)
		default:
			c.single(p, value)
		}
	}
	for missing := o.must &^ seen; missing != 0; missing &= missing - 1 {
		c.fault("query", o.bits[lowest(missing)].name, "is missing")
	}
}

// lowest is the number of the lowest bit that is set.
func lowest(x uint64) (n int) {
	for ; x&1 == 0; x >>= 1 {
		n++
	}
	return n
}

// named finds a query parameter. The members of an object are written name[member].
func (o *operation) named(name string) *param {
	if p := o.query[name]; p != nil {
		return p
	}
	if k := strings.IndexByte(name, '['); k > 0 {
		if p := o.query[name[:k]]; p != nil && (p.form == formObject || p.form == formAny) {
			return p
		}
	}
	return nil
}

// single holds a parameter that has one value.
func (c *Checker) single(p *param, v string) {
	if v == "" && p.empty {
		return
	}
	switch p.form {
	case formText:
		if why := c.scalar(p.node, v); why != "" {
			c.fault(p.in, p.name, why)
		}
	case formList:
		list := value{kind: kindArray}
		sep := p.sep
		if sep == 0 {
			sep = ','
		}
		for more := v != ""; more; {
			var item string
			item, v, more = strings.Cut(v, string(sep))
			list.list = append(list.list, c.coerced(p.node.items, item))
		}
		c.judge(p, list)
	case formJSON:
		parsed, err := parse([]byte(v), c.rules.opt.MaxDepth)
		if err != nil {
			c.fault(p.in, p.name, err.Error())
			return
		}
		c.judge(p, parsed)
	}
}

// judge holds a value that has parts.
func (c *Checker) judge(p *param, v value) {
	if f := c.visit(p.node, &v); f.why != "" {
		if f.at != "" {
			f.why = "at " + f.at + " " + f.why
		}
		c.fault(p.in, p.name, f.why)
	}
}

// scalar holds a text against a schema, as whatever it can be read; "" is as described.
func (c *Checker) scalar(n *node, s string) string {
	if n == nil {
		return ""
	}
	why := ""
	for _, k := range [...]kind{kindNumber, kindBool, kindNull, kindString} {
		if !n.readable(k, s) {
			continue
		}
		v := value{kind: k, text: s, flag: s == "true"}
		f := c.visit(n, &v)
		if f.why == "" {
			return ""
		}
		why = f.why
	}
	if why == "" {
		why = n.wantType()
	}
	return why
}

// readable reports whether a text can be a value of a kind that the schema admits.
func (n *node) readable(k kind, s string) bool {
	if n.types != 0 && n.types&k == 0 {
		return false
	}
	switch k {
	case kindNumber:
		return openapi.IsInteger(s, false) || !n.whole && openapi.IsNumber(s)
	case kindBool:
		return s == "true" || s == "false"
	case kindNull:
		return n.types != 0 && (s == "" || s == "null")
	}
	return true
}

// coerced is a text as the value that its schema wants, or as a string.
func (c *Checker) coerced(n *node, s string) value {
	if n != nil {
		for _, k := range [...]kind{kindNumber, kindBool, kindNull} {
			if v := (value{kind: k, text: s, flag: s == "true"}); n.readable(k, s) && c.count([]*node{n}, &v, 1) == 1 {
				return v
			}
		}
	}
	return value{kind: kindString, text: s}
}

// repeated gathers the values of a list that stands name by name.
func (c *Checker) repeated(p *param, query string) value {
	v := value{kind: kindArray}
	each(query, func(name, text string) {
		if name == p.name && !(text == "" && p.empty) {
			v.list = append(v.list, c.coerced(p.node.items, text))
		}
	})
	return v
}

// each reads the pairs of a query or a form.
func each(query string, do func(name, value string)) (bad bool) {
	for query != "" {
		var pair string
		if pair, query, _ = strings.Cut(query, "&"); pair == "" {
			continue
		}
		name, text, _ := strings.Cut(pair, "=")
		name, bad1 := openapi.Unescape(name, true)
		text, bad2 := openapi.Unescape(text, true)
		bad = bad || bad1 || bad2
		do(name, text)
	}
	return bad
}

// deep gathers the members of an object that are written name[member]. Objects within it
// are not looked at.
func (c *Checker) deep(p *param, query string) {
	v, nested, twice := value{kind: kindObject}, false, false
	each(query, func(name, text string) {
		member, ok := strings.CutPrefix(name, p.name+"[")
		if !ok {
			return
		}
		if member, ok = strings.CutSuffix(member, "]"); !ok || strings.ContainsAny(member, "[]") {
			nested = true
			return
		}
		twice = twice || slices.Contains(v.names, member)
		v.names, v.list = append(v.names, member), append(v.list, c.coerced(p.node.props[member], text))
	})
	switch {
	case nested:
	case twice:
		c.fault(p.in, p.name, errTwice.Error())
	default:
		c.judge(p, v)
	}
}

// cookies holds those that are described.
func (c *Checker) cookies(o *operation, q *Request) {
	all, _ := q.field("cookie", "Cookie")
	for _, p := range o.cookies {
		found := false
		for rest := all; rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, ";")
			if name, v, _ := strings.Cut(strings.Trim(pair, " \t"), "="); name == p.name {
				found = true
				c.single(p, strings.Trim(v, `"`))
			}
		}
		if !found && p.required {
			c.fault(p.in, p.name, "is missing")
		}
	}
}
