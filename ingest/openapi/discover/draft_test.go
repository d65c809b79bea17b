package discover

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/enrich"
	"github.com/portcullis/portcullis/ingest/openapi"
	"github.com/portcullis/portcullis/ingest/openapi/drift"
)

// log is a log of a test, whose requests are resolved as they come.
type log struct {
	routes *enrich.Routes
	events []ingest.Event
}

// say adds "CLIENT METHOD TARGET STATUS".
func (l *log) say(form string, args ...any) *ingest.Event {
	f := strings.Fields(fmt.Sprintf(form, args...))
	ev := ingest.Event{Method: f[1], Target: f[2]}
	n := 0
	_, _ = fmt.Sscan(f[0], &n)
	_, _ = fmt.Sscan(f[3], &ev.Status)
	ev.Client = netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)})
	if l.routes == nil {
		l.routes = enrich.NewRoutes(enrich.RoutesConfig{})
	}
	l.routes.Resolve(&ev)
	l.events = append(l.events, ev)
	return &l.events[len(l.events)-1]
}

func (l *log) draft(t testing.TB, o Options) (string, Left) {
	t.Helper()
	d := New(o)
	for i := range l.events {
		d.Observe(&l.events[i])
	}
	text, left, err := d.Document()
	if err != nil {
		t.Fatal(err)
	}
	return string(text), left
}

// valid reads a document as others do.
func valid(t testing.TB, text string) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if err := doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return doc
}

// TestTypes: what values look like becomes their type; what all had is required.
func TestTypes(t *testing.T) {
	l := &log{}
	for i := range 120 {
		l.say("%d GET /api/orders/%d?page=%d&ratio=%d.5&on=true&day=2026-05-%02d&at=2026-05-04T10:00:00Z&ref=0b1e7a52-1111-4222-8333-94445555%04d&text=w%d&id=1&id=2&some=&zip=0%d 200", i%7, i, i, i, 1+i%28, i, i, i)
		if i%2 == 0 {
			l.say("%d POST /api/orders?half=1 201", i%7).Token = "t"
		}
	}
	l.say("1 GET /api/orders/1?page=2 404")
	text, left := l.draft(t, Options{5, 10})
	doc := valid(t, text)
	op := doc.Paths.Value("/api/orders/{id}").Get
	want := map[string]string{"page": "integer", "ratio": "number", "on": "boolean", "day": "string date", "at": "string date-time", "ref": "string uuid", "text": "string", "id": "array", "some": "string", "zip": "string"}
	for _, p := range op.Parameters {
		s := p.Value.Schema.Value
		got := strings.TrimSpace(strings.Join(s.Type.Slice(), ",") + " " + s.Format)
		if got != want[p.Value.Name] || !p.Value.Required || p.Value.AllowEmptyValue != (p.Value.Name == "some") {
			t.Errorf("%s: %q, required %v", p.Value.Name, got, p.Value.Required)
		}
		delete(want, p.Value.Name)
	}
	if len(want) > 0 || left.Few != 0 {
		t.Errorf("missing %v; left out %+v", want, left)
	}
	if in := doc.Paths.Value("/api/orders/{id}").Parameters[0].Value; !in.Schema.Value.Type.Is("integer") || op.Responses.Value("404") == nil {
		t.Errorf("%+v %+v", in, op.Responses)
	}
	post := doc.Paths.Value("/api/orders").Post
	if post.RequestBody == nil || fmt.Sprint(*post.Security) != "[map[token:[]]]" || op.Security != nil {
		t.Errorf("%+v, %v", post, op.Security)
	}
}

// TestTooFew: what few used is not in the document, whatever they tried.
func TestTooFew(t *testing.T) {
	l := &log{}
	for i := range 100 {
		l.say("%d GET /api/items?page=%d&mine=%d 200", i%9, i, i)
		l.say("77 GET /api/words/guess%c%c 200", 'a'+i/26, 'a'+i%26) // a scanner, answered with success
		l.say("78 GET /secret-%c%c 404", 'a'+i/26, 'a'+i%26)
		l.say("%d GET /rare 200", i%3)
		l.say("1 GET /api/items?only%c%c=1 200", 'a'+i/26, 'a'+i%26)
		l.say("%d GET /api/items?eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx=1&9f86d081884c7d65=1 200", i%9)
	}
	text, left := l.draft(t, Options{5, 10})
	doc := valid(t, text)
	if doc.Paths.Len() != 1 || len(doc.Paths.Value("/api/items").Get.Parameters) != 2 {
		t.Errorf("%s", text)
	}
	for _, word := range []string{"guess", "secret", "rare", "only", "eyJ", "9f86"} {
		if strings.Contains(text, word) {
			t.Errorf("%q is in the document", word)
		}
	}
	if left.Few != 101 || left.Requests != 100 || left.Names == 0 || left.Collapsed != 0 {
		t.Errorf("%+v", left)
	}
}

