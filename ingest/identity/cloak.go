package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base32"
	"fmt"
	"net/netip"
	"strings"
)

// Cloak hides addresses in what is stored. A hidden address is the AES-128 encryption
// of its 16 bytes as one block, so it is the same each time, is as unlike its
// neighbours as any other, and only the installation's key leads back. One client can
// still be told from another, and seen again.
type Cloak struct {
	addr, net cipher.Block
	seal      [KeyBytes]byte // from which the keys of Seal are derived
}

const (
	hiddenAddr = "ip_"
	hiddenNet  = "net_"
)

var hiddenText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewCloak makes a cloak from a key that does not change with rotations: Ring.Root.
func NewCloak(root [KeyBytes]byte) (*Cloak, error) {
	if root == ([KeyBytes]byte{}) {
		return nil, fmt.Errorf("identity: hide addresses: the installation's key is missing")
	}
	c := &Cloak{seal: derive(root, "sealed state")}
	for purpose, block := range map[string]*cipher.Block{"hidden addresses": &c.addr, "hidden networks": &c.net} {
		key := derive(root, purpose)
		b, err := aes.NewCipher(key[:16])
		if err != nil {
			return nil, fmt.Errorf("identity: hide addresses: %w", err)
		}
		*block = b
	}
	return c, nil
}

// Hide returns what stands for an address: "ip_" and 26 letters and digits. IPv4 in IPv6 is
// IPv4, a zone is dropped, and no address at all is "".
func (c *Cloak) Hide(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return hiddenAddr + crypt(c.addr, a.As16())
}

func crypt(b cipher.Block, plain [16]byte) string {
	var out [16]byte
	b.Encrypt(out[:], plain[:])
	return hiddenText.EncodeToString(out[:])
}

// Show returns the address that Hide hid. It cannot tell a text that was made up or comes
// from another installation: that shows some address, most likely one of IPv6 that
// nobody has. False says that it is no hidden address at all.
func (c *Cloak) Show(s string) (netip.Addr, bool) {
	plain, ok := decrypt(c.addr, s, hiddenAddr)
	return netip.AddrFrom16(plain).Unmap(), ok
}

func decrypt(b cipher.Block, s, prefix string) (plain [16]byte, ok bool) {
	coded, found := strings.CutPrefix(s, prefix)
	var data [17]byte
	if !found || len(coded) != hiddenText.EncodedLen(len(plain)) {
		return plain, false
	}
	n, err := hiddenText.Decode(data[:], []byte(coded))
	if err != nil || n != len(plain) || hiddenText.EncodeToString(data[:n]) != coded {
		return plain, false
	}
	b.Decrypt(plain[:], data[:n])
	return plain, true
}

// HidePrefix returns what stands for a network: "net_" and 26 letters and digits, which
// say nothing of the addresses in it. A network of one address is that address. Networks
// of IPv6 longer than /120 are taken as /120.
func (c *Cloak) HidePrefix(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p.IsSingleIP() {
		return c.Hide(p.Addr())
	}
	if p.Addr().Is6() && p.Bits() > 120 {
		p = netip.PrefixFrom(p.Addr(), 120)
	}
	p = p.Masked()
	// The length stands where the network has no bits: before the four bytes of IPv4,
	// behind those of IPv6.
	block := p.Addr().As16()
	if p.Addr().Is4() {
		for i := range 12 {
			block[i] = 0xff
		}
		block[0] = byte(p.Bits())
	} else {
		block[15] = byte(p.Bits())
	}
	return hiddenNet + crypt(c.net, block)
}

// ShowPrefix returns the network that HidePrefix hid; see Show.
func (c *Cloak) ShowPrefix(s string) (netip.Prefix, bool) {
	block, ok := decrypt(c.net, s, hiddenNet)
	if !ok {
		return netip.Prefix{}, false
	}
	var p netip.Prefix
	if [11]byte(block[1:12]) == [11]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff} {
		p = netip.PrefixFrom(netip.AddrFrom4([4]byte(block[12:])), int(block[0]))
	} else {
		bits := int(block[15])
		block[15] = 0
		p = netip.PrefixFrom(netip.AddrFrom16(block), bits)
	}
	return p, p.IsValid() && p == p.Masked()
}

