package authz

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
)

func drawTarget(t *rapid.T) target {
	route := rapid.SampledFrom([]string{"", "", "/login", "/orders/{id}"}).Draw(t, "route")
	if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
		return target{subject: detect.Subject{Kind: "key", Value: fmt.Sprint("k", rapid.IntRange(0, 3).Draw(t, "key"))}, route: route}
	}
	if rapid.Bool().Draw(t, "v6") {
		a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(rapid.IntRange(0, 7).Draw(t, "host"))})
		return target{prefix: netip.PrefixFrom(a, rapid.IntRange(120, 128).Draw(t, "bits")).Masked(), route: route}
	}
	a := netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(0, 15).Draw(t, "host"))})
	return target{prefix: netip.PrefixFrom(a, rapid.IntRange(24, 32).Draw(t, "bits")).Masked(), route: route}
}

// model is the list as it is meant, without any index.
type model map[target]wanted

func (m model) find(a netip.Addr, key, route string) *wanted {
	var best *wanted
	for at, w := range m {
		if at.route != "" && at.route != route {
			continue
		}
		if at.prefix.IsValid() && !at.prefix.Contains(a) || !at.prefix.IsValid() && at.subject.Value != key {
			continue
		}
		if best == nil || w.act > best.act || w.act == best.act && w.pace.Every > best.pace.Every {
			w := w
			best = &w
		}
	}
	return best
}

// TestListAgainstModel: after any row of replacements the list answers as a plain
// search of what was wanted last would, and an older snapshot still answers as it did.
func TestListAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newList()
		last := model{}
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			before, old := l.cur.Load(), last
			next, want := model{}, []wanted(nil)
			for range rapid.IntRange(0, 25).Draw(t, "rules") {
				w := wanted{target: drawTarget(t), act: act(rapid.IntRange(1, 2).Draw(t, "act")), id: fmt.Sprint("d", rapid.IntRange(0, 2).Draw(t, "id"))}
				if w.act == actThrottle {
					w.pace = window.NewPace(float64(rapid.IntRange(1, 3).Draw(t, "rate")), 1)
				}
				if _, twice := next[w.target]; !twice {
					want, next[w.target] = append(want, w), w
				}
			}
			differ := 0
			for at, w := range next {
				if have, ok := old[at]; !ok || have != w {
					differ++
				}
			}
			for at := range old {
				if _, ok := next[at]; !ok {
					differ++
				}
			}
			if got := l.replace(want); got != differ {
				t.Fatalf("changed %d, want %d", got, differ)
			}
			last = next
			compare(t, before, old)
			compare(t, l.cur.Load(), last)
			if got := l.replace(want); got != 0 {
				t.Fatalf("changed %d by the same list", got)
			}
		}
	})
}

func compare(t *rapid.T, s *snapshot, m model) {
	if s.size != len(m) {
		t.Fatalf("size %d, want %d", s.size, len(m))
	}
	for host := range byte(16) {
		for _, a := range []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, host}), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: host})} {
			for _, route := range []string{"", "/login", "/orders/{id}", "/other"} {
				key := fmt.Sprint("k", host%4)
				got := s.subject(detect.Subject{Kind: "key", Value: key}, way{route: route}, s.find(a, way{route: route}))
				want := m.find(a, key, route)
				if (got == nil) != (want == nil) || got != nil && (got.act != want.act || got.pace != want.pace) {
					t.Fatalf("%s %s %q: %+v, want %+v", a, key, route, got, want)
				}
			}
		}
	}
}

// TestListMany: a change of more rules than are made one by one, both ways.
func TestListMany(t *testing.T) {
	l := newList()
	var want []wanted
	for i := range 3 * persistMost {
		want = append(want, wanted{target: target{prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)}, act: actBlock})
	}
	if got := l.replace(want); got != len(want) || l.cur.Load().size != len(want) {
		t.Fatalf("changed %d, size %d", got, l.cur.Load().size)
	}
	full := l.cur.Load()
	if got := l.replace(want[:10]); got != len(want)-10 {
		t.Fatalf("changed %d", got)
	}
	if l.cur.Load().addrs.Size() != 10 || full.addrs.Size() != len(want) {
		t.Errorf("%d and %d prefixes", l.cur.Load().addrs.Size(), full.addrs.Size())
	}
}

// TestListKeepsPace: a throttle that is pushed again, or altered, does not begin anew.
func TestListKeepsPace(t *testing.T) {
	l := newList()
	at := target{prefix: netip.MustParsePrefix("192.0.2.1/32")}
	l.replace([]wanted{{target: at, act: actThrottle, pace: window.NewPace(1, 1), id: "d1"}})
	l.cur.Load().find(at.prefix.Addr(), way{}).due.Store(7)
	l.replace([]wanted{{target: at, act: actThrottle, pace: window.NewPace(1, 1), id: "d1"}})
	l.replace([]wanted{{target: at, act: actThrottle, pace: window.NewPace(2, 1), id: "d2"}})
	if r := l.cur.Load().find(at.prefix.Addr(), way{}); r.due.Load() != 7 || r.id != "d2" {
		t.Errorf("due %d of %s", r.due.Load(), r.id)
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		template, path string
		want           bool
	}{
		{"/orders/{id}", "/orders/7", true}, {"/orders/{id}", "/orders/a-b_c", true}, {"/orders/{id}", "/orders/", false},
		{"/orders/{id}", "/orders", false}, {"/orders/{id}", "/orders/7/items", false}, {"/orders/{id}/items", "/orders/7/items", true},
		{"/orders", "/orders", true}, {"/orders", "/order", false}, {"/", "/", true}, {"", "", true}, {"/{a}/{b}", "/x/y", true}, {"/{}", "/x", false},
	} {
		if got := matches(c.template, c.path); got != c.want {
			t.Errorf("%s %s: %v", c.template, c.path, got)
		}
	}
}
