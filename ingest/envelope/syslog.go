package envelope

import "time"

// rfc3164 reads what follows the priority.
func rfc3164(h *Header, b []byte, ref time.Time) (msg []byte, ok bool) {
	ns, n := bsdTime(b, ref)
	if n == 0 {
		ns, n = rfc3339(b)
	}
	if n == 0 {
		if h.Priority < 0 {
			return nil, false
		}
		// HAProxy's "short" and what systemd passes on: a priority and the text.
		rest, _ := tag(h, b)
		return rest, true
	}
	if n < len(b) && b[n] == ':' { // "Jan _2 15:04:05: " of some switches
		n++
	}
	if n < len(b) && b[n] != ' ' {
		return nil, false
	}
	h.Time = ns
	b = b[min(n+1, len(b)):]
	if rest, ok := tag(h, b); ok {
		return rest, true
	}
	host, rest, found := word(b)
	if !found {
		return b, true // one word: text
	}
	h.Host = text(host)
	for len(rest) > 0 && rest[0] == ' ' {
		rest = rest[1:]
	}
	rest, _ = tag(h, rest)
	return rest, true
}

// longestTag bounds the search; RFC 3164 says 32, journald and Docker write more.
const longestTag = 128

// tag takes "name: " or "name[pid]: " off b. Without one b comes back whole.
func tag(h *Header, b []byte) (rest []byte, ok bool) {
	end := 0
	for end < len(b) && end < longestTag && tagByte[b[end]] {
		end++
	}
	if end == 0 || end == len(b) {
		return b, false
	}
	at := end
	if b[at] == '[' {
		for at < len(b) && at < end+longestTag && b[at] != ']' && b[at] != ' ' {
			at++
		}
		if at >= len(b) || b[at] != ']' {
			return b, false
		}
		at++
	}
	if at >= len(b) || b[at] != ':' || at+1 < len(b) && b[at+1] != ' ' {
		return b, false
	}
	h.App = text(b[:end])
	if at > end {
		h.ProcID = text(b[end+1 : at-1])
	}
	return b[min(at+2, len(b)):], true
}

// tagByte holds what a tag is made of: no colon, so that an IPv6 address is none,
// and nothing that JSON or a quoted field begins with.
var tagByte = func() (t [256]bool) {
	for c := '!'; c <= '~'; c++ {
		t[c] = true
	}
	for _, c := range `:[]{}"<>=,;` {
		t[c] = false
	}
	return t
}()

// rfc5424 reads what follows the version: TIMESTAMP HOSTNAME APP-NAME PROCID
// MSGID STRUCTURED-DATA [MSG]. Lengths are not held against the sender.
func rfc5424(h *Header, b []byte) (msg []byte, ok bool) {
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	} else {
		ns, n := rfc3339(b)
		if n == 0 {
			return nil, false
		}
		h.Time = ns
		b = b[n:]
	}
	if len(b) == 0 || b[0] != ' ' {
		return nil, false
	}
	b = b[1:]
	for _, field := range [...]*string{&h.Host, &h.App, &h.ProcID, &h.MsgID} {
		value, rest, ok := word(b)
		if !ok || len(value) == 0 {
			return nil, false
		}
		if len(value) > 1 || value[0] != '-' {
			*field = text(value)
		}
		b = rest
	}
	n := structured(b)
	if n == 0 {
		return nil, false
	}
	b = b[n:]
	if len(b) == 0 {
		return b, true
	}
	if b[0] != ' ' {
		return nil, false
	}
	b = b[1:]
	if len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF {
		b = b[3:]
	}
	return b, true
}

// structured returns the length of the STRUCTURED-DATA that b begins with, 0
// where it is not closed. Only quotes and brackets are looked at.
func structured(b []byte) int {
	if len(b) > 0 && b[0] == '-' {
		return 1
	}
	at := 0
	for at < len(b) && b[at] == '[' {
		n := element(b[at:])
		if n == 0 {
			return 0
		}
		at += n
	}
	return at
}

// element returns the length of one SD-ELEMENT.
func element(b []byte) int {
	quoted := false
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++ // the escaped byte; before any other byte a backslash is itself
		case c == '"':
			quoted = !quoted
		case c == ']' && !quoted:
			return i + 1
		}
	}
	return 0
}
