package exchange

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// taxiiType is the media type of TAXII 2.1 (section 1.6.8 of the standard).
const (
	taxiiType = "application/taxii+json;version=2.1"
	apiRoot   = "/taxii2/portcullis/"
	pageMost  = 1000
)

var collectionID = uuidOf("collection", "blocked")

// taxiiError is an error message (section 3.6.1).
type taxiiError struct {
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	Status      string `json:"http_status"`
}

// taxiiRefuse answers with an error.
func taxiiRefuse(w http.ResponseWriter, status int, why string) {
	reply(w, taxiiType, status, taxiiError{http.StatusText(status), why, strconv.Itoa(status)})
}

// collectionObject is the one collection (section 5.2.1).
var collectionObject = map[string]any{
	"id": collectionID, "title": "blocked", "alias": "blocked", "description": "Addresses that Portcullis blocks now, as indicators.",
	"can_read": true, "can_write": false, "media_types": []string{"application/stix+json;version=2.1"},
}

func (s *server) taxii(mux *http.ServeMux) {
	fixed := func(path string, doc any) {
		mux.HandleFunc("GET "+path+"{$}", func(w http.ResponseWriter, r *http.Request) {
			if acceptable(w, r) {
				reply(w, taxiiType, http.StatusOK, doc)
			}
		})
	}
	fixed("/taxii2/", map[string]any{"title": "Portcullis", "default": apiRoot, "api_roots": []string{apiRoot}})
	fixed(apiRoot, map[string]any{"title": "Portcullis", "versions": []string{taxiiType}, "max_content_length": 1})
	fixed(apiRoot+"collections/", map[string]any{"collections": []any{collectionObject}})
	for _, id := range []string{collectionID, "blocked"} {
		at := apiRoot + "collections/" + id + "/"
		fixed(at, collectionObject)
		mux.HandleFunc("GET "+at+"objects/{$}", s.objects)
		mux.HandleFunc("GET "+at+"objects/{object}/{$}", s.objects)
		mux.HandleFunc("GET "+at+"manifest/{$}", s.manifest)
	}
	mux.HandleFunc("/taxii2/", func(w http.ResponseWriter, r *http.Request) {
		taxiiRefuse(w, http.StatusNotFound, "there is nothing here: the discovery is at /taxii2/")
	})
}

// acceptable looks at what media types the reader takes (section 1.6.8.1).
func acceptable(w http.ResponseWriter, r *http.Request) bool {
	accept := r.Header.Get("Accept")
	for one := range strings.SplitSeq(accept, ",") {
		kind, params, _ := strings.Cut(strings.ReplaceAll(one, " ", ""), ";")
		if kind == "*/*" || kind == "application/*" || kind == "" && accept == "" ||
			kind == "application/taxii+json" && (!strings.Contains(params, "version=") || strings.Contains(params, "version=2.1")) {
			return true
		}
	}
	taxiiRefuse(w, http.StatusNotAcceptable, "answers are "+taxiiType)
	return false
}

// page is a part of the collection.
type page struct {
	items []*Item
	more  bool
	next  string
}

// place is where a page ended: nothing can come in before it, since items are sorted by
// when they were added.
type place struct {
	Since int64  `json:"s"`
	Key   string `json:"k"`
}

