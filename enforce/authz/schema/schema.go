// Package schema holds requests against OpenAPI documents while a gateway waits: path,
// method, parameters in path, query, headers and cookies, and the body where it is sent.
//
// Documents are compiled once. A request that is as described costs no memory, unless it has
// a body, a list or an object. What is wrong is told by the words of the document and never
// by those of the request: a value may be a secret, or an attack.
//
// What cannot be looked at (a pattern that Go's expressions do not know, a keyword that is not
// compiled) is named when the documents are read, and then admits anything.
package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/portcullis/portcullis/ingest/openapi"
)

// Kind is what is wrong with a request. The zero value is nothing.
type Kind string

// The kinds.
const (
	Route     Kind = "route"     // no document has the path: 404
	Method    Kind = "method"    // the path has no such method: 405
	Spelling  Kind = "spelling"  // the path is written so that servers read it differently: 400
	Parameter Kind = "parameter" // a parameter is missing, unknown, or not as described: 400
	Media     Kind = "media"     // the body is of a type that is not described: 415
	Body      Kind = "body"      // the body is not as described: 400
	Size      Kind = "size"      // the body is too large to be looked at: 413
)

// Kinds lists them all.
func Kinds() []Kind { return []Kind{Route, Method, Spelling, Parameter, Media, Body, Size} }

// Options say what is looked at.
type Options struct {
	PassUnknown    bool // paths and methods that no document has are left alone
	PassParameters bool // so are query parameters
	PassSpelling   bool // so are paths that servers may read differently
	MaxBody        int  // bytes of a body; 0 = 64 KiB
	MaxDepth       int  // of a body in JSON; 0 = 32
}

// Bounds of what is not set.
const (
	defaultBody  = 64 << 10
	defaultDepth = 32
)

// Rules are what documents demand of requests. They do not change, and are safe for
// concurrent use.
type Rules struct {
	Warnings   []string // what is odd in the documents, or cannot be looked at
	Operations int

	api     *openapi.API
	opt     Options
	ops     map[*openapi.Operation]*operation
	allowed map[string]string // the Allow field of a route (RFC 9110, section 10.2.1)
}

// operation is a method on a path.
type operation struct {
	op      *openapi.Operation
	path    []*param
	query   map[string]*param
	must    uint64 // query parameters that have to be there, by their bit
	bits    []*param
	open    bool // any query parameter is described
	headers []*param
	cookies []*param
	body    *body
}

// Open reads and compiles documents. Without documents it is an error: there would be
// nothing to hold a request against.
func Open(list []openapi.Document, opt Options) (*Rules, error) {
	if len(list) == 0 {
		return nil, fmt.Errorf("schema: no document: name one, or list it under openapi")
	}
	if opt.MaxBody <= 0 {
		opt.MaxBody = defaultBody
	}
	if opt.MaxDepth <= 0 {
		opt.MaxDepth = defaultDepth
	}
	r := &Rules{opt: opt, ops: map[*openapi.Operation]*operation{}, allowed: map[string]string{}}
	c := &compiler{memo: map[*openapi3.Schema]*node{}, bodies: map[*openapi3.RequestBody]*body{}, said: map[string]bool{}}
	api, err := openapi.OpenEach(list, func(d openapi.Described) error {
		c.file = d.Op.File
		r.ops[d.Op] = c.operation(d)
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.settle()
	r.api, r.Operations, r.Warnings = api, len(api.Operations), append(api.Warnings, slices.Sorted(maps.Keys(c.said))...)
	for _, t := range api.Templates() {
		methods := []string{"OPTIONS"}
		for _, op := range api.Operations {
			if op.Template == t && !slices.Contains(methods, op.Method) {
				methods = append(methods, op.Method)
			}
		}
		if slices.Contains(methods, "GET") && !slices.Contains(methods, "HEAD") {
			methods = append(methods, "HEAD")
		}
		slices.Sort(methods)
		r.allowed[t] = strings.Join(methods, ", ")
	}
	return r, nil
}

// Request is what a gateway tells of one. Nothing of it is kept.
type Request struct {
	Method string
	Target string // path and query, as the client wrote them
	Host   string
	Fields Fields // the header
	Body   []byte
	Sent   bool // the gateway sends bodies: an empty one is none
	Cut    bool // of the body there was more
}

// Fields finds a field of a header, by its name in small letters and in canonical form. Where
// it stands several times, the values are joined with commas (RFC 9110, section 5.3).
type Fields interface {
	Field(lower, canonical string) (value string, there bool)
}

// Fault is one thing that is wrong.
type Fault struct {
	In   string // path, query, header, cookie, body; "" where the request as a whole is meant
	Name string // of a parameter, or where in the body (RFC 6901); "" where that is a client's word that is not plain
	Why  string // in words of ours
}

// Verdict is what is wrong with a request. The zero value is nothing.
type Verdict struct {
	Kind   Kind
	Status int    // to answer with
	Method string // of the operation, and its route, as the document has them; "" = none was found
	Route  string
	Allow  string  // methods that there are, for 405
	Faults []Fault // at least one, maxFaults at most; valid until the Checker is used again
}

// maxFaults bounds what a client is told at once.
const maxFaults = 8
