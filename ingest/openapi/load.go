package openapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// maxFile bounds a document, in bytes.
const maxFile = 64 << 20

// Open reads the documents. An error names every document that cannot be used, the place and
// what to do. Without documents there is no API: nil.
func Open(list []Document) (*API, error) { return OpenEach(list, nil) }

// Described is an operation as its document has it, for who wants to know more of it than an
// API keeps. It is valid after the call, and must not be changed.
type Described struct {
	Op       *Operation
	Segments []string // of its path, the base path included; parameters in braces
	Doc      *openapi3.T
	Item     *openapi3.PathItem
	Source   *openapi3.Operation
}

// OpenEach is Open, and hands each operation that is taken in to a function, unless that is
// nil. An error of the function is one of the document.
func OpenEach(list []Document, each func(Described) error) (*API, error) {
	if len(list) == 0 {
		return nil, nil
	}
	api := &API{trees: []*tree{{}}}
	for i := range list {
		if h := strings.ToLower(list[i].Host); h != "" && !slices.Contains(api.hosts, h) {
			api.hosts, api.trees = append(api.hosts, h), append(api.trees, &tree{})
		}
	}
	if len(api.hosts) > 255 {
		return nil, fmt.Errorf("openapi: documents for %d hosts, at most 255 can be told apart", len(api.hosts))
	}
	c := &compiler{api: api, each: each}
	var problems []error
	for i := range list {
		if err := c.open(&list[i]); err != nil {
			problems = append(problems, fmt.Errorf("openapi: %.200q: %w", list[i].File, err))
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	sorted(api.Operations)
	return api, nil
}

// open reads one document and takes it in. A document that the library cannot cope with is
// an error like any other: it must not end what runs already.
func (c *compiler) open(cfg *Document) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the reader of OpenAPI documents failed (%.200v): check the document with another program", r)
		}
	}()
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed, loader.IncludeOrigin, loader.ReadFromURIFunc = true, true, readLocal
	name, err := filepath.Abs(cfg.File)
	if err != nil {
		return err
	}
	doc, err := loader.LoadFromFile(name)
	if err != nil {
		return explained(err)
	}
	switch {
	case doc.Extensions["swagger"] != nil:
		return fmt.Errorf("it is a Swagger %.8v document: convert it to OpenAPI 3.0, for example with swagger2openapi", doc.Extensions["swagger"])
	case !strings.HasPrefix(doc.OpenAPI, "3."):
		return fmt.Errorf("its openapi field is %.20q: want a document of version 3.0 or 3.1", doc.OpenAPI)
	case doc.Paths == nil:
		return fmt.Errorf("it has no paths: it describes nothing that a request could ask for")
	}
	if err := c.add(cfg, doc); err != nil {
		return err
	}
	if err := doc.Validate(context.Background(), openapi3.DisableExamplesValidation(), openapi3.DisableSchemaPatternValidation()); err != nil {
		c.warn("it is not quite valid, and used all the same: %s", oneLine(err))
	}
	return nil
}

// readLocal reads a document or what it refers to. What is elsewhere is not fetched: a file
// must not decide whom this machine talks to.
func readLocal(_ *openapi3.Loader, at *url.URL) ([]byte, error) {
	if at.Scheme != "" && at.Scheme != "file" || at.Host != "" {
		return nil, fmt.Errorf("it refers to %.120q, which is not fetched: put that file beside it and refer to the file, or bundle both into one document", at.String())
	}
	return ReadFile(filepath.FromSlash(at.Path), maxFile)
}

// ReadFile reads a document that is a regular file of so many bytes at most.
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("it is larger than %d MiB", most>>20)
	}
	return data, err
}

// explained says what to do about a document that cannot be read.
func explained(err error) error {
	var missing *os.PathError
	switch text := oneLine(err); {
	case errors.As(err, &missing):
		return fmt.Errorf("%w: name a file that can be read here", missing)
	case strings.Contains(text, "not fetched"), strings.Contains(text, "no regular file"), strings.Contains(text, "larger than"):
		return errors.New(text)
	case strings.Contains(text, "unmarshal"):
		return fmt.Errorf("%s: it is neither JSON nor YAML as OpenAPI wants it; mend it there", text)
	case strings.Contains(text, "$ref") || strings.Contains(text, "resolve"):
		return fmt.Errorf("%s: mend the $ref, or put what it names where it points", text)
	default:
		return errors.New(text)
	}
}

// oneLine is an error in one line, capped.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > 400 {
		text = text[:400] + "..."
	}
	return text
}
