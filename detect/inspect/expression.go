package inspect

import (
	"bytes"
	"slices"
)

// delimiter is a pair of brackets that template engines and expression
// languages evaluate.
type delimiter struct {
	open, shut string
	plain      int // weight of a bare name inside, which honest templates have too
}

var delimiters = []delimiter{
	{"{{", "}}", 5}, {"${", "}", 5}, {"#{", "}", 5}, {"%{", "}", 5}, {"*{", "}", 5}, {"@{", "}", 5},
	{"{%", "%}", 20}, {"<%", "%>", 25}, {"{#", "#}", 0}, {"@(", ")", 0}, {"[[", "]]", 0}, {"{php}", "{/php}", 50}, {"{$", "}", 0}, {"$((", "))", 0}, {"$[", "]", 0},
}

// expressionWords are what injected expressions reach for.
var expressionWords = []string{
	"__class__", "__mro__", "__subclasses__", "__globals__", "__builtins__", "__import__", "__init__", "__base__",
	"__getitem__", "__dict__", "getclass()", ".class.", "getruntime", "forname(", "processbuilder", "java.lang",
	"popen(", "exec(", "system(", "passthru", "shell_exec", "file_get_contents", "subprocess", "os.environ",
	"|attr(", "|filter(", "getclassloader", "|map(", "|sort(", "|join", "|e(", "lipsum", "cycler", "joiner", "self._", "self.", "config.",
	"config[", "settings.", "request.application", "request.", "request|", "registerundefinedfiltercallback",
	"getfilter", "freemarker", "?new(", "require(", "process.", "global.", "constructor", "eval(", "smarty.",
	"range.constructor", "@java", "springframework", "org.apache", "ifs}", "#context", "#_member", "range(", "dump(",
	"app.request", "_self.", "include(", "import os", "import ", "kernel.", "file.open", "io.popen", "dir.entries", "%x(", "`id`", "`ls",
	"applicationscope", "sessionscope", "requestscope", "pagecontext", "this.pop", "this.push", ".system", "#with", "%x|", "%x[", "eval ", "execute ", "request(",
	"|reduce(", "t(java.", "session.setattribute", "include '/", "include \"/", "extends '/", "extends \"/", "include('/", "source('/", "source(\"/",
	"file_excerpt(", "get_admin_log", "env['", "env[\"", "constant(", "attribute(_", "_self,", "messages.storages", "exec ", "$class.", "globalthis", "|find(", "open_basedir", "invoke(",
	"inspect(", ".items()", ".keys()", "url_for", "get_flashed_messages", "debug", "phpinfo", "sleep(", "new java",
}

var shortestWord = len(slices.MinFunc(expressionWords, func(a, b string) int { return len(a) - len(b) }))

// expressionMatcher finds them all in one pass.
var expressionMatcher = newMatcher(expressionWords)

// reached is the first of expressionWords that body holds as a word of its own, by where
// it stands first; "" for none. barren says that body holds none at all, so that no part of
// it does.
func reached(body []byte) (w string, barren bool) {
	if len(body) < shortestWord {
		return "", true
	}
	barren = true
	best := len(expressionWords)
	var known [4]uint64 // which were met before
	expressionMatcher.each(body, func(id int32, end int) {
		barren = false
		if known[id/64]>>(id%64)&1 != 0 {
			return
		}
		known[id/64] |= 1 << (id % 64)
		w := expressionWords[id]
		if at := end - len(w); int(id) < best && (at == 0 || !alpha(w[0]) || !word(body[at-1])) {
			best = int(id)
		}
	})
	if best < len(expressionWords) {
		w = expressionWords[best]
	}
	return w, barren
}

// maxExpressions bounds the brackets read in one field.
const maxExpressions = 16

// expressions weighs what stands inside template brackets. In an agent "@(" is ordinary:
// no gate looks for it there.
func (l *look) expressions(ctx context) {
	l.reached, l.barren = false, [2]int{}
	if !l.seen.any("{(%[") {
		return
	}
	if ctx == ctxValue && bracketed(l.text) && !l.searched() {
		l.add(ssti, 50, "a product in brackets as the whole value", 0, len(l.text))
	}
	for i := range delimiters {
		d := &delimiters[i]
		if !l.seen.has(d.open[0]) || !l.seen.has(d.open[1]) || ctx == ctxAgent && d.open == "@(" {
			continue
		}
		from := 0
		var last []byte
		for range maxExpressions {
			k := bytes.Index(l.text[from:], []byte(d.open))
			if k < 0 {
				break
			}
			at := from + k + len(d.open)
			body := l.text[at:min(len(l.text), at+192)]
			if e := bytes.Index(body, []byte(d.shut)); e >= 0 {
				body = body[:e]
			} else if d.open[1] == '%' {
				break // <%s is a format
			}
			if last == nil || !bytes.Equal(body, last) {
				l.expression(d, body, at-len(d.open), at+len(body)+len(d.shut))
			}
			from, last = at, body
		}
	}
}

// bracketed says whether t is nothing but a product in brackets of a template engine: {7*7},
// [[7*7]], [(7*7)].
func bracketed(t []byte) bool {
	if len(t) < 5 || len(t) > 24 || t[0] != '{' && t[0] != '[' {
		return false
	}
	inner := bytes.Trim(t, "{}[]()")
	a, b, ok := bytes.Cut(inner, []byte("*"))
	return ok && len(a) > 0 && len(b) > 0 && allDigits(a) && allDigits(b) && (t[0] == '{' || t[1] == '[' || t[1] == '(')
}

