package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// HideText returns a text with all addresses in it hidden, and networks such as
// 203.0.113.0/24 as one. What is hidden already stays as it is.
func (c *Cloak) HideText(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return c.Hide(a)
	}
	var out strings.Builder
	kept := 0
	for i := 0; i < len(s); i++ {
		if s[i] != '/' {
			continue
		}
		p, begin, end := network(s, kept, i)
		if !p.IsValid() {
			continue
		}
		out.WriteString(c.Line(s[kept:begin]))
		out.WriteString(c.HidePrefix(p))
		kept, i = end, end-1
	}
	out.WriteString(c.Line(s[kept:]))
	return out.String()
}

// network reads the network around the slash at s[slash]. One with bits beyond
// its prefix is rather an address in a path.
func network(s string, from, slash int) (p netip.Prefix, begin, end int) {
	begin, end = slash, slash+1
	for begin > from && addrBytes[s[begin-1]] {
		begin--
	}
	for end < len(s) && end < slash+4 && s[end]-'0' <= 9 {
		end++
	}
	if begin > 0 && isLetter(s[begin-1]) || end < len(s) && isWordByte(s[end]) {
		return p, begin, end
	}
	p, err := netip.ParsePrefix(s[begin:end])
	if err != nil || p != p.Masked() {
		return netip.Prefix{}, begin, end
	}
	return p, begin, end
}

// ShowText returns a text with all hidden addresses and networks in it shown.
func (c *Cloak) ShowText(s string) string {
	var out strings.Builder
	kept := 0
	for i := 0; i < len(s); i++ {
		if i > 0 && isLetter(s[i-1]) {
			continue
		}
		for _, prefix := range [...]string{hiddenAddr, hiddenNet} {
			end := i + len(prefix) + hiddenText.EncodedLen(16)
			if end > len(s) || !strings.HasPrefix(s[i:], prefix) || end < len(s) && isLetter(s[end]) {
				continue
			}
			shown, ok := c.show(s[i:end])
			if !ok {
				continue
			}
			out.WriteString(s[kept:i])
			out.WriteString(shown)
			kept, i = end, end-1
			break
		}
	}
	return out.String() + s[kept:]
}

func (c *Cloak) show(hidden string) (string, bool) {
	if a, ok := c.Show(hidden); ok {
		return a.String(), true
	}
	p, ok := c.ShowPrefix(hidden)
	return p.String(), ok
}

// A sealed part is sealMark, a random salt and AES-256-GCM's output. Every part
// has a key of its own, made from the salt with HKDF (RFC 5869), so that the bound
// of NIST SP 800-38D section 8.3 on random nonces is never near, however often a
// snapshot is saved; hence the nonce may be fixed.
const (
	sealMark = "\xffsealed\x01"
	saltSize = 32
)

// Seal encrypts a part of the saved state; name is bound to it, so that parts
// cannot change places.
func (c *Cloak) Seal(name string, plain []byte) ([]byte, error) {
	out := make([]byte, len(sealMark)+saltSize, len(sealMark)+saltSize+len(plain)+16)
	copy(out, sealMark)
	if _, err := rand.Read(out[len(sealMark):]); err != nil {
		return nil, fmt.Errorf("identity: seal %s: %w", name, err)
	}
	aead, err := c.aead(name, out[len(sealMark):])
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, make([]byte, aead.NonceSize()), plain, []byte(name)), nil
}

// Open returns what Seal sealed; what is not sealed comes back as it is.
func (c *Cloak) Open(name string, data []byte) ([]byte, error) {
	if len(data) < len(sealMark)+saltSize || string(data[:len(sealMark)]) != sealMark {
		return data, nil
	}
	salt, text := data[len(sealMark):len(sealMark)+saltSize], data[len(sealMark)+saltSize:]
	aead, err := c.aead(name, salt)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open([]byte{}, make([]byte, aead.NonceSize()), text, []byte(name))
	if err != nil {
		return nil, errors.New("identity: the saved state is damaged, or was sealed with the key of another installation: restore the key file and the database from the same backup")
	}
	return plain, nil
}

func (c *Cloak) aead(name string, salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, c.seal[:], salt, "portcullis part", KeyBytes)
	if err != nil {
		return nil, fmt.Errorf("identity: seal %s: %w", name, err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("identity: seal %s: %w", name, err)
	}
	return cipher.NewGCM(block)
}

// HasAddress tells whether a cloak would change the text.
func HasAddress(s string) bool { return nobody.HideText(s) != s }

// nobody hides with a key that is no secret: it only finds addresses.
var nobody = func() *Cloak {
	c, _ := NewCloak([KeyBytes]byte{1}) // fails for the key of zeros alone
	return c
}()

// IsHidden tells whether s has the form of a hidden address or network.
func IsHidden(s string) bool {
	_, addr := decrypt(nobody.addr, s, hiddenAddr)
	_, net := decrypt(nobody.net, s, hiddenNet)
	return addr || net
}
