package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strings"

	"github.com/portcullis/portcullis/internal/telemetry"
)

//go:embed static
var files embed.FS

//go:embed openapi.json
var openAPIDocument []byte

var loginTemplate = template.Must(template.ParseFS(files, "static/login.html"))

// kinds are the content types of our files; what has none is not served. Go's own
// table would ask the machine, which may say anything.
var kinds = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

func (s *Server) staticFile(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	kind, ok := kinds[path.Ext(name)]
	if !ok {
		return notFound("there is no file " + telemetry.Quote(name))
	}
	return serveFile(w, r, name, kind)
}

func (s *Server) indexPage(w http.ResponseWriter, r *http.Request) error {
	return serveFile(w, r, "index.html", "text/html; charset=utf-8")
}

// serveFile answers with an embedded file. Browsers keep it but ask each time
// whether it is still the one, so that a new binary shows a new page at once.
func serveFile(w http.ResponseWriter, r *http.Request, name, kind string) error {
	data, err := files.ReadFile("static/" + name)
	if err != nil {
		return notFound("there is no file " + telemetry.Quote(name))
	}
	sum := sha256.Sum256(data)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	h := w.Header()
	h.Set("ETag", etag)
	h.Set("Cache-Control", "no-cache")
	if strings.Contains(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Length", fmt.Sprint(len(data)))
	_, _ = w.Write(data) // a client that left needs no answer
	return nil
}

func (s *Server) loginForm(w http.ResponseWriter, r *http.Request) error {
	if ok := s.may(r); ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	return s.loginPage(w, http.StatusOK, "")
}

func (s *Server) loginPage(w http.ResponseWriter, status int, message string) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := loginTemplate.Execute(w, message); err != nil {
		s.log.Debug("console: login page", "error", err)
	}
	return nil
}

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(openAPIDocument)
	return nil
}
