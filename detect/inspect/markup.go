package inspect

import (
	"bytes"
	"unsafe"

	libinjection "github.com/corazawaf/libinjection-go"
)

// markup looks for what a browser would run: tags with handlers, script URLs,
// and code that breaks out of an attribute or a string.
func (l *look) markup(ctx context) {
	t := l.text
	lt := bytes.IndexByte(t, '<')
	if lt >= 0 {
		l.tags(lt)
	}
	if l.in.canon.flags&sawPadded != 0 && ctx != ctxAgent && l.seen.any("<>") {
		l.add(xss, pick(len(t) < 4, 50, 30), "brackets written with leading zeros", max(lt, 0), max(lt, 0)+8)
	}
	quoted := l.seen.any("\"'`")
	bare := ctx == ctxAgent && lt < 0 && !quoted // no gate knows markup in it
	if l.seen.has('=') && !bare {
		l.attributes(lt)
	}
	if l.seen.has(':') {
		whole := l.holds("script:") || l.holds("data:")
		if end := schemeAt(t, 0); end > 0 && (l.seen.any("(`") && !bare || whole && (t[0] != 'j' && t[0] != 'v' || l.seen.has('='))) {
			l.add(xss, 30, "a script URL as the whole value", 0, end)
		}
	}
	if l.seen.any("(`") && !bare {
		l.breakout()
	}
	if !bare {
		l.styles()
	}
	if ctx != ctxAgent {
		l.scripts()
		l.unopened(lt)
	}
	if lt < 0 && (!quoted || !l.seen.has('=')) {
		return
	}
	own := 0
	for _, e := range l.ev {
		if e.class == xss {
			own += e.weight
		}
	}
	if own >= 100 || own == 0 && l.tired() && len(l.support) == 0 {
		return
	}
	from := max(0, max(lt, 0)-32)
	part := t[from:min(len(t), from+libinjectionBytes)]
	l.work += len(part)
	l.spent += costWitness * len(part)
	if len(part) > 2 && libinjection.IsXSS(unsafe.String(unsafe.SliceData(part), len(part))) { // less runs nothing
		l.add(xss, pick(own >= 35, 25, pick(lt >= 0, 15, 10)), "libinjection reads a script in it", max(lt, 0), len(t))
	}
}

// tagWeights are elements that load or run something by being there.
var tagWeights = map[string]int{
	"script": 70, "iframe": 45, "object": 35, "embed": 45, "applet": 50, "base": 40, "meta": 12, "link": 15,
	"svg": 25, "math": 20, "form": 20, "isindex": 50, "frameset": 40, "frame": 35, "layer": 50, "ilayer": 50,
	"bgsound": 50, "xml": 35, "style": 25, "marquee": 50, "import": 35, "video": 15, "audio": 15, "img": 10,
	"body": 20, "input": 12, "details": 15, "animate": 35, "set": 35, "foreignobject": 40, "noscript": 20,
	"html": 15, "xss": 50, "portal": 50, "fencedframe": 50, "handler": 40, "listener": 40, "event-source": 40, "vmlframe": 50, "template": 15, "plaintext": 40,
}

// drawn are elements that people do not write, and editors of text do not begin with.
var drawn = map[string]bool{"svg": true, "math": true, "style": true, "form": true, "body": true, "import": true, "set": true, "animate": true, "noscript": true}

// idle are elements that load nothing by themselves, and whose names are words.
var idle = map[string]bool{"object": true, "embed": true, "set": true, "xml": true, "frame": true, "layer": true, "applet": true}

// maxTags bounds the tags read in one field.
const maxTags = 64

// tags reads elements from the first '<' on.
func (l *look) tags(from int) {
	t := l.text
	for n := 0; n < maxTags && from >= 0 && from+1 < len(t); n++ {
		i := from + 1
		closing := t[i] == '/'
		for i < len(t) && (t[i] == '/' || t[i] < 0x20) {
			i++
		}
		start := i
		for i < len(t) && (alnum(t[i]) || t[i] == '-' || t[i] == ':') {
			i++
		}
		name := t[start:i]
		if c := bytes.LastIndexByte(name, ':'); c >= 0 {
			name = name[c+1:]
		}
		if len(name) > 0 && alpha(name[0]) || i < len(t) && t[start] == '?' {
			l.tag(from, i, name, closing)
		}
		next := bytes.IndexByte(t[from+1:], '<')
		if next < 0 {
			return
		}
		from += 1 + next
	}
}

