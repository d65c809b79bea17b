package detect_test

import (
	"testing"

	"github.com/portcullis/portcullis/detect"
)

func TestLeakedName(t *testing.T) {
	for target, want := range map[string]string{
		"/v1/orders?access_token=abc&page=2":    "access_token",
		"/v1/orders?page=2&X-Api-Key=abc":       "X-Api-Key",
		"/v1/session?user=anna&password=secret": "password",
		"/v1/orders?apiKey=":                    "",
		"/v1/orders?page_token=abc":             "",
		"/v1/orders?csrf_token=abc&key=name":    "",
		"/reset?token=abc":                      "",
		"/password=abc":                         "",
		"/v1/orders?":                           "",
		"/v1/orders?a=b&&=c&d":                  "",
		"":                                      "",
	} {
		if got := detect.LeakedName(target); got != want {
			t.Errorf("%q: %q, want %q", target, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { detect.LeakedName("/v1/orders?sort=date&Access-Token=abc") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLeakedName(b *testing.B) {
	for name, target := range map[string]string{"none": "/v1/orders/4711", "query": "/v1/orders?page=2&sort=date&per_page=50", "leak": "/v1/orders?page=2&access_token=abc"} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				detect.LeakedName(target)
			}
		})
	}
}
