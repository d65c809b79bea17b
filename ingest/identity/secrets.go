package identity

import "strings"

// secrecy says whether a name is that of a secret.
type secrecy uint8

const (
	notSecret      secrecy = iota
	secret                 // wherever it stands
	secretInQuery          // as a parameter; elsewhere the word means something else
	secretIfOpaque         // as a parameter, if its value looks random
	pathParameter          // a secret that stands in the path: ;jsessionid=
)

// longestName bounds the look back for a name.
const longestName = 64

// nameBefore returns the name that ends at end, without the brackets of user[password].
func nameBefore(line string, start, end int) string {
	for {
		switch {
		case end > start && line[end-1] == ']':
			end--
			continue
		case end-3 >= start && (line[end-3:end] == "%5D" || line[end-3:end] == "%5d"):
			end -= 3
			continue
		}
		break
	}
	from := end
	for from > start && end-from < longestName && isNameByte(line[from-1]) {
		from--
	}
	// In a URL within a URL the name begins behind an escaped ? or & or [.
	name := line[from:end]
	if from > start && line[from-1] == '%' && len(name) > 2 && isHex(name[0]) && isHex(name[1]) {
		name = name[2:]
	}
	return name
}

func isHex(c byte) bool { return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'f' }

func isNameByte(c byte) bool {
	return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == '-' || c == '.'
}

// secretName sorts a name, whatever its case and punctuation: access_token,
// accessToken and X-Access-Token are one.
func secretName(name string) secrecy {
	if len(name) < 3 || len(name) >= longestName {
		return notSecret
	}
	var b [longestName]byte
	n := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'A' && c <= 'Z':
			b[n] = c | 0x20
			n++
		case c != '_' && c != '-' && c != '.':
			b[n] = c
			n++
		}
	}
	// Nothing of it escapes, so that the conversion does not allocate in the switch.
	switch squeezed := string(b[:n]); squeezed {
	case "pwd", "pass", "authorization", "proxyauthorization", "auth", "xapikey", "session", "sid", "phpsessid",
		"connectsid", "aspnetsessionid", "passphrase", "privatekey", "otp", "cookie", "signature", "xamzsignature":
		return secret
	case "jsessionid":
		return pathParameter
	case "code", "ticket", "assertion":
		return secretInQuery
	case "key":
		return secretIfOpaque
	default:
		for _, end := range [...]string{"password", "passwd", "secret", "token", "apikey", "sessionid"} {
			if strings.HasSuffix(squeezed, end) {
				return secret
			}
		}
	}
	return notSecret
}

// opaqueRun returns the end of a value that looks random, 16 bytes or more of letters
// and digits, or at. "key" is the name of an API key at some providers and of
// anything at others.
func opaqueRun(line string, at int) int {
	letters, digits, i := 0, 0, at
	for ; i < len(line); i++ {
		c := line[i]
		if c-'0' <= 9 {
			digits++
		} else if c|0x20 >= 'a' && c|0x20 <= 'z' {
			letters++
		} else if c != '-' && c != '_' {
			break
		}
	}
	if i-at < 16 || letters == 0 || digits == 0 {
		return at
	}
	return i
}

// card takes a payment card number: 13 to 19 digits, in groups or not, of a known
// issuer's range and with the right check digit (Luhn, ISO/IEC 7812-1).
func card(line string, i int) (from, to int) {
	if i > 0 && (isNameByte(line[i-1]) || line[i-1] == '%') && line[i-1] != '-' {
		return 0, 0
	}
	var digits [20]byte
	n := 0
	for to = i; to < len(line); to++ {
		c := line[to]
		if c-'0' <= 9 {
			if n == len(digits) {
				return 0, 0
			}
			digits[n] = c - '0'
			n++
			continue
		}
		group := (c == '-' || c == ' ' || c == '+') && n > 0 && n%4 == 0 && to+1 < len(line) && line[to+1]-'0' <= 9
		if !group {
			break
		}
	}
	if n < 13 || n > 19 || to < len(line) && isNameByte(line[to]) && line[to] != '.' || !issued(digits[:n]) || !luhn(digits[:n]) {
		return 0, 0
	}
	return i, to
}

// issued tells whether a number's beginning and length are those of a card scheme.
func issued(d []byte) bool {
	two := int(d[0])*10 + int(d[1])
	switch n := len(d); {
	case d[0] == 4:
		return n == 13 || n == 16 || n == 19
	case two == 34 || two == 37:
		return n == 15
	case two >= 51 && two <= 55, two >= 22 && two <= 27, two == 35:
		return n == 16
	case two == 30 || two == 36 || two == 38 || two == 39:
		return n == 14
	case d[0] == 6:
		return n >= 16
	}
	return false
}

func luhn(d []byte) bool {
	sum := 0
	for i := range d {
		v := int(d[len(d)-1-i])
		if i%2 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}
