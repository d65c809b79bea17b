package authz

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authpb "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/portcullis/portcullis/enforce"
)

// listed is how many entries the benchmarks list: with PORTCULLIS_BENCH=1 a million, as
// for docs/benchmarks.md, else so few that they are in force at once.
func listed() int {
	if os.Getenv("PORTCULLIS_BENCH") != "" {
		return 1_000_000
	}
	return 20_000
}

// entries makes so many: nine of ten single IPv4 addresses all over, the rest IPv6 /64.
func entries(n int) []enforce.Entry {
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[netip.Prefix]bool{}
	out := make([]enforce.Entry, 0, n)
	for len(out) < n {
		var p netip.Prefix
		if len(out)%10 == 9 {
			p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), 0, byte(r.Uint32())}), 64)
		} else {
			p = netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(1 + r.IntN(222)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}), 32)
		}
		if p.Addr().IsLoopback() || seen[p] {
			continue
		}
		seen[p] = true
		e := enforce.Entry{Decision: fmt.Sprint("d", len(out)), Prefix: p, Action: enforce.Block}
		if len(out)%5 == 0 {
			e.Action, e.Rate, e.Burst = enforce.Throttle, 2, 10
		}
		out = append(out, e)
	}
	return out
}

var full = sync.OnceValue(func() []enforce.Entry { return entries(listed()) })

func filled(b testing.TB, cfg Config) *Service {
	s, err := New(cfg, testDeps())
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Apply(context.Background(), full()); err != nil {
		b.Fatal(err)
	}
	return s
}

// chains are X-Forwarded-For values: half of listed clients, half of others.
func chains() []string {
	r := rand.New(rand.NewPCG(3, 4))
	list := full()
	out := make([]string, 1<<16)
	for i := range out {
		a := list[r.IntN(len(list))].Prefix.Addr()
		if i%2 == 0 {
			a = netip.AddrFrom4([4]byte{byte(1 + r.IntN(222)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
		}
		out[i] = a.String()
	}
	return out
}

// one answers one question as the HTTP handler does between reading and writing.
func (s *Service) one(chain string) outcome {
	w := s.worker()
	w.ev.Peer, w.ev.Chain, w.ev.Method, w.ev.Target = loopback, chain, "GET", "/api/v1/orders/17"
	v := s.decide(context.Background(), w, 1)
	s.giveBack(w)
	return v.outcome
}

var loopback = netip.MustParseAddr("127.0.0.1")

// changing applies lists that differ by a hundred entries, again and again.
func changing(b *testing.B, s *Service) (stop func() int64) {
	var applied atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		list := slices.Clone(full())
		for i := 0; ctx.Err() == nil; i++ {
			for j := range 100 {
				list[(i*100+j)%len(list)].Decision = fmt.Sprint("u", i)
			}
			if _, err := s.Apply(ctx, list); err == nil {
				applied.Add(1)
			}
		}
	})
	return func() int64 { cancel(); wg.Wait(); return applied.Load() }
}

// BenchmarkDecide: one decision with a full list, by one asker after another.
func BenchmarkDecide(b *testing.B) {
	for _, c := range []struct {
		name    string
		cfg     Config
		updates bool
	}{
		{"list", Config{}, false},
		{"list and updates", Config{}, true},
		{"list and limits", Config{Limits: []Limit{{Name: "all", Rate: 100, Burst: 50}, {Name: "orders", Route: "/api/v1/orders/{id}", Rate: 10, Burst: 5}}}, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			s, list := filled(b, c.cfg), chains()
			stop := func() int64 { return 0 }
			if c.updates {
				stop = changing(b, s)
			}
			took := make([]time.Duration, 0, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				start := time.Now()
				s.one(list[i%len(list)])
				took = append(took, time.Since(start))
			}
			b.StopTimer()
			report(b, took)
			if c.updates {
				b.ReportMetric(float64(stop()), "lists")
			}
		})
	}
}

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50-ns", 0.5}, {"p99-ns", 0.99}, {"p99.9-ns", 0.999}, {"max-ns", 1}} {
		b.ReportMetric(float64(took[min(int(q.at*float64(len(took))), len(took)-1)]), q.name)
	}
}