func (l *look) expression(d *delimiter, body []byte, at, end int) {
	if from := at + len(d.open); !l.reached && (from < l.barren[0] || from+len(body) > l.barren[1]) {
		l.spent += costBody * len(body)
		w, barren := reached(body)
		if barren {
			l.barren = [2]int{from, from + len(body)}
		}
		if w != "" {
			l.reached = len(w) > 6 || d.open == "{{"
			l.add(ssti, pick(l.reached, 65, 45), "a template expression that reaches for objects or commands", at, end)
		}
	}
	switch {
	case d.open[1] == '%' && constantIf(body):
		l.add(ssti, 55, "a template condition that is a constant", at, end)
	case d.open == "{{" && global(body):
		l.add(ssti, 50, "a template expression that prints an object of the framework", at, end)
	case d.open == "{{" && constantText(body):
		l.add(ssti, 50, "a template expression that calls something on a constant", at, end)
	case d.open == "<%" && global(bytes.TrimLeft(body, "=- ")), d.plain == 5 && d.open != "{{" && constantSum(body):
		l.add(ssti, 50, "a template expression of a constant, or of what the framework knows", at, end)
	case arithmetic(plainSum(body)):
		l.add(ssti, pick(d.open == "[[" || (d.open == "@(" || d.open[0] == '$' && d.open != "${") && at > 0, 30, 60), "a template expression that computes a constant", at, end)
	case bytes.IndexByte(body, '(') >= 0 && d.plain > 0:
		l.add(ssti, 30, "a template expression with a call", at, end)
	case bytes.IndexByte(body, '\'') >= 0 && bytes.ContainsAny(body, "*+~|"):
		l.add(ssti, 35, "a template expression with strings", at, end)
	case d.plain > 0 && len(body) > 0:
		l.add(ssti, d.plain, "template brackets", at, end)
	}
}

// arithmetic says whether body is nothing but numbers (or quoted numbers)
// joined by an operator, such as 7*7.
func arithmetic(body []byte) bool {
	numbers, ops := 0, 0
	for i := 0; i < len(body); i++ {
		switch b := body[i]; {
		case digit(b):
			for i+1 < len(body) && (digit(body[i+1]) || body[i+1] == '.') {
				i++
			}
			numbers++
		case b == '*' || b == '+' || b == '-' || b == '/' || b == '%':
			ops++
		case blank(b) || b == '\'' || b == '"' || b == '=' || b == '{' || b == '(' || b == ')' || b == '#' || b == '@' || b == '$':
		default:
			return false
		}
	}
	return numbers >= 2 && ops >= 1
}

// constantIf says whether body is an IF whose condition says nothing, as a probe has it.
func constantIf(body []byte) bool {
	rest, is := bytes.CutPrefix(bytes.TrimLeft(body, "=- "), []byte("if "))
	if !is {
		return false
	}
	switch string(bytes.TrimSpace(bytes.TrimRight(rest, "-: "))) {
	case "true", "false", "1", "0", "1==1", "1 == 1", "not false", "(true)", "(1)":
		return true
	}
	a, b, ok := bytes.Cut(bytes.TrimSpace(bytes.TrimRight(rest, "-: ")), []byte("=="))
	return arithmetic(rest) || ok && len(a) > 0 && bytes.Equal(bytes.TrimSpace(a), bytes.TrimSpace(b)) && allDigits(bytes.TrimSpace(a))
}

// plainSum drops what engines let stand around an expression: a sign in front, PRINT, and
// the format behind.
func plainSum(body []byte) []byte {
	t := bytes.TrimLeft(body, " !~&@")
	t = bytes.TrimPrefix(t, []byte("print "))
	if i := bytes.LastIndexByte(t, '?'); i > 0 && len(t)-i < 12 && alpha(t[len(t)-1]) {
		t = t[:i]
	}
	return t
}

// behindQuoted is what follows the quoted text at the beginning of t; nil where there is none.
func behindQuoted(t []byte) []byte {
	if len(t) == 0 || t[0] != '\'' && t[0] != '"' {
		return nil
	}
	e := bytes.IndexByte(t[1:], t[0])
	if e < 0 {
		return nil
	}
	return t[e+2:]
}

// constantSum says whether body joins two quoted texts, or asks for a property of one:
// "a"+"b", 'a'.concat('b'), "abc"?length.
func constantSum(body []byte) bool {
	t := bytes.TrimSpace(body)
	rest := bytes.TrimSpace(behindQuoted(t))
	if len(rest) < 3 || rest[0] != '+' && rest[0] != '?' && rest[0] != '.' {
		return false
	}
	next := bytes.TrimSpace(rest[1:])
	if rest[0] == '+' {
		return len(next) > 1 && next[0] == t[0] && next[len(next)-1] == t[0]
	}
	return len(next) > 2 && alpha(next[0]) && bytes.IndexByte(next, ' ') < 0
}

// constantText says whether body is a method of a quoted text: what is known needs no
// template.
func constantText(body []byte) bool {
	rest := behindQuoted(bytes.TrimSpace(body))
	n := 1
	for n < len(rest) && word(rest[n]) {
		n++
	}
	return n > 2 && rest[0] == '.' && n < len(rest) && rest[n] == '('
}

// global says whether body is nothing but an object that frameworks put into every
// template.
func global(body []byte) bool {
	switch string(bytes.TrimSpace(body)) {
	case "config", "settings", "self", "request", "session", "g", "app", "_self", "_context", "debug", "this", "@root", "$root", "env":
		return true
	}
	return false
}