// Line returns an evidence line with all IPv4 and IPv6 addresses in it hidden; ports and
// brackets stay. Numbers such as Chrome/120.0.0.0 are left as versions.
func (c *Cloak) Line(line string) string {
	var out strings.Builder
	kept := 0
	for i := 0; i < len(line); i++ {
		if !addrBytes[line[i]] || i > 0 && isWordByte(line[i-1]) && !afterEscape(line, i) && !(line[i-1] == ':' && (kept == i-1 && kept > 0 || endsHidden(line[:i-1]))) {
			continue
		}
		a, end := literal(line, i)
		if end == i {
			continue
		}
		out.WriteString(line[kept:i])
		out.WriteString(c.Hide(a))
		kept, i = end, end-1
	}
	return out.String() + line[kept:]
}

var addrBytes = func() (t [256]bool) {
	for _, c := range []byte("0123456789abcdefABCDEF:.") {
		t[c] = true
	}
	return t
}()

// isWordByte tells whether an address cannot begin behind c.
func isWordByte(c byte) bool {
	return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == '.' || c == ':'
}

// afterEscape tells whether an escape such as %20, \x20 or \n ends before line[i].
func afterEscape(line string, i int) bool {
	if i >= 3 && isHex(line[i-1]) && isHex(line[i-2]) && (line[i-3] == '%' || i >= 4 && line[i-3] == 'x' && line[i-4] == '\\') {
		return true
	}
	if i >= 6 && line[i-6] == '\\' && line[i-5] == 'u' {
		return true
	}
	if i >= 2 && line[i-2] == '\\' && strings.IndexByte("nrt", line[i-1]) >= 0 {
		return true
	}
	// A colon before an address is punctuation, as in "client:203.0.113.7", unless it goes
	// on to the left as an address does.
	return i >= 1 && line[i-1] == ':' && (i < 2 || !addrBytes[line[i-2]] || strings.IndexByte(line[i:min(len(line), i+4)], '.') > 0)
}

// endsHidden tells whether s ends with a hidden address.
func endsHidden(s string) bool {
	k := len(s) - len(hiddenAddr) - hiddenText.EncodedLen(16)
	return k >= 0 && strings.HasPrefix(s[k:], hiddenAddr)
}

const longestLiteral = len("0000:0000:0000:0000:0000:ffff:255.255.255.255")

// literal reads the address that begins at line[i], and returns its end, or i.
func literal(line string, i int) (netip.Addr, int) {
	end := i
	for end < len(line) && addrBytes[line[end]] && end-i <= longestLiteral {
		end++
	}
	for try := end; try-i >= 2; {
		if try == end || !isWordByte(line[try]) || line[try] == ':' || line[try] == '.' {
			if a, err := parse(line[i:try]); err && !isVersion(line, i, a) && (try == len(line) || !isLetter(line[try])) {
				return a, try
			}
		}
		// Without the port, or the punctuation, behind it.
		k := strings.LastIndexAny(line[i:try], ":.")
		if k < 0 {
			break
		}
		try = i + k
	}
	return netip.Addr{}, i
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c-'0' <= 9 }

func parse(s string) (netip.Addr, bool) {
	if strings.IndexByte(s, ':') < 0 && strings.Count(s, ".") != 3 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil && !a.IsUnspecified()
}

// isVersion tells Chrome/120.0.0.0 from an address: no client has the latter.
func isVersion(line string, i int, a netip.Addr) bool {
	if !a.Is4() || i == 0 || line[i-1] != '/' {
		return false
	}
	b := a.As4()
	return b[1] == 0 && b[2] == 0 && b[3] == 0
}
