package identity

import "strings"

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
	if i > 1 && line[i-1] == '-' && isNameByte(line[i-2]) {
		return 0, 0 // the end of a UUID or another id
	}
	var digits [20]byte
	n, groups := 0, 0
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
		groups++
	}
	if groups > 0 && groups != (n-1)/4 {
		return 0, 0
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

// personal replaces e-mail addresses and bank account numbers, where the config wants it.
func (r *Redactor) personal(line string) string {
	var out strings.Builder
	kept := 0
	for i := 0; i < len(line); i++ {
		from, to := 0, 0
		switch c := line[i]; {
		case c == '@' && r.emails:
			from, to = email(line, i, kept)
		case c >= 'A' && c <= 'Z' && r.ibans:
			from, to = iban(line, i)
		}
		if to <= from {
			continue
		}
		out.WriteString(line[kept:from])
		r.write(&out, line[from:to], kindPlain, false)
		kept, i = to, to-1
	}
	if kept == 0 {
		return line
	}
	return out.String() + line[kept:]
}

// email takes an address around the @ at line[i], as people have them: dot-atom and a
// domain (RFC 5322, section 3.4.1).
func email(line string, i, start int) (from, to int) {
	from = i
	for from > start && i-from < 64 && (isNameByte(line[from-1]) || line[from-1] == '+') {
		from--
	}
	dot := 0
	for to = i + 1; to < len(line) && to-i < 255 && isNameByte(line[to]) && line[to] != '_'; to++ {
		if line[to] == '.' {
			dot = to
		}
	}
	if from == i || dot <= i+1 || to-dot < 3 {
		return 0, 0
	}
	return from, to
}

// iban takes a bank account number: country, check digits, up to 30 letters and digits,
// and a remainder of 1 (ISO 13616, ISO/IEC 7064 MOD 97-10).
func iban(line string, i int) (from, to int) {
	if i > 0 && isNameByte(line[i-1]) {
		return 0, 0
	}
	for to = i; to < len(line) && (line[to]-'0' <= 9 || line[to] >= 'A' && line[to] <= 'Z'); to++ {
	}
	if to-i < 15 || to-i > 34 || line[i+1] < 'A' || line[i+2]-'0' > 9 || line[i+3]-'0' > 9 || to < len(line) && isNameByte(line[to]) {
		return 0, 0
	}
	rest := 0
	for _, c := range []byte(line[i+4:to] + line[i:i+4]) {
		if c >= 'A' {
			rest = (rest*100 + int(c-'A') + 10) % 97
		} else {
			rest = (rest*10 + int(c-'0')) % 97
		}
	}
	if rest != 1 {
		return 0, 0
	}
	return i, to
}