// TestWordsThatAreValues: names of people, which look like words, become a parameter where
// most of them are seldom asked for; the routes of an API, of which there are many too, stay.
func TestWordsThatAreValues(t *testing.T) {
	l := &log{}
	for i := range 60 {
		who := string(rune('a'+i/26)) + "lice" + string(rune('a'+i%26))
		l.say("%d GET /users/%s 200", i, who)
		l.say("%d GET /users/%s/orders 200", i, who)
		for _, word := range []string{"carts", "coupons", "items", "labels", "lists", "notes", "offers", "pages", "plans", "rates", "stores", "tags", "teams", "units"} {
			l.say("%d GET /%s 200", i, word)
		}
	}
	for i := range 40 {
		l.say("%d GET /users/famous 200", i)
	}
	text, left := l.draft(t, Options{5, 10})
	doc := valid(t, text)
	if doc.Paths.Value("/users/{name}") == nil || doc.Paths.Value("/users/{name}/orders") == nil || doc.Paths.Value("/carts") == nil || doc.Paths.Len() != 16 ||
		strings.Contains(text, "lice") || strings.Contains(text, "famous") || left.Collapsed != 61 {
		t.Errorf("%+v\n%s", left, text)
	}
}

// tokens are requests whose every value is a word of its own.
func tokens(r *rand.Rand, n int) (*log, []string) {
	l, values := &log{}, []string(nil)
	token := func() string {
		word := make([]byte, 9)
		for i := range word {
			word[i] = "bcdfghjkmpqrstvwxz"[r.IntN(18)]
		}
		values = append(values, string(word))
		return string(word)
	}
	for i := range n {
		ev := l.say("%d GET /api/people/%s/files/%d?q=%s&sort=%s 200", i%30, token(), r.IntN(1000), token(), token())
		ev.User, ev.Key, ev.Session, ev.Agent, ev.Referer, ev.Host = token(), token(), token(), token(), token(), token()
		l.say("%d POST /api/login?next=%%2F%s 302", i%30, token())
	}
	return l, values
}

// TestNoValue: no value of any part of any request is in the document, nor is one of the
// names that were left out.
func TestNoValue(t *testing.T) {
	l, values := tokens(rand.New(rand.NewPCG(5, 6)), 400)
	text, _ := l.draft(t, Options{5, 10})
	if doc := valid(t, text); doc.Paths.Value("/api/people/{name}/files/{id}") == nil || doc.Paths.Value("/api/login") == nil {
		t.Fatalf("%s", text)
	}
	for _, v := range values {
		if strings.Contains(text, v) {
			t.Errorf("%q is in the document", v)
		}
	}
}

// TestRoundTrip: the same log, held against its own draft, departs from it in nothing.
func TestRoundTrip(t *testing.T) {
	l, _ := tokens(rand.New(rand.NewPCG(7, 8)), 300)
	for i := range 200 {
		l.say("%d PUT /api/orders/%d?dry=%v 200", i%20, i, i%2 == 0)
		l.say("%d GET /api/orders?page=%d&tag=a&tag=b 200", i%20, i)
		l.say("%d DELETE /api/orders/%d 204", i%20, i)
	}
	text, _ := l.draft(t, Options{5, 10})
	name := t.TempDir() + "/draft.json"
	write(t, name, text)
	api, err := openapi.Open([]openapi.Document{{File: name}})
	if err != nil || len(api.Warnings) > 0 {
		t.Fatal(err, api)
	}
	r, routes := drift.New(api), enrich.NewRoutes(enrich.RoutesConfig{}).Describe(api)
	for i := range l.events {
		routes.Resolve(&l.events[i])
		r.Observe(&l.events[i])
	}
	for _, row := range r.Rows() {
		t.Errorf("%+v", row)
	}
}

// TestSame: the same requests give the same document.
func TestSame(t *testing.T) {
	l, _ := tokens(rand.New(rand.NewPCG(9, 10)), 200)
	first, left := l.draft(t, Options{3, 3})
	for range 5 {
		if text, again := l.draft(t, Options{3, 3}); text != first || again != left {
			t.Fatal("the same log gives two documents")
		}
	}
}

// FuzzDraft: whatever was asked, the draft is a valid document, and no client alone gets a
// word into it.
func FuzzDraft(f *testing.F) {
	f.Add([]byte("GET /a/b?x=1&y=2\nGET /a/1\nPOST /a/{id}?{x}=%41\n"), byte(3))
	f.Add([]byte("GET /users/alice/{rest}\nGET //a/../b;c?a[b]=1&a[b]=2#x\nHEAD /%7Bid%7D/x\n"), byte(1))
	f.Fuzz(func(t *testing.T, data []byte, clients byte) {
		l := &log{routes: enrich.NewRoutes(enrich.RoutesConfig{})}
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			method, target, ok := strings.Cut(string(line), " ")
			if !ok || len(l.events) > 300 {
				continue
			}
			for c := range int(clients%6) + 1 {
				ev := ingest.Event{Method: method, Target: target, Status: 200, Client: netip.AddrFrom4([4]byte{192, 0, 2, byte(c)})}
				l.routes.Resolve(&ev)
				l.events = append(l.events, ev)
			}
		}
		text, _ := l.draft(t, Options{5, 5})
		doc := valid(t, text)
		if clients%6 < 4 && doc.Paths.Len() > 0 && clients%6 == 0 {
			t.Errorf("one client wrote %s", text)
		}
	})
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
