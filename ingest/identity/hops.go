package identity

import (
	"net/netip"
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

// What is read of one header, from its right end, where the nearest hop wrote. A client
// may make the rest as long as its gateway lets it; behind real proxies there are a
// handful of hops. Beyond the bounds the last good address stands.
const (
	maxHops        = 64
	maxHeaderBytes = 8 << 10
)

// client sets the client from the first header, in the configured order, that is there.
// One that is there and says nothing leaves the peer: going on to the next would let
// a client choose the header that it wrote itself.
func (r *Resolver) client(ev *ingest.Event) {
	if !ev.Peer.IsValid() {
		return
	}
	if ev.Peer != r.lastPeer {
		r.lastPeer, r.lastOK = ev.Peer, r.Trusted(ev.Peer)
	}
	if !r.lastOK {
		return
	}
	for _, h := range r.headers {
		switch {
		case h == headerXFF && ev.Chain != "":
			ev.Client = r.walk(ev.Peer, ev.Chain, false)
		case h == headerForwarded && ev.Forwarded != "":
			ev.Client = r.walk(ev.Peer, ev.Forwarded, true)
		case h == headerRealIP && ev.RealIP != "":
			if a, ok := parseHop(ev.RealIP); ok {
				ev.Client = a
			}
		default:
			continue
		}
		return
	}
}

// walk goes through the chain from its right end and returns the first address
// that is not a trusted hop. Whatever is no address ends the walk: the last
// good address is the one that somebody trusted vouched for. forwarded says that the
// elements are those of RFC 7239.
func (r *Resolver) walk(client netip.Addr, chain string, forwarded bool) netip.Addr {
	cut := len(chain) > maxHeaderBytes
	if cut {
		chain = chain[len(chain)-maxHeaderBytes:]
	}
	for range maxHops {
		k := strings.LastIndexByte(chain, ',')
		if forwarded {
			k = lastComma(chain)
		}
		if k < 0 && cut || k < -1 {
			break // its beginning is not known
		}
		element, ok := chain[k+1:], true
		if forwarded {
			element, ok = forOf(element)
		}
		a, isAddr := parseHop(element)
		if !ok || !isAddr {
			break
		}
		client = a
		if k < 0 || !r.trusted.Contains(a) {
			break
		}
		chain = chain[:k]
	}
	return client
}

// parseHop reads one element of a chain: an address, perhaps in brackets, perhaps
// with a port or a zone, both of which are dropped.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	if len(s) > 80 {
		return netip.Addr{}, false
	}
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 || !isPort(s[end+1:]) {
			return netip.Addr{}, false
		}
		s = s[1:end]
	} else if k := strings.IndexByte(s, ':'); k > 0 && strings.IndexByte(s[k+1:], ':') < 0 {
		if !isPort(s[k:]) {
			return netip.Addr{}, false
		}
		s = s[:k]
	}
	if !looksLikeAddr(s) {
		return netip.Addr{}, false // ParseAddr would answer with an allocated error
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.IsUnspecified() {
		return netip.Addr{}, false
	}
	return a.WithZone("").Unmap(), true
}

// isPort accepts nothing, or a colon and up to five digits, or an obfuscated port
// (RFC 7239, section 6.3).
func isPort(s string) bool {
	if s == "" {
		return true
	}
	if s[0] != ':' || len(s) < 2 {
		return false
	}
	if s[1] == '_' {
		return true
	}
	if len(s) > 6 {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return true
}

// looksLikeAddr refuses what cannot be an address by its first byte.
func looksLikeAddr(s string) bool {
	if s == "" {
		return false
	}
	c := s[0] | 0x20
	return s[0]-'0' <= 9 || s[0] == ':' || c >= 'a' && c <= 'f'
}

// lastComma returns the index of the last comma outside of quoted strings, -1 if there
// is none and -2 if a quote is not closed. It goes from the right, so that what the
// client wrote on the left, such as a lone quote, cannot swallow what a hop appended.
func lastComma(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		switch s[i] {
		case ',':
			return i
		case '"':
			if i = openingQuote(s, i); i < 0 {
				return -2
			}
		}
	}
	return -1
}

// openingQuote returns the index of the quote that opens the string closed at s[i], or -1.
func openingQuote(s string, i int) int {
	for i--; i >= 0; i-- {
		if s[i] != '"' {
			continue
		}
		slashes := 0
		for i > slashes && s[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
		i -= slashes
	}
	return -1
}

// forOf returns the node of a forwarded-element (RFC 7239, sections 4 and 6): the value
// of its one parameter "for", without quotes. "unknown" and obfuscated nodes are
// left as they are: they are no addresses. Proxies that leave out the quotes which
// a colon needs are understood.
func forOf(element string) (node string, ok bool) {
	for element != "" {
		var pair string
		pair, element = cutPair(element)
		name, value, found := strings.Cut(pair, "=")
		if !found || !strings.EqualFold(strings.Trim(name, " \t"), "for") {
			continue
		}
		if ok {
			return "", false // a parameter may be there once
		}
		if node, ok = unquote(strings.Trim(value, " \t")); !ok {
			return "", false
		}
	}
	return node, ok
}

// cutPair cuts at the first semicolon outside of quotes.
func cutPair(s string) (pair, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == ';' && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// unquote takes the quotes off a quoted-string (RFC 9110, section 5.6.4).
func unquote(s string) (string, bool) {
	if s == "" || s[0] != '"' {
		return s, s != ""
	}
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", false
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), true
}
