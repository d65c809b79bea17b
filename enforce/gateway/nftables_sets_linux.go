package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// lapse is how long an entry still lasts.
func lapse(until int64, now time.Time) time.Duration {
	if until == 0 {
		return 0
	}
	return max(time.Unix(0, until).Sub(now).Truncate(time.Millisecond), time.Millisecond)
}

// nftLength is a length of prefix, whose addresses are in one set.
type nftLength struct {
	six  bool
	bits int
}

func (l nftLength) name() string {
	if l.six {
		return fmt.Sprintf("v6_%d", l.bits)
	}
	return fmt.Sprintf("v4_%d", l.bits)
}

// set describes the set of a length.
func (l nftLength) set(table *nftables.Table) *nftables.Set {
	s := &nftables.Set{Table: table, Name: l.name(), KeyType: nftables.TypeIPAddr, HasTimeout: true}
	if l.six {
		s.KeyType = nftables.TypeIP6Addr
	}
	return s
}

// nftSorted lists lengths, the longest first.
func nftSorted(wanted map[nftLength]nftWanted) []nftLength {
	var out []nftLength
	for l := range wanted {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b nftLength) int {
		if a.six != b.six {
			return strings.Compare(a.name(), b.name())
		}
		return b.bits - a.bits
	})
	return out
}

// sets tells which sets there are, and whether table, chain and a rule for each are as we
// made them; if anything is not, all is made anew.
func (g *Nftables) sets(conn *nftables.Conn, table *nftables.Table) (have map[nftLength]bool, whole bool, err error) {
	have = map[nftLength]bool{}
	if t, err := conn.ListTableOfFamily(table.Name, table.Family); err != nil || t == nil {
		if errors.Is(err, os.ErrNotExist) || err == nil {
			return have, false, nil
		}
		return nil, false, err
	}
	sets, err := conn.GetSets(table)
	if err != nil {
		return nil, false, err
	}
	for _, s := range sets {
		var l nftLength
		if _, err := fmt.Sscanf(s.Name, "v4_%d", &l.bits); err != nil {
			l.six = true
			if _, err := fmt.Sscanf(s.Name, "v6_%d", &l.bits); err != nil {
				return have, false, nil
			}
		}
		have[l] = true
	}
	rules, err := conn.GetRules(table, &nftables.Chain{Name: nftChain, Table: table})
	if err != nil {
		return have, false, nil // the chain is gone
	}
	asked := map[string]bool{}
	for _, r := range rules {
		if !bytes.Equal(r.UserData, g.mark()) {
			return have, false, nil
		}
		for _, e := range r.Exprs {
			if l, ok := e.(*expr.Lookup); ok {
				asked[l.SetName] = true
			}
		}
	}
	return have, len(asked) == len(have) && len(rules) == len(have)*max(len(g.cfg.Ports), 1), nil
}

// mark is kept with each rule: the settings that it was made from.
func (g *Nftables) mark() []byte { return []byte(fmt.Sprint("portcullis ", g.cfg.Reset, g.cfg.Ports)) }

// frame makes the table, its chain, and the sets, without what was there.
func (g *Nftables) frame(conn *nftables.Conn, table *nftables.Table, wanted map[nftLength]nftWanted) {
	conn.AddTable(table) // deleting what is not there would fail
	conn.DelTable(table)
	conn.AddTable(table)
	accept := nftables.ChainPolicyAccept
	conn.AddChain(&nftables.Chain{Name: nftChain, Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw, Policy: &accept})
	for _, l := range nftSorted(wanted) {
		g.guard(conn, table, l.set(table), l)
	}
}

// guard makes a set and the rules that ask it.
func (g *Nftables) guard(conn *nftables.Conn, table *nftables.Table, set *nftables.Set, l nftLength) {
	if err := conn.AddSet(set, nil); err != nil {
		return // Flush says it again
	}
	ports := g.cfg.Ports
	if len(ports) == 0 {
		ports = []string{""}
	}
	for _, port := range ports {
		conn.AddRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Name: nftChain, Table: table},
			Exprs: g.rule(set, l, port), UserData: g.mark()})
	}
}

// rule matches the source address, masked, in the set.
func (g *Nftables) rule(set *nftables.Set, l nftLength, port string) []expr.Any {
	family, offset, size := byte(unix.NFPROTO_IPV4), uint32(12), uint32(4)
	if l.six {
		family, offset, size = unix.NFPROTO_IPV6, 8, 16
	}
	out := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
	}
	tcp := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
	}
	if port != "" || g.cfg.Reset {
		out = append(out, tcp...)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		out = append(out, &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{byte(n >> 8), byte(n)}})
	}
	mask := make([]byte, size)
	for i := range l.bits {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	out = append(out, &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)},
		&expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID})
	if g.cfg.Reset {
		return append(out, &expr.Reject{Type: unix.NFT_REJECT_TCP_RST})
	}
	return append(out, &expr.Verdict{Kind: expr.VerdictDrop})
}

// fill adds to the transaction what makes a set hold the wanted addresses.
func (l nftLength) fill(conn *nftables.Conn, set *nftables.Set, have []nftables.SetElement, want nftWanted) (changed int, err error) {
	var gone, fresh []nftables.SetElement
	left := make(nftWanted, len(want))
	for a, d := range want {
		left[a] = d
	}
	for _, e := range have {
		a, ok := netip.AddrFromSlice(e.Key)
		d, wanted := left[a]
		if ok && wanted && alike(e, d) {
			delete(left, a)
			continue
		}
		gone = append(gone, nftables.SetElement{Key: e.Key})
		if !wanted {
			changed++ // one that lasts for another time is counted when it is added
		}
	}
	for a, d := range left {
		fresh = append(fresh, nftables.SetElement{Key: a.AsSlice(), Timeout: d})
	}
	for part := range slices.Chunk(gone, nftChunk) {
		if err := conn.SetDeleteElements(set, part); err != nil {
			return 0, err
		}
	}
	for part := range slices.Chunk(fresh, nftChunk) {
		if err := conn.SetAddElements(set, part); err != nil {
			return 0, err
		}
	}
	return changed + len(fresh), nil
}

// alike tells whether an element lapses when it should.
func alike(e nftables.SetElement, d time.Duration) bool {
	if d == 0 || e.Timeout == 0 {
		return d == e.Timeout
	}
	return time.Duration(math.Abs(float64(e.Expires-d))) <= nftSlack
}
