package identity

import "strings"

// secrecy says whether a name is that of a secret, and where.
type secrecy uint8

const (
	notSecret      secrecy = iota
	secret                 // wherever it stands
	secretInQuery          // as a parameter; elsewhere the word means something else
	secretIfOpaque         // as a parameter, if its value looks random
	pathParameter          // a secret that stands in the path: ;jsessionid=
	pairName               // "name": its value may name a secret, whose value follows
	kept                   // not secret, says the config
)

// nature is what a name tells of its value.
type nature struct {
	how    secrecy
	kind   byte // kindKey, kindToken, ...
	cookie bool // the value is a list of cookies
	set    bool // ... with attributes, as in Set-Cookie
}

// vocabulary knows names, squeezed: lower case, without punctuation.
type vocabulary struct {
	exact map[string]nature
	ends  []ending
	tails [1 << 9]uint64 // the set of the last three bytes of all names, as tail makes them

	digits bool // some name ends with a digit
}

type ending struct {
	end string
	nature
}

// Classes of secrets, as the config names them.
const (
	classKeys      = "keys"
	classTokens    = "tokens"
	classCookies   = "cookies"
	classPasswords = "passwords"
	classCards     = "cards"
	classEmails    = "emails"
	classIBANs     = "ibans"
)

var allClasses = []string{classKeys, classTokens, classCookies, classPasswords, classCards, classEmails, classIBANs}

// classNames are the names of each class: exact ones, then endings.
var classNames = map[string]struct {
	kind       byte
	exact, end []string
}{
	classKeys:      {kindKey, nil, []string{"apikey", "subscriptionkey", "accesskey"}},
	classTokens:    {kindToken, []string{"auth", "signature", "xamzsignature", "xamzsecuritytoken"}, []string{"token", "authorization"}},
	classCookies:   {kindSession, []string{"session", "sid", "phpsessid", "connectsid", "aspnetsessionid"}, []string{"sessionid"}},
	classPasswords: {kindPlain, []string{"pwd", "pass", "passphrase", "privatekey", "otp"}, []string{"password", "passwd", "secret"}},
}

// newVocabulary builds the names of the classes, the config's own, and the session
// cookies; keep takes names out.
func newVocabulary(has func(class string) bool, extra, keep, cookies []string) *vocabulary {
	v := &vocabulary{exact: map[string]nature{"name": {how: pairName}, "key": {how: pairName}}}
	for class, names := range classNames {
		if !has(class) {
			continue
		}
		for _, n := range names.exact {
			v.exact[n] = nature{how: secret, kind: names.kind}
		}
		for _, n := range names.end {
			v.ends = append(v.ends, ending{n, nature{how: secret, kind: names.kind}})
		}
	}
	if has(classKeys) {
		v.exact["key"] = nature{how: secretIfOpaque, kind: kindKey}
	}
	if has(classTokens) {
		for _, n := range []string{"code", "ticket", "assertion"} {
			v.exact[n] = nature{how: secretInQuery, kind: kindToken}
		}
	}
	if has(classCookies) {
		for _, n := range cookies {
			v.exact[squeeze(n)] = nature{how: secret, kind: kindSession}
		}
		v.exact["jsessionid"] = nature{how: pathParameter, kind: kindSession}
		v.ends = append(v.ends, ending{"setcookie", nature{how: secret, kind: kindSession, cookie: true, set: true}},
			ending{"cookie", nature{how: secret, kind: kindSession, cookie: true}},
			ending{"cookies", nature{how: secret, kind: kindSession, cookie: true}})
	}
	for _, n := range extra {
		v.exact[squeeze(n)] = nature{how: secret, kind: kindPlain}
	}
	for _, n := range keep {
		v.exact[squeeze(n)] = nature{how: kept}
	}
	for n := range v.exact {
		v.note(n)
	}
	for _, e := range v.ends {
		v.note(e.end)
	}
	return v
}

func squeeze(name string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(name))
}

// note puts a name's last three bytes into the set.
func (v *vocabulary) note(name string) {
	if n := len(name); n >= 3 {
		at := tail(name[n-3], name[n-2], name[n-1])
		v.tails[at>>6] |= 1 << (at & 63)
		v.digits = v.digits || name[n-1]-'0' <= 9
	}
}

// tail mixes three bytes to 15 bits, the same for both cases of a letter.
func tail(a, b, c byte) uint {
	return uint(a&31)<<10 | uint(b&31)<<5 | uint(c&31)
}

// longestField bounds the look back for a name.
const longestField = 64

// find sorts a name, whatever its case and punctuation: access_token, accessToken and
// X-Access-Token are one.
func (v *vocabulary) find(name string) nature {
	if len(name) < 3 || len(name) >= longestField {
		return nature{}
	}
	var b [longestField]byte
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
	if found, ok := v.exact[string(b[:n])]; ok {
		return found
	}
	for i := range v.ends {
		end := v.ends[i].end
		if n >= len(end) && string(b[n-len(end):n]) == end {
			return v.ends[i].nature
		}
	}
	return nature{}
}

// before finds the name that ends at end, without the brackets of user[password]. In a
// URL within a URL, and in a text within JSON, the name begins behind an escaped
// ? or & or line end.
func (v *vocabulary) before(line string, start, end int) nature {
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
	for from > start && end-from < longestField && isNameByte(line[from-1]) {
		from--
	}
	name := line[from:end]
	if from > start {
		if n := escapeLen(line[from-1], name); n > 0 && n < len(name) {
			if found := v.find(name[n:]); found.how != notSecret {
				return found
			}
		}
	}
	return v.find(name)
}

// escapeLen returns how many bytes at the beginning of rest belong to an escape that c begins.
func escapeLen(c byte, rest string) int {
	switch {
	case c == '%' && len(rest) > 2 && isHex(rest[0]) && isHex(rest[1]):
		return 2
	case c != '\\' || rest == "":
		return 0
	case rest[0] == 'u' && len(rest) > 5:
		return 5
	case rest[0] == 'x' && len(rest) > 3:
		return 3
	case rest[0] == 'n' || rest[0] == 'r' || rest[0] == 't':
		return 1
	}
	return 0
}

func isHex(c byte) bool { return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'f' }

var nameBytes = func() (t [256]bool) {
	for c := range t {
		b := byte(c)
		t[c] = b-'0' <= 9 || b|0x20 >= 'a' && b|0x20 <= 'z' || b == '_' || b == '-' || b == '.'
	}
	return t
}()

func isNameByte(c byte) bool { return nameBytes[c] }

// isPunct marks what may stand within a name without being of it, and the ] behind one.
var isPunct = [256]bool{'_': true, '-': true, '.': true, ']': true}
