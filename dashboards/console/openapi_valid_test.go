package console_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/portcullis/portcullis/dashboards/console"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// TestOpenAPIIsGenerated demands that openapi.json, which people read and diff, is what the
// types of the handlers give.
func TestOpenAPIIsGenerated(t *testing.T) {
	h := open(t, console.Config{})
	want, err := console.Document(h.server)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile("openapi.json"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("openapi.json is not what the handlers are (%v): go test ./dashboards/console -run OpenAPI -update", err)
	}
}

// TestOpenAPIIsValid validates the document as OpenAPI 3.1 with kin-openapi, whose schemas
// are checked by the meta-schema of JSON Schema 2020-12.
func TestOpenAPIIsValid(t *testing.T) {
	data, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Error(err)
	}
	broken := bytes.Replace(data, []byte(`"type": "integer"`), []byte(`"type": "whole"`), 1)
	if doc, err = openapi3.NewLoader().LoadFromData(broken); err == nil {
		err = doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater())
	}
	if err == nil {
		t.Error("a document with an unknown type passes, so passing says nothing")
	}
}