// pageOf reads the filters of a request (sections 3.4 and 3.5). It answers where they are
// wrong.
func (s *server) pageOf(w http.ResponseWriter, r *http.Request) (p page, ok bool) {
	if !acceptable(w, r) {
		return p, false
	}
	if !s.book.Ready() {
		w.Header().Set("Retry-After", "5")
		taxiiRefuse(w, http.StatusServiceUnavailable, "there is no list yet")
		return p, false
	}
	q := r.URL.Query()
	f, err := filterOf(q, r.PathValue("object"))
	if err != nil {
		taxiiRefuse(w, http.StatusBadRequest, err.Error())
		return p, false
	}
	all, _ := s.book.All()
	for _, it := range all {
		if it.List != "" || it.Action != enforce.Block || !f.fits(it) {
			continue
		}
		if len(p.items) == f.limit {
			last := p.items[len(p.items)-1]
			raw, _ := json.Marshal(place{last.Since, last.Key}) // a number and a string
			p.more, p.next = true, base64.RawURLEncoding.EncodeToString(raw)
			break
		}
		p.items = append(p.items, it)
	}
	if len(p.items) > 0 {
		w.Header().Set("X-TAXII-Date-Added-First", stixOf(p.items[0].Since))
		w.Header().Set("X-TAXII-Date-Added-Last", stixOf(p.items[len(p.items)-1].Since))
	}
	return p, true
}

type filter struct {
	after int64 // added later than this
	from  place
	limit int
	ids   []string
	none  bool // another type or version is asked for
}

func filterOf(q url.Values, object string) (f filter, err error) {
	f.limit = pageMost
	if v := q.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return f, fmt.Errorf("limit: want a number above 0")
		}
		f.limit = min(n, pageMost)
	}
	if v := q.Get("added_after"); v != "" {
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return f, fmt.Errorf("added_after: want a time such as 2026-05-04T12:00:00.000Z")
		}
		f.after = t.UnixNano()
	}
	if v := q.Get("next"); v != "" {
		raw, err := base64.RawURLEncoding.DecodeString(v)
		if err != nil || json.Unmarshal(raw, &f.from) != nil {
			return f, fmt.Errorf("next: is none that was given here")
		}
	}
	if object != "" {
		f.ids = []string{object}
	} else if v := q.Get("match[id]"); v != "" {
		f.ids = strings.Split(v, ",")
	}
	kinds, spec := q.Get("match[type]"), q.Get("match[spec_version]")
	f.none = kinds != "" && !slices.Contains(strings.Split(kinds, ","), "indicator") ||
		spec != "" && !slices.Contains(strings.Split(spec, ","), "2.1")
	return f, nil
}

func (f *filter) fits(it *Item) bool {
	switch {
	case f.none, it.Since/1e6 <= f.after/1e6 && f.after != 0: // what is told has milliseconds
		return false
	case it.Since < f.from.Since, it.Since == f.from.Since && it.Key <= f.from.Key:
		return false
	}
	return f.ids == nil || slices.Contains(f.ids, "indicator--"+it.UUID())
}

// envelope is what objects come in (section 3.7).
type envelope struct {
	More    bool   `json:"more,omitempty"`
	Next    string `json:"next,omitempty"`
	Objects []any  `json:"objects,omitempty"`
}

func (s *server) objects(w http.ResponseWriter, r *http.Request) {
	p, ok := s.pageOf(w, r)
	if !ok {
		return
	}
	if r.PathValue("object") != "" && len(p.items) == 0 {
		taxiiRefuse(w, http.StatusNotFound, "there is no such object, or not any more")
		return
	}
	e := envelope{More: p.more, Next: p.next}
	for _, it := range p.items {
		e.Objects = append(e.Objects, indicatorOf(it))
	}
	reply(w, taxiiType, http.StatusOK, e)
}

// manifestRecord is section 5.3.1.
type manifestRecord struct {
	ID        string `json:"id"`
	DateAdded string `json:"date_added"`
	Version   string `json:"version"`
	MediaType string `json:"media_type"`
}

func (s *server) manifest(w http.ResponseWriter, r *http.Request) {
	p, ok := s.pageOf(w, r)
	if !ok {
		return
	}
	e := envelope{More: p.more, Next: p.next}
	for _, it := range p.items {
		e.Objects = append(e.Objects, manifestRecord{"indicator--" + it.UUID(), stixOf(it.Since), stixOf(it.Since), "application/stix+json;version=2.1"})
	}
	reply(w, taxiiType, http.StatusOK, e)
}
