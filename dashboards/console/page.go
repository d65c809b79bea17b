package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strings"

	"github.com/portcullis/portcullis/internal/telemetry"
)

//go:embed static pages
var files embed.FS

var (
	loginTemplate = template.Must(template.ParseFS(files, "pages/login.html"))
	docsTemplate  = template.Must(template.ParseFS(files, "pages/docs.html"))
)

// pageInfo is a page of the console: pages/NAME.html is what it holds, and
// static/page-NAME.js fills it. Name "" is the overview.
type pageInfo struct{ Name, Title string }

// pages stand in the navigation in this order.
var pages = []pageInfo{
	{"", "Overview"}, {"alerts", "Alerts"}, {"campaigns", "Campaigns"}, {"findings", "Findings"}, {"subject", "Subject"}, {"decisions", "Decisions"},
	{"rules", "Rules"}, {"sources", "Sources"}, {"gateways", "Gateways"}, {"backtest", "Backtest"}, {"audit", "Audit"},
}

// file is the name of a page in our files.
func (p pageInfo) file() string {
	if p.Name == "" {
		return "overview"
	}
	return p.Name
}

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
	// The large ones are kept packed, and every browser unpacks them.
	if data, err := files.ReadFile("static/" + name + ".gz"); err == nil {
		w.Header().Set("Content-Encoding", "gzip")
		return serve(w, r, data, kind)
	}
	data, err := files.ReadFile("static/" + name)
	if err != nil {
		return notFound("there is no file " + telemetry.Quote(name))
	}
	return serve(w, r, data, kind)
}

// page renders a page once, since it is the same for everybody: what it shows comes by
// the API.
func (s *Server) page(p pageInfo) func(http.ResponseWriter, *http.Request) error {
	var text bytes.Buffer
	t, err := template.ParseFS(files, "pages/shell.html", "pages/parts.html", "pages/"+p.file()+".html")
	if err == nil {
		err = t.ExecuteTemplate(&text, "shell.html", struct {
			pageInfo
			File  string
			Pages []pageInfo
		}{p, p.file(), pages})
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		if err != nil {
			return fmt.Errorf("console: page %s: %w", p.file(), err)
		}
		return serve(w, r, text.Bytes(), "text/html; charset=utf-8")
	}
}

// serve answers with a file of ours. Browsers keep it but ask each time whether it is
// still the one, so that a new binary shows a new page at once.
func serve(w http.ResponseWriter, r *http.Request, data []byte, kind string) error {
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

// loginForm is what the page of the login shows.
type loginForm struct {
	Message string // what went wrong; "" = nothing yet
	Next    string // where to go on to
	Secrets bool   // whether a token or a key lets in
	OIDC    bool
}

func (s *Server) loginForm(w http.ResponseWriter, r *http.Request) error {
	next := safeNext(r.URL.Query().Get("next"))
	if who, ok := s.seated(r); ok && (who.role != Viewer || !s.cfg.NoLogin) {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return nil
	}
	return s.loginPage(w, http.StatusOK, loginForm{Next: next})
}

func (s *Server) loginPage(w http.ResponseWriter, status int, form loginForm) error {
	if form.Next == "" {
		form.Next = "/"
	}
	form.OIDC = s.provider != nil
	form.Secrets = s.auth.hasToken || s.cfg.KeysFile != "" || len(s.auth.keys.all()) > 0
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := loginTemplate.Execute(w, form); err != nil {
		s.log.Debug("console: login page", "error", err)
	}
	return nil
}

// docsPolicy is the policy of the API's page. Swagger UI writes styles into its elements
// and makes images of data, so this page may; scripts are ours only, as everywhere.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (s *Server) docsPage(w http.ResponseWriter, r *http.Request) error {
	var text bytes.Buffer
	if err := docsTemplate.Execute(&text, s.published()); err != nil {
		return fmt.Errorf("console: docs: %w", err)
	}
	w.Header().Set("Content-Security-Policy", docsPolicy)
	return serve(w, r, text.Bytes(), "text/html; charset=utf-8")
}

func (s *Server) openAPI(w http.ResponseWriter, r *http.Request) error {
	data, err := s.document()
	if err != nil {
		return err
	}
	return serve(w, r, data, "application/json")
}

// Document is the OpenAPI 3.1 document of a console.
func Document(s *Server) ([]byte, error) {
	data, err := json.MarshalIndent(describe(s.routes()), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("console: openapi: %w", err)
	}
	return append(data, '\n'), nil
}
