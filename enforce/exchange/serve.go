package exchange

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// Handler serves the book:
//
//	/lists/blocked.txt    an address or prefix a line
//	/lists/blocked.json   with what each is for, and until when
//	/lists/blocked.stix   a STIX 2.1 bundle
//	/taxii2/              a TAXII 2.1 server with one collection of it
//
// Who may ask is the caller's to decide. Lists of others are left out unless ?foreign=1
// asks for them: their licence may not let them be handed on. credits are shown then.
func Handler(b *Book, credits func() []string) http.Handler {
	s := &server{book: b, credits: credits}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /lists/blocked.txt", s.text)
	mux.HandleFunc("GET /lists/blocked.json", s.json)
	mux.HandleFunc("GET /lists/blocked.stix", s.stix)
	s.taxii(mux)
	return mux
}

type server struct {
	book    *Book
	credits func() []string
}

// blocked returns what is blocked, and answers for a reader that has it already.
func (s *server) blocked(w http.ResponseWriter, r *http.Request) (items []*Item, same bool) {
	if !s.book.Ready() {
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, "there is no list yet: the enforcer has not given one")
		return nil, true
	}
	all, seq := s.book.All()
	foreign := r.URL.Query().Get("foreign") == "1"
	tag := fmt.Sprintf(`"%x-%t-%d"`, started, foreign, seq)
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "no-cache")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil, true
	}
	for _, it := range all {
		if it.Action == enforce.Block && (foreign || it.List == "") {
			items = append(items, it)
		}
	}
	return items, false
}

// started tells the lists of two runs apart, whose numbers both begin at one.
var started = time.Now().UnixNano()

// text writes one address or prefix a line.
func (s *server) text(w http.ResponseWriter, r *http.Request) {
	items, same := s.blocked(w, r)
	if same {
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out := bufio.NewWriter(w)
	if r.URL.Query().Get("foreign") == "1" {
		for _, c := range s.credits() {
			fmt.Fprintf(out, "# %s\n", oneLine(c))
		}
	}
	var line []byte
	for _, it := range items {
		line = append(appendPrefix(line[:0], it.Prefix), '\n')
		_, _ = out.Write(line) // Flush tells
	}
	_ = out.Flush() // the reader hung up: nobody is left to tell
}

func appendPrefix(b []byte, p netip.Prefix) []byte {
	if p.IsSingleIP() {
		return p.Addr().AppendTo(b)
	}
	return p.AppendTo(b)
}

// oneLine keeps what an operator wrote on one line.
func oneLine(s string) string {
	out := []rune(s)
	for i, r := range out {
		if r < ' ' || r == 0x7f {
			out[i] = ' '
		}
	}
	return string(out[:min(len(out), 400)])
}

// entryJSON is an item as /lists/blocked.json has it.
type entryJSON struct {
	Value   string `json:"value"`
	Action  string `json:"action"`
	ID      string `json:"id"`
	Rule    string `json:"rule,omitempty"`
	List    string `json:"list,omitempty"`
	Since   string `json:"since"`
	Expires string `json:"expires"`
}

func (s *server) json(w http.ResponseWriter, r *http.Request) {
	items, same := s.blocked(w, r)
	if same {
		return
	}
	doc := struct {
		Generated string      `json:"generated"`
		Credits   []string    `json:"attribution,omitempty"`
		Entries   []entryJSON `json:"entries"`
	}{Generated: detect.FormatTime(s.book.now().UnixNano()), Entries: make([]entryJSON, 0, len(items))}
	if r.URL.Query().Get("foreign") == "1" {
		doc.Credits = s.credits()
	}
	for _, it := range items {
		doc.Entries = append(doc.Entries, entryJSON{
			Value: string(appendPrefix(nil, it.Prefix)), Action: string(it.Action), ID: it.UUID(), Rule: it.Rule, List: it.List,
			Since: detect.FormatTime(it.Since), Expires: detect.FormatTime(it.Expires),
		})
	}
	reply(w, "application/json", http.StatusOK, doc)
}

func (s *server) stix(w http.ResponseWriter, r *http.Request) {
	items, same := s.blocked(w, r)
	if same {
		return
	}
	objects := make([]any, 0, len(items)+1)
	objects = append(objects, we)
	for _, it := range items {
		objects = append(objects, indicatorOf(it))
	}
	reply(w, "application/stix+json;version=2.1", http.StatusOK, struct {
		Type    string `json:"type"`
		ID      string `json:"id"`
		Objects []any  `json:"objects"`
	}{"bundle", "bundle--" + uuidOf("bundle", strconv.FormatInt(s.book.now().UnixNano(), 10)), objects})
}

func reply(w http.ResponseWriter, kind string, status int, doc any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(doc) // the reader hung up: nobody is left to tell
}

// refuse answers with a problem (RFC 9457).
func refuse(w http.ResponseWriter, status int, detail string) {
	reply(w, "application/problem+json", status, struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{"about:blank", http.StatusText(status), status, detail})
}
