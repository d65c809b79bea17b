package console_test

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/dashboards/console"
)

func TestPageIsSmallAndOurOwn(t *testing.T) {
	h := open(t, console.Config{})
	index := h.do("GET", "/", "")
	if index.status != http.StatusOK || !strings.HasPrefix(index.header.Get("Content-Type"), "text/html") {
		t.Fatalf("/: %d %s", index.status, index.header.Get("Content-Type"))
	}
	for _, bad := range []string{"<script>", " style=", " onclick=", "javascript:", "http://", "https://"} {
		if strings.Contains(index.body, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	first := len(index.body)
	files, err := filepath.Glob("static/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasSuffix(name, ".html") {
			continue
		}
		a := h.do("GET", "/static/"+name, "")
		if a.status != http.StatusOK {
			t.Errorf("%s: %d", name, a.status)
		}
		first += len(a.body)
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "@import", "//cdn"} {
			if strings.Contains(a.body, bad) {
				t.Errorf("%s holds %q", name, bad)
			}
		}
		for _, url := range regexp.MustCompile(`https?://[^"' )]+`).FindAllString(a.body, -1) {
			if url != "http://www.w3.org/2000/svg" {
				t.Errorf("%s names %s", name, url)
			}
		}
	}
	if first > 200_000 {
		t.Errorf("the first load has %d bytes, at most 200 000", first)
	}
	t.Logf("first load: %d bytes", first)
}

func TestStaticFilesAreRevalidated(t *testing.T) {
	h := open(t, console.Config{})
	a := h.do("GET", "/static/app.js", "")
	etag := a.header.Get("ETag")
	if etag == "" || a.header.Get("Cache-Control") != "no-cache" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/javascript") {
		t.Errorf("headers: %v", a.header)
	}
	if b := h.do("GET", "/static/app.js", "", header("If-None-Match", etag)); b.status != http.StatusNotModified || b.body != "" {
		t.Errorf("again: %d with %d bytes", b.status, len(b.body))
	}
}
