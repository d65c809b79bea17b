package inspect

import "bytes"

// Values that are nothing but the name of a class or a call of a function which runs
// code. People search for such names, so a parameter that takes words to search for
// may hold one; nobody gives one as an order number.

// searchNames are parameters that hold words of people.
var searchNames = []string{"q", "s", "query", "search", "term", "terms", "keyword", "keywords", "text", "title", "subject", "message", "comment", "body", "content", "description", "topic", "tag", "tags", "question", "p", "k", "kw", "wd", "word", "searchterm", "search_query", "note", "notes"}

// searched says whether the current field may hold words to search for.
func (l *look) searched() bool {
	name := l.name
	if i := bytes.LastIndexByte([]byte(name), '.'); i >= 0 {
		name = name[i+1:]
	}
	for _, s := range searchNames {
		if len(name) == len(s) && containsFold(name, s) {
			return true
		}
	}
	return false
}

// javaRoots begin the full names of classes that injected Java uses.
var javaRoots = []string{"java.lang.", "java.io.", "java.net.", "java.util.", "java.beans.", "java.rmi.", "javax.script.", "javax.naming.", "javax.management.", "com.sun.", "com.opensymphony", "org.apache.commons.", "org.apache.xalan.", "org.apache.tomcat.", "org.apache.struts", "ognl.", "sun.misc.", "sun.reflect.", "java.evil."}

// gadgets are classes of Commons Collections that chains of serialised objects are
// made of; no text names them that is not about such chains.
var gadgets = []string{"invokertransformer", "clonetransformer", "instantiatetransformer", "chainedtransformer", "forclosure", "whileclosure", "instantiatefactory", "prototypeclonefactory"}

// classes weighs the name of a class as the whole value or name.
func (l *look) classNames() {
	t := bytes.TrimSpace(l.text)
	gadget := (l.holds("former") || l.holds("closure") || l.holds("factory")) && bytes.IndexByte(t, ' ') < 0
	for _, g := range gadgets {
		if !gadget {
			break
		}
		if i := bytes.Index(t, []byte(g)); i >= 0 {
			l.add(deserial, 55, "names a class that chains of serialised objects are made of", i, i+len(g))
			return
		}
	}
	if len(t) == 0 || !containsByte("jcos", t[0]) {
		return
	}
	for _, r := range javaRoots {
		if !bytes.HasPrefix(t, []byte(r)) && (len(t) != len(r)-1 || r[:len(t)] != string(t)) {
			continue
		}
		for _, b := range t {
			if !word(b) && b != '.' && b != '$' {
				return
			}
		}
		if !l.searched() && !hasAnySuffix(t, "exception", "error") {
			l.add(code, 50, "the full name of a Java class", 0, len(l.text))
		}
		return
	}
}

// runners are functions of PHP, JavaScript and Perl that run code, decode it or tell of
// the system.
var runners = wordSet(`
	eval exec system passthru shell_exec popen proc_open pcntl_exec assert create_function call_user_func call_user_func_array
	base64_decode base64_encode gzinflate gzuncompress gzdecode bzdecompress str_rot13 convert_uudecode unserialize phpinfo phpversion
	php_uname posix_getpwuid getmyuid get_current_user get_defined_functions get_defined_vars file_get_contents file_put_contents
	fopen readfile show_source highlight_file parse_ini_file fsockopen pfsockopen ini_set putenv getenv dl extract parse_str
	func_get_args register_shutdown_function preg_replace array_map usort include require include_once require_once
	atob btoa settimeout setinterval prompt alert confirm execscript importscripts fromcharcode unescape
	file chr hex2bin is_callable assert_options move_uploaded_file symlink chmod`)

func wordSet(list string) map[string]bool {
	out := map[string]bool{}
	for _, f := range bytes.Fields([]byte(list)) {
		out[string(f)] = true
	}
	return out
}

// loneCall weighs a value that is one call of such a function, with any blanks and
// comments before the parenthesis, which PHP allows.
func (l *look) loneCall() {
	if !l.seen.has('(') || l.searched() {
		return
	}
	t := bytes.TrimLeft(l.text, " \t\r\n;@")
	n := 0
	for n < len(t) && word(t[n]) {
		n++
	}
	if n < 2 {
		return
	}
	rest := skipBlanks(t[n:])
	if !runners[string(t[:n])] {
		if c := t[n:]; len(c) > 4 && (c[0] == '#' || c[0] == '/' && c[1] == '*') && len(rest) > 1 && rest[0] == '(' && rest[len(rest)-1] == ')' {
			l.add(code, 50, "a call with a comment before its parenthesis", 0, len(l.text))
		}
		return
	}
	if len(rest) < 2 || rest[0] != '(' {
		return
	}
	e := bytes.LastIndexByte(rest, ')')
	tail := bytes.TrimSpace(rest[max(e, 0)+1:])
	if e > 0 && (len(tail) == 0 || tail[0] == ';' && len(tail) < 3 || tail[0] == '[' && len(tail) < 6) || e < 0 && len(rest) < 3 {
		hidden := len(rest) < len(t)-n
		l.add(code, pick(e > 1 || hidden || len(tail) > 0 && tail[0] == '[', 55, 45), "a call of a function that runs or decodes code", 0, len(l.text))
	}
}

