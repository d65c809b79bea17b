package schema

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/portcullis/portcullis/ingest/source/serve"
)

// body holds what a request carries against its operation. What the gateway does not send is
// not looked at.
func (c *Checker) body(o *operation, q *Request) (Kind, int) {
	there := q.Sent && (len(q.Body) > 0 || q.Cut)
	if o.body == nil {
		if there && !c.rules.opt.PassParameters {
			return c.refuse(Body, http.StatusBadRequest, "", "is not described")
		}
		return "", 0
	}
	if q.Sent && !there {
		if o.body.required {
			return c.refuse(Body, http.StatusBadRequest, "", "is missing")
		}
		return "", 0
	}
	kind, has := q.field("content-type", "Content-Type")
	switch {
	case !has && !there:
		return "", 0
	case !has:
		return c.refuse(Media, http.StatusUnsupportedMediaType, "", "has no Content-Type")
	}
	m := o.body.find(bare(kind))
	switch {
	case m == nil:
		return c.refuse(Media, http.StatusUnsupportedMediaType, "", "is of a type that is not described")
	case m.form == formAny || !there:
		return "", 0
	case !readable(kind):
		return c.refuse(Media, http.StatusUnsupportedMediaType, "", "is in a character set other than UTF-8")
	case q.Cut || len(q.Body) > c.rules.opt.MaxBody:
		return c.refuse(Size, http.StatusRequestEntityTooLarge, "", "is larger than is looked at")
	}
	data, kindOf, status := c.plain(q)
	if kindOf != "" {
		return kindOf, status
	}
	return c.judgeBody(m, data)
}

// refuse notes what is wrong with the body.
func (c *Checker) refuse(kind Kind, status int, at, why string) (Kind, int) {
	c.fault("body", at, why)
	return kind, status
}

// judgeBody holds a body against the schema of its type.
func (c *Checker) judgeBody(m *media, data []byte) (Kind, int) {
	v, err := value{}, error(nil)
	if m.form == formJSON {
		v, err = parse(data, c.rules.opt.MaxDepth)
	} else {
		v, err = c.fields(m.node, string(data))
	}
	if err != nil {
		return c.refuse(Body, http.StatusBadRequest, "", err.Error())
	}
	if f := c.visit(m.node, &v); f.why != "" {
		return c.refuse(Body, http.StatusBadRequest, f.at, f.why)
	}
	return "", 0
}

// find finds the closest type.
func (b *body) find(name string) *media {
	for i := range b.media {
		m := &b.media[i]
		if m.name == name || m.name == "*/*" {
			return m
		}
		if major, ok := strings.CutSuffix(m.name, "/*"); ok && strings.HasPrefix(name, major+"/") {
			return m
		}
	}
	return nil
}

// readable reports whether a Content-Type names no character set, or one in which ASCII is
// what it is.
func readable(kind string) bool {
	_, params, _ := strings.Cut(strings.ToLower(kind), ";")
	for p := range strings.SplitSeq(params, ";") {
		if name, set, _ := strings.Cut(strings.TrimSpace(p), "="); strings.TrimSpace(name) == "charset" {
			switch strings.Trim(set, ` "'`) {
			case "utf-8", "utf8", "us-ascii":
			default:
				return false
			}
		}
	}
	return true
}

// plain undoes the content coding of a body.
func (c *Checker) plain(q *Request) ([]byte, Kind, int) {
	coding, has := q.field("content-encoding", "Content-Encoding")
	if !has || strings.EqualFold(strings.TrimSpace(coding), "identity") {
		return q.Body, "", 0
	}
	if !serve.Understands(coding) {
		kind, status := c.refuse(Media, http.StatusUnsupportedMediaType, "", "is compressed in a way that is not looked at")
		return nil, kind, status
	}
	r, free := serve.Body(bytes.NewReader(q.Body), coding, int64(c.rules.opt.MaxBody))
	defer free()
	data, err := io.ReadAll(r)
	switch {
	case errors.Is(err, serve.ErrPlain):
		kind, status := c.refuse(Size, http.StatusRequestEntityTooLarge, "", "is larger than is looked at")
		return nil, kind, status
	case err != nil:
		kind, status := c.refuse(Body, http.StatusBadRequest, "", "is not compressed as its Content-Encoding says")
		return nil, kind, status
	}
	return data, "", 0
}

// errEscape says what is wrong with a form.
var (
	errEscape = errors.New("has an escape that cannot be read")
	errMany   = errors.New("has more fields than are looked at")
)

// fields reads a form as an object. A field that stands again and again is a list, where the
// schema wants one.
func (c *Checker) fields(n *node, text string) (value, error) {
	v, err := value{kind: kindObject}, error(nil)
	at := map[string]int{}
	bad := each(text, func(name, s string) {
		if len(v.names) > maxPairs*4 {
			err = errMany
			return
		}
		var p *node
		if n != nil {
			p = n.props[name]
		}
		list := p != nil && p.shape() == kindArray
		if list {
			p = p.items
		}
		i, again := at[name]
		switch {
		case again && !list:
			err = errTwice
		case again:
			v.list[i].list = append(v.list[i].list, c.coerced(p, s))
		case list:
			at[name] = len(v.names)
			v.names, v.list = append(v.names, name), append(v.list, value{kind: kindArray, list: []value{c.coerced(p, s)}})
		default:
			at[name] = len(v.names)
			v.names, v.list = append(v.names, name), append(v.list, c.coerced(p, s))
		}
	})
	if bad && err == nil {
		err = errEscape
	}
	return v, err
}
