package console

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/portcullis/portcullis/ingest/openapi"
)

// Published is an entry of console.documents: a document of the API that the gateway serves.
type Published struct {
	Name string `yaml:"name" doc:"its name in the address and the list: letters, digits, - and _"`
	File string `yaml:"file" doc:"an OpenAPI document, JSON or YAML; a changed file is shown at once"`
}

// Bounds of what is published.
const (
	maxPublished = 32
	maxDocument  = 16 << 20 // bytes
)

// checkDocuments reports what is wrong with the entries.
func (c Config) checkDocuments(report func(key, message string)) {
	if len(c.Documents) > maxPublished {
		report("documents", fmt.Sprintf("are more than %d", maxPublished))
	}
	names := map[string]bool{}
	for i, d := range c.Documents {
		key := fmt.Sprintf("documents[%d].", i)
		switch {
		case d.Name == "" || len(d.Name) > 40 || strings.Trim(d.Name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "":
			report(key+"name", "must be 1 to 40 letters, digits, - and _")
		case names[d.Name]:
			report(key+"name", fmt.Sprintf("%q is the name of another document", d.Name))
		}
		names[d.Name] = true
		if d.File == "" {
			report(key+"file", "name the document")
		}
	}
}

// readable tries the files: a name that is wrong should be told before somebody needs it.
func (c Config) readable() error {
	for _, d := range c.Documents {
		if _, err := d.read(); err != nil {
			return fmt.Errorf("console: documents: %.40q: %w", d.Name, err)
		}
	}
	return nil
}

func (d Published) read() ([]byte, error) { return openapi.ReadFile(d.File, maxDocument) }

// documentsJSON is the answer of /documents.
type documentsJSON struct {
	Documents []string `json:"documents" doc:"Names, as /documents/{name} takes them."`
}

// getDocuments lists what is published.
func (s *Server) getDocuments(w http.ResponseWriter, _ *http.Request) error {
	reply(w, http.StatusOK, documentsJSON{s.published()})
	return nil
}

func (s *Server) published() []string {
	names := []string{}
	for _, d := range s.cfg.Documents {
		names = append(names, d.Name)
	}
	return names
}

// getPublished serves a document as it is in its file.
func (s *Server) getPublished(w http.ResponseWriter, r *http.Request) error {
	for _, d := range s.cfg.Documents {
		if d.Name != r.PathValue("name") {
			continue
		}
		data, err := d.read()
		if err != nil {
			s.log.Error("console: a document cannot be read", "document", d.Name, "error", err)
			return notFound("the document cannot be read; the log of portcullis says why")
		}
		kind := "application/json"
		if ext := strings.ToLower(filepath.Ext(d.File)); ext == ".yaml" || ext == ".yml" {
			kind = "application/yaml" // RFC 9512
		}
		return serve(w, r, data, kind)
	}
	return notFound("no document has this name: /documents lists them")
}