// tag weighs one element: its name, then its attributes.
func (l *look) tag(at, i int, name []byte, closing bool) {
	t := l.text
	end := i
	for end < len(t) && t[end] != '<' && end-i < 1024 {
		end++
	}
	w := tagWeights[string(name)]
	switch {
	case string(name) == "script" && closing:
		w = 40
	case string(name) == "script" && !scripted(t[i:]):
		w = pick(len(bytes.Trim(t, " ")) == i-at+1 && !l.searched(), 50, 30) // someone asks about the tag
	case closing:
		w = 0
	case w >= 35 && idle[string(name)] && bytes.IndexByte(t[i:end], '=') < 0:
		w /= 2 // it does nothing without an attribute
	}
	if at == 0 && w >= 20 && w < 45 && !closing && drawn[string(name)] && !l.searched() {
		w += 10 // a value that begins with it
	}
	if w > 0 && (i >= len(t) || !word(t[i])) {
		l.addCertain(xss, w, "an HTML element that loads or runs something", at, i, false)
	}
	attrs := t[i:end]
	if slashed(attrs) && !closing {
		l.addCertain(xss, 50, "an HTML element with a slash for the blank before its attributes", at, i+8, false)
	}
	if h := handler(attrs); h >= 0 {
		l.addCertain(xss, 75, "an HTML element with an event handler", at, i+h+12, false)
	}
	if bytes.IndexByte(attrs, '=') >= 0 {
		l.scriptURL(i, attrs)
		l.sends(i, name, attrs)
		l.dangling(at, i, name, attrs)
	}
}

// scripted says whether what follows "<script" holds attributes or code.
func scripted(t []byte) bool {
	if len(t) > 0 && t[0] != '>' {
		return true
	}
	return bytes.ContainsAny(t[:min(len(t), 256)], "(=`/;+[{")
}

// handler returns where on…= stands in the attributes, or -1.
func handler(attrs []byte) int {
	for i := 0; i+4 < len(attrs); i++ {
		if attrs[i] != 'o' || attrs[i+1] != 'n' || i > 0 && (word(attrs[i-1]) || attrs[i-1] == '.') {
			continue
		}
		j := i + 2
		for j < len(attrs) && alpha(attrs[j]) {
			j++
		}
		k := j
		for k < len(attrs) && (blank(attrs[k]) || attrs[k] < 0x20) {
			k++
		}
		if j-i >= 4 && j-i <= 40 && k < len(attrs) && attrs[k] == '=' && string(attrs[i:j]) != "only" && string(attrs[i:j]) != "once" {
			return i
		}
	}
	return -1
}

// scriptSchemes run code when a browser follows them.
var scriptSchemes = []string{"javascript:", "vbscript:", "livescript:", "mocha:", "data:text/html", "data:image/svg", "data:application/x", "data:,", "data:text/javascript", "view-source:javascript", "jar:http"}

// scriptURL looks for a script URL as an attribute's value, with the blanks and
// control bytes that browsers drop.
func (l *look) scriptURL(base int, attrs []byte) {
	for i := 0; i < len(attrs); i++ {
		if attrs[i] != '=' && attrs[i] != '(' && attrs[i] != ';' {
			continue
		}
		if end := schemeAt(attrs, i+1); end > 0 {
			l.add(xss, 75, "a script URL in an HTML attribute", base+i, base+end)
			return
		}
	}
}

// schemeAt says where the script scheme that begins at i ends, or 0.
func schemeAt(t []byte, i int) int {
	var norm [24]byte
	n, j := 0, i
	for j < len(t) && n < len(norm) && j < i+64 {
		b := t[j]
		j++
		if b <= 0x20 || b == '\\' || n == 0 && (b == '"' || b == '\'' || b == '`') {
			continue
		}
		if n == 0 && !containsByte("jvlmd", b) { // no scheme begins like that
			return 0
		}
		norm[n] = b
		n++
	}
	for _, s := range scriptSchemes {
		if n >= len(s) && string(norm[:len(s)]) == s {
			return j
		}
	}
	return 0
}

// attributes looks for handlers that break out of an attribute's value, and
// for a script URL as the whole value.
func (l *look) attributes(lt int) {
	t := l.text
	q := bytes.IndexAny(t, "\"'`>")
	if lt < 0 {
		if h := handler(t); h >= 0 && codeAfter(t, h) {
			l.add(xss, 55, "an event handler with code", h, h+16)
			return
		}
	}
	if q >= 0 {
		if h := handler(t[q:]); h >= 0 {
			l.add(xss, pick(codeAfter(t, q+h), 65, 40), "a quote closes an attribute and a handler follows", q, q+h+16)
		}
	}
}

// codeAfter says whether what follows the handler at h reads like a script.
func codeAfter(t []byte, h int) bool {
	rest := t[h:min(len(t), h+96)]
	eq := bytes.IndexByte(rest, '=')
	if eq < 0 {
		return false
	}
	rest = rest[eq+1:]
	if bytes.ContainsAny(rest, "(`") || bytes.Contains(rest, []byte("script:")) {
		return true
	}
	return bytes.ContainsAny(rest, "'\"<>;{}|$") && // or else no gate knows it
		(bytes.Contains(rest, []byte("document")) || bytes.Contains(rest, []byte("location")) || bytes.Contains(rest, []byte("window")))
}

// scriptCalls are what proofs of concept call.
var scriptCalls = []string{"alert", "prompt", "confirm", "eval", "fetch", "settimeout", "setinterval", "string.fromcharcode", "document.write", "importscripts", "console.log"}

