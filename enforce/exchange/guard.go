package exchange

import (
	"net/netip"

	"github.com/gaissmai/bart"
)

// Limits are what no list of others may touch.
type Limits struct {
	Untouchable []netip.Prefix // trusted hops, load balancers, the allow-list
	WidestV4    int            // shortest prefix that is taken
	WidestV6    int
	Private     bool // private ranges may be listed
}

// private are ranges that mean something else everywhere, so that a list of others
// cannot mean them.
var private = func() *bart.Lite {
	t := new(bart.Lite)
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3",
		"::/127", "fc00::/7", "fe80::/10", "ff00::/8",
	} {
		t.Insert(netip.MustParsePrefix(s))
	}
	return t
}()

// admit drops entries that may not be enforced, and counts them.
func (l Limits) admit(list []Entry) (kept []Entry, refused int) {
	never := new(bart.Lite)
	for _, p := range l.Untouchable {
		never.Insert(p.Masked())
	}
	kept = make([]Entry, 0, len(list))
	for _, e := range list {
		widest := l.WidestV4
		if e.Prefix.Addr().Is6() {
			widest = l.WidestV6
		}
		if e.Prefix.Bits() < widest || never.OverlapsPrefix(e.Prefix) || !l.Private && private.OverlapsPrefix(e.Prefix) {
			refused++
			continue
		}
		kept = append(kept, e)
	}
	return kept, refused
}
