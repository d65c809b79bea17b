package drift

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/enrich"
	"github.com/portcullis/portcullis/ingest/openapi"
)

func shop(t *testing.T) *openapi.API {
	t.Helper()
	api, err := openapi.Open([]openapi.Document{{File: "../testdata/shop.yaml", Base: "/v2"}})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// listed writes rows as text.
func listed(r *Report) string {
	var b strings.Builder
	for _, x := range r.Rows() {
		fmt.Fprintf(&b, "%s %s %s %q %d %d %d-%d\n", x.Kind, x.Method, x.Route, x.Name, x.Requests, x.Clients, x.First, x.Last)
	}
	return b.String()
}

func TestObserve(t *testing.T) {
	api := shop(t)
	r, routes := New(api), enrich.NewRoutes(enrich.RoutesConfig{}).Describe(api)
	for i, line := range []string{
		"GET /v2/orders/7?limit=3 200", "GET /v2/orders/8?a=1&b=2&c=3&d=4&limit=x 200", "GET /v2/orders/8?a=1 200", "GET /v2/orders/8?e=1 400",
		"GET /v2/orders/x 200", "PATCH /v2/orders/7 204", "PUT /v2/orders/7 405", "DELETE /v2/orders/7 204",
		"GET /v2/shadow/17 200", "GET /v2/shadow/18 200", "GET /v2/gone 404", "GET /elsewhere 200",
	} {
		f := strings.Fields(line)
		ev := ingest.Event{Time: int64(i + 1), Client: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Method: f[0], Target: f[1]}
		if _, err := fmt.Sscan(f[2], &ev.Status); err != nil {
			t.Fatal(err)
		}
		routes.Resolve(&ev)
		r.Observe(&ev)
	}
	const want = `undocumented  /v2/shadow/{id} "" 2 2 9-10
method PATCH /v2/orders/{orderId} "" 1 1 6-6
deprecated DELETE /v2/orders/{orderId} "" 1 1 8-8
parameter GET /v2/orders/{orderId} "a" 2 2 2-3
parameter GET /v2/orders/{orderId} "b" 1 1 2-2
parameter GET /v2/orders/{orderId} "c" 1 1 2-2
parameter GET /v2/orders/{orderId} "d" 1 1 2-2
value GET /v2/orders/{orderId} "limit" 1 1 2-2
value GET /v2/orders/{orderId} "orderId" 1 1 5-5
unused POST /v2/orders "" 0 0 0-0
unused GET /v2/status "" 0 0 0-0
`
	if got := listed(r); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

// TestObserveValues: ranges and patterns count as types and lists do.
func TestObserveValues(t *testing.T) {
	name := filepath.Join(t.TempDir(), "api.yaml")
	const text = `openapi: 3.0.3
info: {title: a, version: '1'}
paths:
  /orders/{code}:
    get:
      parameters:
        - {name: code, in: path, required: true, schema: {type: string, pattern: '^[A-Z]{2}-[0-9]+$'}}
        - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 100}}
      responses: {default: {description: x}}
`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	api, err := openapi.Open([]openapi.Document{{File: name}})
	if err != nil {
		t.Fatal(err)
	}
	r, routes := New(api), enrich.NewRoutes(enrich.RoutesConfig{}).Describe(api)
	for i, target := range []string{"/orders/DE-1?limit=100", "/orders/DE-1?limit=101", "/orders/de-1?limit=0", "/orders/DE-1?limit=5"} {
		ev := ingest.Event{Time: int64(i + 1), Client: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Method: "GET", Target: target, Status: 200}
		routes.Resolve(&ev)
		r.Observe(&ev)
	}
	const want = `value GET /orders/{code} "limit" 2 2 2-3
value GET /orders/{code} "code" 1 1 3-3
`
	if got := listed(r); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func TestStored(t *testing.T) {
	r := New(shop(t))
	r.Stored("/v2/orders/{orderId}", 9, 9, 60, 120)
	r.Stored("/v2/shadow/{id}", 5, 4, 60, 120)
	r.Stored("/v2/shadow/{id}", 5, 1, 120, 180)
	r.Stored("/v2/gone", 5, 0, 60, 120)
	r.Stored("/v2/status", 0, 0, 60, 120)
	r.Stored("{other}", 5, 5, 60, 120)
	const want = `undocumented  /v2/shadow/{id} "" 5 0 60-180
unused POST /v2/orders "" 0 0 0-0
unused GET /v2/status "" 0 0 0-0
`
	if got := listed(r); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}
