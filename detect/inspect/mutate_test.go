package inspect

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// trick is one way to write an attack so that a filter does not see it and its target
// still does. It gets the text as the target reads it and returns what is sent as the
// value of a parameter; "" when it does not apply.
type trick struct {
	name    string
	classes string // of those it makes sense for; "" for all
	write   func(s string) string
}

// sent escapes a text as a form does.
func sent(s string) string { return url.QueryEscape(s) }

// every escapes each byte of s that want says so.
func every(s string, want func(b byte) bool, form string) string {
	var sb strings.Builder
	for i := range len(s) {
		if want(s[i]) {
			fmt.Fprintf(&sb, form, s[i])
		} else {
			sb.WriteByte(s[i])
		}
	}
	return sb.String()
}

func any8(byte) bool     { return true }
func letter(b byte) bool { return alpha(b) }

// swapCase writes every second letter in the other case.
func swapCase(s string) string {
	b := []byte(s)
	for i := range b {
		if alpha(b[i]) && i%2 == 0 {
			b[i] ^= 0x20
		}
	}
	return string(b)
}

// wide writes ASCII in full-width forms.
func wide(s string) string {
	return strings.Map(func(r rune) rune {
		if r > 0x20 && r < 0x7F {
			return r + 0xFEE0
		}
		return r
	}, s)
}

const tongues = "sqli xpath ldap nosqli xss cmdi code ssti traversal log4shell ssi xxe"

var tricks = []trick{
	{"as it is", "", sent},
	{"every byte escaped", "", func(s string) string { return every(s, any8, "%%%02x") }},
	{"escaped twice", "", func(s string) string { return sent(sent(s)) }},
	{"letters escaped twice", "", func(s string) string { return every(every(s, letter, "%%%02X"), any8, "%%%02x") }},
	{"escaped three times", tongues, func(s string) string { return sent(sent(sent(s))) }},
	{"%uXXXX", "sqli xss traversal cmdi", func(s string) string { return every(s, any8, "%%u00%02x") }},
	{"full-width", "sqli xss traversal", func(s string) string { return sent(wide(s)) }},
	{"mixed case", "sqli xss traversal log4shell", func(s string) string { return sent(swapCase(s)) }},
	{"entities", "xss", func(s string) string {
		return sent(every(s, func(b byte) bool { return !alnum(b) && b != ' ' }, "&#%d;"))
	}},
	{"hexadecimal entities without semicolon", "xss", func(s string) string {
		return sent(every(s, func(b byte) bool { return b == '<' || b == '>' || b == '(' }, "&#x0000%x;"))
	}},
	{"script escapes", "xss nosqli", func(s string) string {
		return sent(every(s, func(b byte) bool { return b == '<' || b == '>' || b == '\'' }, "\\u00%02x"))
	}},
	{"base64", "sqli xss cmdi code ssti", func(s string) string {
		if len(s) < 12 {
			return ""
		}
		return sent(base64.StdEncoding.EncodeToString([]byte(s)))
	}},
	{"tabs for blanks", "sqli cmdi xss ssti", func(s string) string { return sent(strings.ReplaceAll(s, " ", "\t")) }},
	{"line ends for blanks", "sqli xss", func(s string) string {
		if strings.Contains(s, "--") || strings.Contains(s, "#") {
			return ""
		}
		return sent(strings.ReplaceAll(s, " ", "\n"))
	}},
	{"comments for blanks", "sqli", func(s string) string {
		if strings.Contains(s, "-- ") {
			return ""
		}
		return sent(strings.ReplaceAll(s, " ", "/**/"))
	}},
	{"executable comments", "sqli", func(s string) string {
		out := strings.NewReplacer("union", "/*!50000union*/", "select", "/*!50000select*/").Replace(s)
		if out == s {
			return ""
		}
		return sent(out)
	}},
	{"parameter pollution", "sqli", func(s string) string {
		if i := strings.IndexByte(s, ','); i > 0 {
			return sent(s[:i]) + "&v=" + sent(s[i+1:])
		}
		return ""
	}},
	{"other operators", "sqli", func(s string) string {
		out := strings.NewReplacer(" or ", " || ", " and ", " && ").Replace(s)
		if out == s {
			return ""
		}
		return sent(out)
	}},
	{"NUL behind", "traversal sqli xss", func(s string) string { return sent(s) + "%00" }},
	{"NUL before", "sqli xss cmdi", func(s string) string { return "%00" + sent(s) }},
	{"overlong slashes", "traversal", func(s string) string {
		return strings.NewReplacer("%2F", "%c0%af", "%5C", "%c1%9c").Replace(sent(s))
	}},
	{"backslashes", "traversal", func(s string) string { return sent(strings.ReplaceAll(s, "/", "\\")) }},
	{"dots between", "traversal", func(s string) string { return sent(strings.ReplaceAll(s, "../", ".././")) }},
	{"inner quotes", "cmdi", func(s string) string {
		return sent(strings.NewReplacer("cat", "c''at", "whoami", "who\"\"ami", "ping", "p\\ing", "wget", "w'g'et").Replace(s))
	}},
	{"${IFS} for blanks", "cmdi", func(s string) string {
		if strings.Contains(s, "C:") || strings.HasPrefix(s, "() {") || strings.ContainsAny(s, "&%") {
			return ""
		}
		return sent(strings.ReplaceAll(s, " ", "${IFS}"))
	}},
	{"a word before", "sqli cmdi xss", func(s string) string {
		if alpha(s[0]) { // abcif is no IF
			return ""
		}
		return "abc" + sent(s)
	}},
	{"other functions", "sqli xss cmdi code ssti", func(s string) string {
		out := strings.NewReplacer("substring(", "mid(", "substr(", "mid(", "ascii(", "ord(", "version()", "@@version", "concat(", "concat_ws(0x3a,",
			"user()", "current_user()", "sleep(5)", "benchmark(9000000,md5(1))", "1=1", "5>3", "alert(", "confirm(", "prompt(", "confirm(", "onerror", "onpointerrawupdate",
			"cat ", "tac ", "whoami", "id", "wget ", "curl ", "system(", "passthru(", "exec(", "shell_exec(", "popen", "system").Replace(s)
		if out == s {
			return ""
		}
		return sent(out)
	}},
	{"strings put together", "sqli xss code ssti", func(s string) string {
		return joinStrings(s)
	}},
	{"zero-width characters", "sqli xss", func(s string) string {
		return sent(strings.NewReplacer("select", "sel\u200bect", "script", "scr\u200bipt", "union", "un\u200bion", "alert", "al\u00adert").Replace(s))
	}},
	{"mathematical letters", "sqli xss", func(s string) string {
		return sent(strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' {
				return 0x1D41A + r - 'a'
			}
			return r
		}, s))
	}},
}