// BenchmarkDecideParallel: requests a second on all processors.
func BenchmarkDecideParallel(b *testing.B) {
	s, list := filled(b, Config{}), chains()
	b.ReportAllocs()
	b.ResetTimer()
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for i := int(n.Add(7919)); pb.Next(); i++ {
			s.one(list[i%len(list)])
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// BenchmarkApply: a push of which a hundred entries are new, until they are in force.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{listed() / 100, listed() / 10, listed()} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, list := filled(b, Config{}), slices.Clone(full()[:n])
			if _, err := s.Apply(context.Background(), list); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			for i := range b.N {
				for j := range 100 {
					list[(i*100+j)%n].Decision = fmt.Sprint("u", i)
				}
				if _, err := s.Apply(context.Background(), list); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHTTP and BenchmarkGRPC: over loopback, eight askers that keep connections.
func BenchmarkHTTP(b *testing.B) {
	s, at, _ := running(b, Config{})
	if _, err := s.Apply(context.Background(), full()); err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	list := chains()
	drive(b, func(i int) error {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+at+pathForward, nil)
		if err != nil {
			return err
		}
		req.Header["X-Forwarded-For"] = []string{list[i%len(list)]}
		req.Header["X-Forwarded-Uri"] = []string{"/api/v1/orders/17"}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.Body.Close()
	})
}

func BenchmarkGRPC(b *testing.B) {
	s, _, at := running(b, Config{})
	if _, err := s.Apply(context.Background(), full()); err != nil {
		b.Fatal(err)
	}
	conn, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	client, list := authpb.NewAuthorizationClient(conn), chains()
	drive(b, func(i int) error {
		_, err := client.Check(context.Background(), &authpb.CheckRequest{Attributes: &authpb.AttributeContext{
			Source:  &authpb.AttributeContext_Peer{Address: &corepb.Address{Address: &corepb.Address_SocketAddress{SocketAddress: &corepb.SocketAddress{Address: list[i%len(list)]}}}},
			Request: &authpb.AttributeContext_Request{Http: &authpb.AttributeContext_HttpRequest{Method: "GET", Path: "/api/v1/orders/17", Headers: map[string]string{"user-agent": "x"}}},
		}})
		return err
	})
}

// drive has eight askers ask, and reports requests a second and how long each took.
func drive(b *testing.B, do func(i int) error) {
	var mu sync.Mutex
	var took []time.Duration
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range 8 {
		wg.Go(func() {
			var own []time.Duration
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				start := time.Now()
				if err := do(int(i)); err != nil {
					b.Error(err)
					return
				}
				own = append(own, time.Since(start))
			}
			mu.Lock()
			took = append(took, own...)
			mu.Unlock()
		})
	}
	wg.Wait()
	b.StopTimer()
	report(b, took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// TestAllocs: a decision allocates nothing, whatever comes of it. Making a worker does,
// and how often that happens is up to the pool, which forgets workers when memory is
// collected, and at random under the race detector: so it hands out one that is there.
func TestAllocs(t *testing.T) {
	s, _ := asked(t, Config{Limits: []Limit{{Name: "orders", Route: "/api/v1/orders/{id}", Rate: 1, Burst: 1}}})
	ready := s.worker()
	s.workers.New = func() any { return ready }
	want := blockOf("192.0.2.1/32")
	want = append(want, enforce.Entry{Decision: "d2", Prefix: netip.MustParsePrefix("192.0.2.2/32"), Action: enforce.Throttle, Rate: 1})
	if _, err := s.Apply(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	for chain, what := range map[string]outcome{"192.0.2.1": blocked, "198.51.100.1, 192.0.2.2": throttled, "192.0.2.3": throttled, "127.0.0.9": allowed} {
		for range 3 {
			s.one(chain)
		}
		got := allowed
		if n := testing.AllocsPerRun(1000, func() { got = s.one(chain) }); n != 0 {
			t.Errorf("%s: %v allocations", chain, n)
		}
		if got != what {
			t.Errorf("%s: outcome %d, want %d", chain, got, what)
		}
	}
}
