package openapi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// threeHundred is an API of 300 operations: 100 resources, each with a list, an object and
// a part of it.
func threeHundred(t testing.TB) (*API, []string) {
	t.Helper()
	var templates, targets []string
	for i := range 100 {
		r := fmt.Sprintf("/api/v1/resource%02d", i)
		templates = append(templates, r, r+"/{id}", r+"/{id}/parts/{part}")
		targets = append(targets, r, fmt.Sprintf("%s/%d", r, 1000+i), fmt.Sprintf("%s/%d/parts/%d", r, 1000+i, i), fmt.Sprintf("%s/%d/none", r, i))
	}
	api, _ := apiOf(t, templates)
	if len(api.Operations) != 300 {
		t.Fatalf("%d operations", len(api.Operations))
	}
	return api, targets
}

func TestFindDoesNotAllocate(t *testing.T) {
	api, targets := threeHundred(t)
	shop := opened(t, Document{File: "testdata/shop.yaml"})
	r, q := api.Reader(), shop.Reader()
	op := q.Find(0, "GET", "/live/v2/orders/1").Op
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		r.Find(0, "GET", targets[i%len(targets)])
		r.Find(0, "GET", "/api/v1/resource%30%31/%2e%2E/Resource02")
		var of ingest.API
		q.Query(op, "/?fields=id,nothing&limit=4&n%6fte=a+b&at=2026-01-02T03:04:05Z&x=1", &of)
		i++
	}); n != 0 {
		t.Errorf("%v allocations for a look-up", n)
	}
}

// BenchmarkFind looks paths of 300 operations up, and paths that are not among them, which
// are looked up with small letters too.
func BenchmarkFind(b *testing.B) {
	api, targets := threeHundred(b)
	r := api.Reader()
	for name, known := range map[string]bool{"described": true, "undocumented": false} {
		var list []string
		for _, t := range targets {
			if strings.HasSuffix(t, "/none") != known {
				list = append(list, t)
			}
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Find(0, "GET", list[i%len(list)])
			}
		})
	}
}

// BenchmarkQuery compares a query of three parameters with its operation.
func BenchmarkQuery(b *testing.B) {
	r := opened(b, Document{File: "testdata/shop.yaml"}).Reader()
	op := r.Find(0, "GET", "/live/v2/orders/1").Op
	b.ReportAllocs()
	for b.Loop() {
		var of ingest.API
		r.Query(op, "/live/v2/orders/1?fields=id,total&limit=20&note=abc", &of)
	}
}