// breakout looks for a call that stands where a string or statement was closed:
// ';alert(1)// or "-alert(1)-".
func (l *look) breakout() {
	t := l.text
	for n, from := 0, 0; n < 16; n++ {
		i := bytes.IndexAny(t[from:], "(`")
		if i < 0 {
			return
		}
		i += from
		from = i + 1
		end := i
		for end > 0 && blank(t[end-1]) {
			end--
		}
		start := end
		for start > 0 && (word(t[start-1]) || t[start-1] == '.') {
			start--
		}
		if start < end && escapedBefore(t, start+1) {
			start++
		}
		name := string(t[start:end])
		for _, c := range scriptCalls {
			if name == c || len(name) > len(c) && (name == "window."+c || name == "self."+c || name == "top."+c || name == "parent."+c) {
				l.call(start, i)
				break
			}
		}
	}
}

// call weighs a script call by what stands before it.
func (l *look) call(start, open int) {
	t := l.text
	k := start
	for k > 0 && (blank(t[k-1]) || t[k-1] == '!' || t[k-1] == '(' || escapedBefore(t, k)) {
		k -= pick(escapedBefore(t, k), 2, 1)
	}
	if open+1 < len(t) && t[open] == '(' && t[open+1] == ')' && k == 0 {
		l.add(xss, 5, "a script call without arguments", start, open+2)
		return
	}
	quoted := bytes.ContainsAny(t[:start], "'\"`") || curly(t[:start])
	if l.nested(start, k, open) {
		return
	}
	switch {
	case k == 0:
		l.add(xss, pick(dialogProbe(t[start:]) || literalCall(t[start:]), 50, 25), "a script call", start, open+8)
	case (k == 1 && containsByte("+-|;&", t[0]) || t[k-1] == ';' || t[k-1] == '-') && literalCall(t[start:]):
		l.add(xss, 50, "a script call behind an operator, to the end", k-1, open+8)
	case containsByte(";+-*/&|^%,?:=>}{", t[k-1]) && closed(t, open):
		cut := quoted && t[k-1] == ';' && bytes.HasSuffix(t, []byte("//"))
		l.add(xss, pick(dialog(t[start:open]), 60, pick(cut, 50, 35)), "a script call between operators", k-1, open+8)
	case containsByte(";+-*/&|^%,?:=>}{", t[k-1]) && quoted:
		l.add(xss, 60, "a string is closed and a script call follows", k-1, open+8)
	case (t[k-1] == '"' || t[k-1] == '\'') && k > 1 && t[k-2] == '=' && dialog(t[start:open]) && !l.searched():
		l.add(xss, 50, "a script call at the beginning of a string", k-1, open+8)
	case containsByte(";+-*&|^=>}{`:", t[k-1]):
		l.add(xss, pick(dialog(t[start:open]) && !l.searched() && !inProse(t), 50, 35), "a script call behind an operator", k-1, open+8)
	}
}

// dialogProbe says whether t is a dialog call that is followed by what closes a tag
// or a string: alert(1);> is a proof of concept, alert(1) may be a question.
func dialogProbe(t []byte) bool {
	if !bytes.HasPrefix(t, []byte("alert")) && !bytes.HasPrefix(t, []byte("prompt")) && !bytes.HasPrefix(t, []byte("confirm")) {
		return false
	}
	e := bytes.IndexByte(t[:min(len(t), 64)], ')')
	if e < 0 {
		return false
	}
	rest := bytes.TrimLeft(t[e+1:], "; ")
	return len(rest) > 0 && containsByte(`>"'<}/`, rest[0])
}

// curly says whether t holds a typographic quote, which some charsets turn into a
// plain one.
func curly(t []byte) bool {
	i := bytes.Index(t, []byte("\xe2\x80"))
	return i >= 0 && i+2 < len(t) && t[i+2] >= 0x98 && t[i+2] <= 0x9D
}

// unopened weighs a tag that the value closes without having opened it: "><…
func (l *look) unopened(lt int) {
	t := l.text
	gt := bytes.IndexByte(t, '>')
	if gt < 1 || gt > 32 || lt < gt {
		return
	}
	i := gt - 1
	for i > 0 && (blank(t[i]) || t[i] == '/') {
		i--
	}
	if t[i] != '"' && t[i] != '\'' && t[i] != '`' {
		return
	}
	next := lt + 1
	if next < len(t) && t[next] == '/' {
		next++
	}
	if next < len(t) && (alpha(t[next]) || t[next] == '!') && len(bytes.TrimLeft(t[gt:lt], "> '\"`")) == 0 {
		l.add(xss, 50, "closes a tag that it did not open, and begins another", i, lt+8)
	}
}

// dialog says whether name is a call that shows a script runs, or runs another.
func dialog(name []byte) bool {
	for _, d := range dialogs {
		if bytes.HasSuffix(bytes.TrimRight(name, " "), []byte(d)) {
			return true
		}
	}
	return false
}
