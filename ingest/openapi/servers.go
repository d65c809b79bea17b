package openapi

import (
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// maxBases bounds the base paths of an operation.
const maxBases = 16

// bases are the paths that may stand before that of an operation, which may be templates: of
// the config, or of the servers of the operation, its path or the document.
func (c *compiler) bases(op *openapi3.Operation, item *openapi3.PathItem) []string {
	if c.cfg.Base != "" {
		return []string{strings.TrimRight(c.cfg.Base, "/")}
	}
	servers := c.doc.Servers
	if len(item.Servers) > 0 {
		servers = item.Servers
	}
	if op.Servers != nil && len(*op.Servers) > 0 {
		servers = *op.Servers
	}
	var out []string
	for _, s := range servers {
		if s == nil {
			continue
		}
		for _, u := range filled(s) {
			if base := pathOf(u); !slices.Contains(out, base) && len(out) < maxBases {
				out = append(out, base)
			}
		}
	}
	if len(out) == 0 {
		return []string{""}
	}
	return out
}

// filled are the URLs of a server: with each value of a variable that lists its values. One
// that does not may hold anything, and stays a parameter.
func filled(s *openapi3.Server) []string {
	urls := []string{s.URL}
	for name, v := range s.Variables {
		if v == nil || len(v.Enum) == 0 {
			continue
		}
		var next []string
		for _, u := range urls {
			for _, value := range v.Enum {
				if len(next) < maxBases {
					next = append(next, strings.ReplaceAll(u, "{"+name+"}", value))
				}
			}
		}
		urls = next
	}
	slices.Sort(urls)
	return urls
}

// pathOf is the path of a server's URL, which may be relative, without a slash at its end.
func pathOf(u string) string {
	if k := strings.Index(u, "://"); k >= 0 {
		u = u[k+3:]
		k = strings.IndexByte(u, '/')
		if k < 0 {
			return ""
		}
		u = u[k:]
	} else if strings.HasPrefix(u, "//") {
		u = u[2+strings.IndexByte(u[2:]+"/", '/'):]
	}
	if k := strings.IndexAny(u, "?#"); k >= 0 {
		u = u[:k]
	}
	u = strings.Trim(u, "/")
	if u == "" || u == "." {
		return ""
	}
	return "/" + u
}
