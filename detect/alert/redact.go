package alert

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// redacted leaves out of a sentence what may tell a stranger who or what it is about:
// addresses and networks, paths, and everything in quotes, which is what clients sent.
// It keeps words and numbers. A word that could be either is left out.
func redacted(s string) string {
	s, sent, any := strings.Cut(s, "; first: ") // behind it stands what a client sent, as of rule injection
	if any {
		class, _, _ := strings.Cut(sent, " ")
		s += "; first: " + class + " [hidden]"
	}
	var b strings.Builder
	for s != "" {
		if s[0] == '"' {
			s = afterQuoted(s)
			b.WriteString("[hidden]")
			continue
		}
		n := strings.IndexFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == '"' })
		switch {
		case n == 0: // a blank
			b.WriteByte(' ')
			_, size := utf8.DecodeRuneInString(s)
			s = s[size:]
			continue
		case n < 0:
			n = len(s)
		}
		b.WriteString(redactedWord(s[:n]))
		s = s[n:]
	}
	return b.String()
}

// afterQuoted is what stands behind a quoted text, nothing where it does not end.
func afterQuoted(s string) string {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[i+1:]
		}
	}
	return ""
}

// redactedWord leaves a word out unless it is plainly one.
func redactedWord(w string) string {
	core := strings.TrimRight(w, ".,;:!?)")
	tail := w[len(core):]
	head := core[:len(core)-len(strings.TrimLeft(core, "("))]
	core = core[len(head):]
	switch {
	case core == "":
		return w
	case strings.ContainsAny(core, `/\?&=@%`):
		return head + "[path]" + tail
	case isAddress(core):
		return head + "[address]" + tail
	case strings.Contains(core, "_") && strings.ContainsAny(core, "0123456789"): // a hidden address or a pseudonym
		return head + "[hidden]" + tail
	}
	return w
}

// isAddress errs on the side of yes: what holds an address, and what looks like one.
func isAddress(w string) bool {
	if _, err := netip.ParseAddr(strings.Trim(w, "[]")); err == nil {
		return true
	}
	if _, err := netip.ParseAddrPort(w); err == nil {
		return true
	}
	return strings.Count(w, ":") >= 2 || digitsAndDots(w)
}

// digitsAndDots finds four numbers with dots between, also within a word.
func digitsAndDots(w string) bool {
	groups, digits := 0, 0
	for i := 0; i <= len(w); i++ {
		switch {
		case i < len(w) && w[i] >= '0' && w[i] <= '9':
			if digits++; digits == 1 {
				groups++
			}
		case i < len(w) && w[i] == '.' && digits > 0:
			digits = 0
		default:
			if groups >= 4 {
				return true
			}
			groups, digits = 0, 0
		}
	}
	return false
}
