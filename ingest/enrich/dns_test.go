package enrich

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is a real DNS server on loopback, asked through net.Resolver.
type zone struct {
	conn    net.PacketConn
	done    sync.WaitGroup
	queries atomic.Int64

	mu    sync.Mutex
	names map[string][]string     // reverse: address → names
	addrs map[string][]netip.Addr // forward: name → addresses
	ill   map[string]string       // address or name → "servfail" or "silent"
}

func startZone(t *testing.T) *zone {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z := &zone{conn: conn, names: map[string][]string{}, addrs: map[string][]netip.Addr{}, ill: map[string]string{}}
	z.done.Add(1)
	go z.serve()
	t.Cleanup(func() {
		_ = conn.Close()
		z.done.Wait()
	})
	return z
}

// resolver returns a net.Resolver that asks this server.
func (z *zone) resolver() Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialUntil(ctx, "udp", z.conn.LocalAddr().String())
	}}
}

// has adds an address with its reverse name, which leads to the addresses.
func (z *zone) has(addr, name string, forward ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	key := strings.ToLower(reverse(netip.MustParseAddr(addr)))
	z.names[key] = append(z.names[key], name+".")
	for _, a := range forward {
		z.addrs[strings.ToLower(name)+"."] = append(z.addrs[strings.ToLower(name)+"."], netip.MustParseAddr(a))
	}
}

// ails lets the server fail for a reverse address or a name; "" heals it.
func (z *zone) ails(key, how string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if a, err := netip.ParseAddr(key); err == nil {
		z.ill[reverse(a)] = how
	} else {
		z.ill[key+"."] = how
	}
}

// reverse is the name to ask for an address (RFC 1035, section 3.5, and RFC 3596).
func reverse(a netip.Addr) string {
	var out strings.Builder
	raw := a.AsSlice()
	for i := len(raw) - 1; i >= 0; i-- {
		if a.Is4() {
			out.WriteString(netip.AddrFrom4([4]byte{0, 0, 0, raw[i]}).String()[len("0.0.0."):] + ".")
		} else {
			const hex = "0123456789abcdef"
			out.WriteString(string(hex[raw[i]&15]) + "." + string(hex[raw[i]>>4]) + ".")
		}
	}
	if a.Is4() {
		return out.String() + "in-addr.arpa."
	}
	return out.String() + "ip6.arpa."
}

func (z *zone) serve() {
	defer z.done.Done()
	buf := make([]byte, 1500)
	for {
		n, peer, err := z.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := z.answer(buf[:n]); answer != nil {
			_, _ = z.conn.WriteTo(answer, peer)
		}
	}
}

// answer returns nil where the server is silent.
func (z *zone) answer(query []byte) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	z.queries.Add(1)
	z.mu.Lock()
	defer z.mu.Unlock()
	name := strings.ToLower(q.Name.String())
	msg := dnsmessage.Message{Header: dnsmessage.Header{ID: head.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}, Questions: []dnsmessage.Question{q}}
	switch {
	case z.ill[name] == "silent":
		return nil
	case z.ill[name] == "servfail":
		msg.RCode = dnsmessage.RCodeServerFailure
	case q.Type == dnsmessage.TypePTR && z.names[name] != nil:
		for _, to := range z.names[name] {
			msg.Answers = append(msg.Answers, resource(q, &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(to)}))
		}
	case q.Type != dnsmessage.TypePTR && z.addrs[name] != nil:
		for _, a := range z.addrs[name] {
			if a.Is4() && q.Type == dnsmessage.TypeA {
				msg.Answers = append(msg.Answers, resource(q, &dnsmessage.AResource{A: a.As4()}))
			} else if a.Is6() && q.Type == dnsmessage.TypeAAAA {
				msg.Answers = append(msg.Answers, resource(q, &dnsmessage.AAAAResource{AAAA: a.As16()}))
			}
		}
	default:
		msg.RCode = dnsmessage.RCodeNameError
	}
	out, err := msg.Pack()
	if err != nil {
		return nil
	}
	return out
}

func resource(q dnsmessage.Question, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}, Body: body}
}
