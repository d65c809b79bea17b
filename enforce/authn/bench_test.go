package authn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// manyKeys is a guard with ten thousand keys, and one of them.
func manyKeys(b *testing.B, now time.Time) (keyed *Guard, key string) {
	path := filepath.Join(b.TempDir(), "clients.keys")
	err := UpdateKeys(path, func(k *Keys) error {
		for i := range 10_000 {
			var err error
			if key, err = k.Issue(testSecret, Key{Name: fmt.Sprint("k", i), Consumer: "acme", Routes: []Route{{Route: "/orders/*"}}}, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	keyed, err = New(Config{Default: NeedAny}, Deps{Secret: testSecret, Keys: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	return keyed, key
}

// BenchmarkCheck: one request's credentials, in process. The time of each is taken, so
// that its 99th percentile can be told.
func BenchmarkCheck(b *testing.B) {
	now := time.Now()
	p := newProvider(b)
	p.keys["ec"] = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	g := p.guard(nil)
	keyed, key := manyKeys(b, now)
	none := "Bearer " + strings.Repeat("x", 900)
	bearer := "Bearer " + p.token(now, nil)
	dear := func(alg jose.SignatureAlgorithm, kid string) func(i int) Request {
		tokens := make([]string, 512)
		for i := range tokens {
			tokens[i] = sign(b, alg, p.keys[kid], kid, "JWT", p.claims(now, object{"jti": fmt.Sprint(i)}))
		}
		return func(i int) Request {
			if i%len(tokens) == 0 {
				g.tokens.good.Purge()
			}
			return Request{Authorization: "Bearer " + tokens[i%len(tokens)]}
		}
	}
	for _, c := range []struct {
		name string
		g    *Guard
		next func(i int) Request
	}{
		{"key, one of 10000", keyed, func(int) Request { return Request{Key: key} }},
		{"key that is none", keyed, func(int) Request { return Request{Key: key[:len(key)-1] + "="} }},
		{"token seen before", g, func(int) Request { return Request{Authorization: bearer} }},
		{"token RS256, new", g, dear(jose.RS256, "rsa")},
		{"token ES256, new", g, dear(jose.ES256, "ec")},
		{"token that is none", g, func(int) Request { return Request{Authorization: none} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			took := make([]time.Duration, 0, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				r := c.next(i)
				r.Method, r.Path = "GET", "/orders/17"
				start := time.Now()
				c.g.Check(context.Background(), &r, now)
				took = append(took, time.Since(start))
			}
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
			b.ReportMetric(float64(took[min(len(took)*99/100, len(took)-1)]), "p99-ns")
		})
	}
}
