package gateway

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// BenchmarkNginxPush measures one changed entry among many, from Apply to the
// first 403 that a client sees, without other traffic.
func BenchmarkNginxPush(b *testing.B) {
	for _, n := range []int{0, 1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			if n > 10_000 && os.Getenv("PORTCULLIS_BENCH") == "" {
				b.Skip("each push takes a second: set PORTCULLIS_BENCH=1")
			}
			s := newSite(b, "")
			s.start()
			g := s.gateway()
			list := addresses(n)
			apply(b, g, list...)
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				client := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
				one := enforce.Entry{Prefix: netip.PrefixFrom(client, 32), Action: enforce.Block}
				start := time.Now()
				apply(b, g, append(slices.Clone(list), one)...)
				if got := s.get(client.String()); got != 403 {
					b.Fatalf("got %d right after the push, want 403", got)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "ms/median")
			b.ReportMetric(float64(took[len(took)-1].Milliseconds()), "ms/worst")
		})
	}
}

// BenchmarkNginxRepeat measures the reconciling of an unchanged state.
func BenchmarkNginxRepeat(b *testing.B) {
	s := newSite(b, "")
	s.start()
	g := s.gateway()
	list := addresses(10_000)
	apply(b, g, list...)
	for b.Loop() {
		if done := apply(b, g, list...); done.Changed != 0 {
			b.Fatal("changed")
		}
	}
}
