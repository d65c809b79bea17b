package authz

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/portcullis/portcullis/enforce/authn"
)

const benchSecret = "a secret of thirty-two bytes and more"

// benchTokens are so many good tokens.
func benchTokens(b *testing.B, n int) (out []string) {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(benchSecret)}, nil)
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		token, err := jwt.Signed(s).Claims(map[string]any{"iss": "ours", "aud": "orders", "exp": time.Now().Add(time.Hour).Unix(),
			"client_id": fmt.Sprint("c", i), "scope": "read write", "jti": fmt.Sprint(i), "filler": strings.Repeat("x", 500)}).Serialize()
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, token)
	}
	return out
}

// BenchmarkLoopback: requests a second over loopback HTTP, by a loader that writes made-up bytes
// and looks for nothing but the status, over connections that stay open, one request at a time
// on each, or eight. The loader shares the processors with the service.
func BenchmarkLoopback(b *testing.B) {
	tokens := benchTokens(b, 1000)
	cfg := authn.Config{Default: authn.NeedToken, Secret: identitySecret,
		Tokens: []authn.Issuer{{Issuer: "ours", Audience: []string{"orders"}, Secret: benchSecret}}}
	for _, c := range []struct {
		name   string
		cfg    authn.Config
		ahead  int
		tokens bool
	}{
		{"nothing needed", authn.Config{}, 1, false}, {"JWT", cfg, 1, true},
		{"nothing needed, 8 ahead", authn.Config{}, 8, false}, {"JWT, 8 ahead", cfg, 8, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			s, at, _ := running(b, Config{Authn: c.cfg})
			if _, err := s.Apply(context.Background(), full()); err != nil {
				b.Fatal(err)
			}
			var requests [][]byte
			for i := range tokens {
				r := fmt.Sprintf("GET /authz HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.18.%d.%d\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Uri: /api/v1/orders/17\r\n", i/250, i%250+1)
				if c.tokens {
					r += "Authorization: Bearer " + tokens[i] + "\r\n"
				}
				requests = append(requests, []byte(r+"\r\n"))
			}
			b.ReportAllocs()
			b.ResetTimer()
			before := cpuTime(b)
			load(b, at, requests, c.ahead)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpuTime is what this process has used of the processors, loader and service together: on a
// machine with other work it says more than the time on the clock.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// load sends b.N requests over 32 connections.
func load(b *testing.B, at string, requests [][]byte, ahead int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			conn, err := net.Dial("tcp", at)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			in, batch := bufio.NewReaderSize(conn, 16<<10), bytes.Buffer{}
			for {
				batch.Reset()
				n := 0
				for ; n < ahead; n++ {
					i := next.Add(1)
					if i > int64(b.N) {
						break
					}
					batch.Write(requests[int(i)%len(requests)])
				}
				if n == 0 {
					return
				}
				if _, err := conn.Write(batch.Bytes()); err != nil {
					b.Error(err)
					return
				}
				for range n {
					if err := passed(in); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// passed reads an answer without a body, which must be 200.
func passed(in *bufio.Reader) error {
	line, err := in.ReadSlice('\n')
	if err == nil && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		err = fmt.Errorf("answered %q", line)
	}
	for err == nil && len(line) > 2 {
		line, err = in.ReadSlice('\n')
	}
	return err
}
