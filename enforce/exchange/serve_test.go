package exchange

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

func served(t *testing.T, n int) (*books, http.Handler) {
	t.Helper()
	b := newBooks(false)
	var want []enforce.Entry
	for i := range n {
		b.at = b.at.Add(time.Second)
		want = append(want, b.decide(fmt.Sprintf("d%04d", i), fmt.Sprintf("192.0.%d.%d/32", i>>8, i&255), enforce.Block, time.Hour))
	}
	b.apply(t, want...)
	b.SetForeign([]Entry{{Prefix: netip.MustParsePrefix("203.0.113.0/24"), List: "bad", Expires: b.at.Add(time.Hour).UnixNano()}})
	return b, Handler(b.Book, func() []string { return []string{"bad: by\nExample, CC0"} })
}

func get(h http.Handler, path string, more ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(more); i += 2 {
		r.Header.Set(more[i], more[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestServeLists(t *testing.T) {
	b, h := served(t, 2)
	w := get(h, "/lists/blocked.txt")
	if w.Body.String() != "192.0.0.0\n192.0.0.1\n" {
		t.Errorf("%q", w.Body)
	}
	if got := get(h, "/lists/blocked.txt", "If-None-Match", w.Header().Get("ETag")); got.Code != 304 {
		t.Errorf("unchanged: %d", got.Code)
	}
	if got := get(h, "/lists/blocked.txt?foreign=1").Body.String(); got != "# bad: by Example, CC0\n203.0.113.0/24\n192.0.0.0\n192.0.0.1\n" {
		t.Errorf("%q", got)
	}
	var doc struct {
		Entries []entryJSON `json:"entries"`
	}
	if err := json.Unmarshal(get(h, "/lists/blocked.json").Body.Bytes(), &doc); err != nil || len(doc.Entries) != 2 || doc.Entries[0].Rule != "auth-burst" || doc.Entries[0].Value != "192.0.0.0" {
		t.Errorf("%+v %v", doc, err)
	}
	b.apply(t)
	if got := get(h, "/lists/blocked.txt", "If-None-Match", w.Header().Get("ETag")); got.Code != 200 || got.Body.Len() != 0 {
		t.Errorf("changed: %d %q", got.Code, got.Body)
	}
	if got := get(Handler(newBooks(false).Book, nil), "/lists/blocked.txt"); got.Code != 503 {
		t.Errorf("no list yet: %d: an empty one would release everybody", got.Code)
	}
}

// TestStixBack: what is served as STIX is read back as the same list.
func TestStixBack(t *testing.T) {
	b, h := served(t, 3)
	more := b.decide("d9", "2001:db8:1::/48", enforce.Block, time.Hour)
	b.apply(t, more)
	body := get(h, "/lists/blocked.stix").Body.String()
	list, bad, err := parse(strings.NewReader(body), formatSTIX, "", 10)
	if err != nil || bad != 0 || len(list) != 1 || list[0].prefix.String() != "2001:db8:1::/48" || !list[0].until.Equal(b.at.Add(time.Hour)) {
		t.Errorf("%v %d %v: %s", list, bad, err, body)
	}
}

// TestTaxii: a reader that follows next and added_after gets everything once.
func TestTaxii(t *testing.T) {
	b, h := served(t, 25)
	const at = "/taxii2/portcullis/collections/blocked/"
	var root struct {
		Roots []string `json:"api_roots"`
	}
	if err := json.Unmarshal(get(h, "/taxii2/").Body.Bytes(), &root); err != nil || len(root.Roots) != 1 || get(h, root.Roots[0]).Code != 200 || get(h, root.Roots[0]+"collections/").Code != 200 || get(h, at).Code != 200 {
		t.Errorf("discovery: %+v %v", root, err)
	}
	type doc struct {
		More    bool
		Next    string
		Objects []indicator
	}
	seen, query, last := map[string]int{}, "", ""
	for pages := 0; ; pages++ {
		w := get(h, at+"objects/?limit=10"+query, "Accept", taxiiType)
		var d doc
		if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Header().Get("Content-Type") != taxiiType {
			t.Fatal(err, w.Header())
		}
		for _, o := range d.Objects {
			seen[o.Pattern]++
		}
		last, query = w.Header().Get("X-TAXII-Date-Added-Last"), "&next="+d.Next
		if !d.More {
			if pages != 2 {
				t.Errorf("%d pages", pages+1)
			}
			break
		}
	}
	if len(seen) != 25 {
		t.Errorf("%d objects", len(seen))
	}
	b.at = b.at.Add(time.Minute)
	more := b.decide("new", "198.51.100.0/24", enforce.Block, time.Hour)
	b.apply(t, more)
	var d doc
	if err := json.Unmarshal(get(h, at+"objects/?added_after="+last).Body.Bytes(), &d); err != nil || len(d.Objects) != 1 || d.Objects[0].Pattern != "[ipv4-addr:value ISSUBSET '198.51.100.0/24']" {
		t.Fatalf("added after: %+v %v", d, err)
	}
	id := d.Objects[0].ID
	for path, want := range map[string]int{
		at + "objects/" + id + "/": 200, at + "objects/indicator--0/": 404, at + "manifest/": 200, at + "objects/?added_after=yesterday": 400,
		at + "objects/?limit=0": 400, at + "objects/?next=!": 400, "/taxii2/other/": 404,
	} {
		if got := get(h, path).Code; got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if got := get(h, at+"objects/", "Accept", "application/vnd.oasis.stix+json").Code; got != 406 {
		t.Errorf("another media type: %d", got)
	}
	if got := get(h, at+"objects/?match[type]=malware").Body.String(); got != "{}\n" {
		t.Errorf("another type: %q", got)
	}
}
