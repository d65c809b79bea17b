package openapi

import (
	"fmt"
	"strings"
)

// Document is an entry of the "openapi" list of the config file.
type Document struct {
	File   string   `yaml:"file" doc:"an OpenAPI document, version 3.0 or 3.1, JSON or YAML; other files that it refers to are read too, URLs are not"`
	Base   string   `yaml:"base" default:"" doc:"path that stands before all paths of the document, such as /api/v1; empty means the paths of its servers"`
	Host   string   `yaml:"host" default:"" doc:"host name for whose requests alone the document speaks; empty means all"`
	Covers []string `yaml:"covers" doc:"paths below which everything should be in the document, so that the rest is undocumented; without them the base path"`
}

// Check implements validation for the config loader. Whether the file can be read shows
// when it is opened.
func (d *Document) Check(report func(key, message string)) {
	if d.File == "" {
		report("file", "name the document")
	}
	if why := badPrefix(d.Base); why != "" {
		report("base", why)
	}
	if strings.ContainsAny(d.Host, "/ ") || strings.Contains(d.Host, "://") {
		report("host", "want a host name alone, such as api.example.com")
	}
	for i, c := range d.Covers {
		if why := badPrefix(c); c == "" || why != "" {
			report(fmt.Sprintf("covers[%d]", i), "want a path such as /api")
		}
	}
}

func badPrefix(p string) string {
	switch {
	case p == "":
		return ""
	case p[0] != '/':
		return "a path begins with a /"
	case strings.ContainsAny(p, "?#{} "):
		return "want a path without query and parameters, such as /api/v1"
	}
	return ""
}
