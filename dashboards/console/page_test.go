package console_test

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/dashboards/console"
)

// load is all that a browser fetches of ours for a page: the document, and what it and its
// modules name.
func load(t *testing.T, h *house, path string) (files map[string]string, bytes int) {
	t.Helper()
	files = map[string]string{}
	next := []string{path}
	for len(next) > 0 {
		name := next[0]
		next = next[1:]
		if _, seen := files[name]; seen {
			continue
		}
		a := h.do("GET", name, "")
		if a.status != http.StatusOK {
			t.Fatalf("%s: %d", name, a.status)
		}
		files[name] = a.body
		bytes += len(a.body)
		for _, m := range regexp.MustCompile(`(?:src|href)="(/static/[^"]+)"|from "\./([^"]+)"`).FindAllStringSubmatch(a.body, -1) {
			if m[2] != "" {
				m[1] = "/static/" + m[2]
			}
			next = append(next, m[1])
		}
	}
	return files, bytes
}

func TestPagesAreSmallAndOurOwn(t *testing.T) {
	h := open(t, console.Config{})
	for _, rt := range h.server.Routes() {
		if !rt.Page || !rt.Private || rt.Pattern == "/docs" {
			continue
		}
		path := strings.TrimSuffix(rt.Pattern, "{$}")
		files, bytes := load(t, h, path)
		if bytes > 200_000 {
			t.Errorf("%s: the first load has %d bytes, at most 200 000", path, bytes)
		}
		t.Logf("%s: %d bytes in %d files", path, bytes, len(files))
		for _, bad := range []string{"<script>", " style=", " onclick=", "javascript:", "http://", "https://"} {
			if strings.Contains(files[path], bad) {
				t.Errorf("%s holds %q", path, bad)
			}
		}
		for name, body := range files {
			for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "@import", "//cdn"} {
				if strings.Contains(body, bad) {
					t.Errorf("%s holds %q", name, bad)
				}
			}
			for _, url := range regexp.MustCompile(`https?://[^"' )]+`).FindAllString(body, -1) {
				if url != "http://www.w3.org/2000/svg" {
					t.Errorf("%s names %s", name, url)
				}
			}
		}
	}
}

// TestEveryFileIsUsed finds files that no page loads any more.
func TestEveryFileIsUsed(t *testing.T) {
	h := open(t, console.Config{})
	used := map[string]bool{}
	for _, rt := range h.server.Routes() {
		if rt.Page && rt.Private {
			files, _ := load(t, h, strings.TrimSuffix(rt.Pattern, "{$}"))
			for name := range files {
				used[name] = true
			}
		}
	}
	files, err := filepath.Glob("static/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".gz")
		if !used["/static/"+name] && !strings.HasSuffix(name, ".txt") {
			t.Errorf("nothing loads %s", name)
		}
	}
}

func TestStaticFilesAreRevalidated(t *testing.T) {
	h := open(t, console.Config{})
	a := h.do("GET", "/static/shell.js", "")
	etag := a.header.Get("ETag")
	if etag == "" || a.header.Get("Cache-Control") != "no-cache" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/javascript") {
		t.Errorf("headers: %v", a.header)
	}
	if b := h.do("GET", "/static/shell.js", "", header("If-None-Match", etag)); b.status != http.StatusNotModified || b.body != "" {
		t.Errorf("again: %d with %d bytes", b.status, len(b.body))
	}
	if kind := h.do("GET", "/static/swagger-ui.js", "").header; kind.Get("Content-Encoding") != "" || !strings.HasPrefix(kind.Get("Content-Type"), "text/javascript") {
		// Go's client unpacks it, and takes the header away.
		t.Errorf("the packed file: %v", kind)
	}
}