// skipBlanks drops blanks and comments of PHP.
func skipBlanks(t []byte) []byte {
	for {
		t = bytes.TrimLeft(t, " \t\r\n")
		switch {
		case bytes.HasPrefix(t, []byte("/*")):
			e := bytes.Index(t, []byte("*/"))
			if e < 0 {
				return t
			}
			t = t[e+2:]
		case bytes.HasPrefix(t, []byte("//")), len(t) > 0 && t[0] == '#':
			e := bytes.IndexByte(t, '\n')
			if e < 0 {
				return t
			}
			t = t[e:]
		default:
			return t
		}
	}
}

// wrapped weighs (system)('id') and ("sys"."tem")('id'): PHP that calls a name put in
// parentheses, and $_['x'](1): one that is taken from a list.
func (l *look) wrapped() {
	if !l.seen.has('(') || !l.seen.any(")]}") {
		return
	}
	out, ends := l.loose[:0], true // whether a comment may still end
	for i := 0; i < min(len(l.text), wrappedBytes); i++ {
		switch b := l.text[i]; b {
		case '\'', '"', '.', ' ', '\t', '\n', '[', ']', '{', '}', '0':
		case '/':
			if ends && i+1 < len(l.text) && l.text[i+1] == '*' {
				if e := bytes.Index(l.text[i+2:], []byte("*/")); e >= 0 {
					i += e + 3
					continue
				}
				ends = false
			}
			out = append(out, b)
		default:
			out = append(out, b)
		}
	}
	l.loose = out
	called := bytes.Contains(out, []byte(")(")) || bytes.Contains(out, []byte("(string)"))
	if !called && !l.seen.any("'\"$") {
		return
	}
	for _, name := range [...]string{"system", "exec", "passthru", "shell_exec", "popen", "assert", "phpinfo", "proc_open", "eval"} {
		if i := l.find(name); i > 0 && i+len(name)+1 < len(l.text) && (l.text[i-1] == '"' || l.text[i-1] == '\'') && l.text[i+len(name)] == l.text[i-1] && l.text[i+len(name)+1] == '(' {
			l.add(code, 55, "PHP that calls a function by its name in quotes", i-1, i+len(name)+8)
			return
		}
		if !called {
			continue
		}
		i := bytes.Index(out, []byte(name+")("))
		if i < 0 || i > 0 && word(out[i-1]) {
			if i = bytes.Index(out, []byte("(string)"+name+"(")); i < 0 {
				continue
			}
		}
		l.add(code, 55, "PHP that calls a function by a name in parentheses", 0, len(l.text))
		return
	}
	l.pieced()
	l.listed()
}

// pieced finds (sy.(st).em)(id) and ($y)(id): a name put together from bare words, or in
// a variable, in parentheses that are then called.
func (l *look) pieced() {
	t := l.text[:min(len(l.text), wrappedBytes)]
	for n, from := 0, 0; n < 8; n++ {
		k := bytes.Index(t[from:], []byte(")("))
		if k < 0 {
			return
		}
		end := from + k
		from = end + 2
		i, depth, dots, letters := end, 1, 0, 0
		for i > 0 && depth > 0 {
			i--
			switch b := t[i]; {
			case b == ')':
				depth++
			case b == '(':
				depth--
			case b == '.':
				dots++
			case word(b):
				letters++
			case b == '$' && i > 0 && t[i-1] == '(' && depth == 1 && dots == 0:
			default:
				depth = -1
			}
		}
		if depth != 0 || letters == 0 || i > 0 && (word(t[i-1]) || t[i-1] == ')') {
			continue
		}
		body := t[i+1 : end]
		bare := bytes.Map(func(r rune) rune { return pickRune(r == '.' || r == '(' || r == ')', -1, r) }, body)
		if dots > 0 && runners[string(bare)] || body[0] == '$' && from < len(t) && containsByte("'\"", t[from]) {
			l.add(code, 55, "PHP that calls a function by a name in parentheses", i, min(len(l.text), end+8))
			return
		}
	}
}

func pickRune(cond bool, yes, no rune) rune {
	if cond {
		return yes
	}
	return no
}

// wrappedBytes is how much of a field is read for such calls.
const wrappedBytes = 1024

// listed finds $_['x'](…) and ${@$b}(…).
func (l *look) listed() {
	t := l.text
	for n, from := 0, 0; n < 8; n++ {
		k := bytes.IndexByte(t[from:], '$')
		if k < 0 {
			return
		}
		i := from + k + 1
		from = i
		brackets := 0
		for i < len(t) && (word(t[i]) || t[i] == '$' || t[i] == '@') {
			i++
		}
		for i < len(t) && (t[i] == '[' || t[i] == '{') {
			e := bytes.IndexAny(t[i:min(len(t), i+48)], "]}")
			if e < 0 {
				break
			}
			i += e + 1
			brackets++
			for i < len(t) && (t[i] == ']' || t[i] == '}') {
				i++
			}
		}
		if brackets > 0 && i > from+2 {
			if rest := skipBlanks(t[i:]); len(rest) > 1 && rest[0] == '(' {
				l.add(code, 50, "PHP that calls a function out of a list", from-1, i+4)
				return
			}
		}
	}
}
