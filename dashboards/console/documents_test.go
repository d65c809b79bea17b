package console_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/dashboards/console"
)

// TestDocuments: the API's documents are for those who are let in, and for nobody else.
func TestDocuments(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	shop, old := write("shop.yaml", "openapi: 3.1.0\n# of the shop\n"), write("old.json", `{"openapi":"3.0.3","x":"of old"}`)
	h, secrets := keyed(t, console.Config{Documents: []console.Published{{Name: "shop", File: shop}, {Name: "old", File: old}}})
	for _, path := range []string{"/api/v1/documents", "/api/v1/documents/shop", "/api/v1/documents/old", "/api/v1/documents/none"} {
		a := h.do("GET", path, "")
		if a.status != http.StatusUnauthorized || strings.Contains(a.body, "shop") || strings.Contains(a.body, "of old") {
			t.Errorf("%s without a login: %d %s", path, a.status, a.body)
		}
	}
	if a := h.do("GET", "/docs?document=shop", ""); a.status != http.StatusSeeOther || strings.Contains(a.body, "shop.yaml") {
		t.Errorf("the page without a login: %d", a.status)
	}
	viewer := bearer(secrets["viewer"])
	for _, x := range []struct {
		path, kind, part string
		status           int
	}{
		{"/api/v1/documents", "application/json", `{"documents":["shop","old"]}`, 200},
		{"/api/v1/documents/shop", "application/yaml", "# of the shop", 200},
		{"/api/v1/documents/old", "application/json", "of old", 200},
		{"/api/v1/documents/none", "application/problem+json", "no document has this name", 404},
		{"/api/v1/documents/..%2f..%2fetc%2fpasswd", "application/problem+json", "no document has this name", 404},
		{"/docs", "text/html; charset=utf-8", `href="/docs?document=shop"`, 200},
	} {
		if a := h.do("GET", x.path, "", viewer); a.status != x.status || a.header.Get("Content-Type") != x.kind || !strings.Contains(a.body, x.part) {
			t.Errorf("%s: %d %s %.200s", x.path, a.status, a.header.Get("Content-Type"), a.body)
		}
	}
	write("shop.yaml", "openapi: 3.1.0\n# a newer one\n")
	if a := h.do("GET", "/api/v1/documents/shop", "", viewer); !strings.Contains(a.body, "a newer one") {
		t.Errorf("a changed file is not shown: %s", a.body)
	}
	if err := os.Remove(shop); err != nil {
		t.Fatal(err)
	}
	if a := h.do("GET", "/api/v1/documents/shop", "", viewer); a.status != 404 || strings.Contains(a.body, dir) {
		t.Errorf("a file that is gone: %d %s", a.status, a.body)
	}
}

// TestDocumentSettings: what is wrong with the entries is told before somebody needs them.
func TestDocumentSettings(t *testing.T) {
	for _, x := range []struct {
		list []console.Published
		want string
	}{
		{[]console.Published{{Name: "a b", File: "x"}}, "documents[0].name"},
		{[]console.Published{{Name: "a", File: ""}}, "documents[0].file"},
		{[]console.Published{{Name: "a", File: "x"}, {Name: "a", File: "x"}}, "another document"},
		{[]console.Published{{Name: "a", File: "/none/such"}}, `documents: "a": open /none/such`},
		{[]console.Published{{Name: "a", File: "/dev/null"}}, "no regular file"},
	} {
		if err := (console.Config{Documents: x.list}).Usable(); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v: %v", x.list, err)
		}
	}
}