// joinStrings writes the first string of three letters and more as two that are joined, as
// the language of the text does it.
func joinStrings(s string) string {
	for i := 0; i+4 < len(s); i++ {
		if s[i] != '\'' || !alpha(s[i+1]) || !alpha(s[i+2]) {
			continue
		}
		e := i + 1
		for e < len(s) && alpha(s[e]) {
			e++
		}
		if e == len(s) || s[e] != '\'' || e-i < 4 {
			continue
		}
		sign := "'+'"
		if strings.Contains(s, "select") || strings.Contains(s, " or ") || strings.Contains(s, " and ") {
			sign = "'||'"
		}
		return sent(s[:i+2] + sign + s[i+2:])
	}
	return ""
}

// attackTexts are the attacks as their target reads them.
func attackTexts() []attack {
	out := attackLines()
	for i := range out {
		if plain, err := url.QueryUnescape(queryEscape(out[i].text)); err == nil {
			out[i].text = plain
		}
	}
	return out
}

// TestEvasion prints the share of attacks that each trick leaves found, and demands
// that no trick hides more than a tenth.
func TestEvasion(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	in := New(Config{})
	show := os.Getenv("PORTCULLIS_MISSES")
	chain := trick{"case, comments, twice escaped", "sqli", func(s string) string {
		if strings.Contains(s, "-- ") {
			return ""
		}
		return sent(sent(strings.ReplaceAll(swapCase(s), " ", "/*x*/")))
	}}
	for _, tr := range append(tricks, chain) {
		all, found := 0, 0
		for _, a := range attackTexts() {
			if tr.classes != "" && !strings.Contains(" "+tr.classes+" ", " "+a.class+" ") {
				continue
			}
			value := tr.write(a.text)
			if value == "" {
				continue
			}
			all++
			v := in.Inspect(&ingest.Event{Target: "/x?n=1&v=" + value})
			if v.Score >= in.Threshold() {
				found++
			} else if show == "tricks" {
				t.Logf("%s: %s %.140q scores %d as %s: %s", tr.name, a.class, a.text, v.Score, v.Class, v.Why)
			}
		}
		t.Logf("%-40s %3d of %3d, %5.1f %%", tr.name, found, all, 100*float64(found)/float64(all))
		if found*10 < all*9 {
			t.Errorf("%s hides %d of %d attacks", tr.name, all-found, all)
		}
	}
}

// TestTricksHaveNames demands a name of its own for each line of the report.
func TestTricksHaveNames(t *testing.T) {
	names := make([]string, 0, len(tricks))
	for _, tr := range tricks {
		names = append(names, tr.name)
	}
	sort.Strings(names)
	for i := 1; i < len(names); i++ {
		if names[i] == names[i-1] {
			t.Errorf("two tricks are called %q", names[i])
		}
	}
}
