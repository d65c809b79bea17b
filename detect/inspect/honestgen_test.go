package inspect

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// speech makes honest texts of one kind, from word lists and forms. The same seed
// gives the same texts.
type speech struct {
	kind string
	make func(g *words) string
}

// words picks words.
type words struct{ *rand.Rand }

func (g *words) of(list string) string {
	all := strings.Split(list, "|")
	return all[g.IntN(len(all))]
}

func (g *words) n(most int) int { return 1 + g.IntN(most) }

const (
	nouns      = "house|river|table|union|order|garden|system|king|shadow|script|group|cat|tail|head|mouse|winter|select committee|index|union jack|key|view|column|drop|update|window|document|server|script reader|object|link|style|base|frame|body|form|image|input|button|video|meta|title|echo|sort|ping|host|print|find|cut|set|type|copy|start|net|date|time|who|which|kill|sleep|touch|move|less|more|case|null|true|false|table lamp"
	adjectives = "old|great|silent|last|golden|select|distinct|true|false|second|broken|hidden|little|random|quick|open|all|like|good|blue"
	verbs      = "select|insert|update|delete|drop|create|alter|union|join|order|group|sleep|wait|load|execute|call|declare|cast|convert|print|echo|find|sort|kill|touch|open|run|parse|import|fetch|escape|encode|split"
	firsts     = "Anna|Conan|Miles|Sinéad|Jean-Luc|José|Null|Mary-Jane|D'Arcy|Xu|Björn|Select|Siobhán|Ngũgĩ|Zoë|Robert|Drop|Union|Al|Or"
	lasts      = "O'Neill|O'Brien|d'Ormesson|L'Hôpital|Smith|von der Leyen|Müller|Select|Table|O'Reilly|Dell'Acqua|N'Diaye|Fitz-Gerald|Saint-Exupéry|Nakamura|Orr|And|Like|Having|M'Baye|Al-Sayed|De'Ath|Ng|’t Hooft|Order"
	products   = "pipe|laptop sleeve|rug|ladder|USB-C cable|monitor|frying pan|screw|union suit|table saw|drop cloth|shower head|cat litter|select lumber|key ring|sleep mask|script font|echo dot|base plate|style guide|union nut|group head|having fun kit"
	languages  = "python|java|javascript|go|rust|php|ruby|c++|c#|bash|sql|mysql|postgres|oracle|mongodb|perl|kotlin|swift|typescript|node|react|excel|css|html"
	symbols    = "==|===|!=|=>|->|::|&&|'||'|<>|<=|>=|++|--|**|//|/*|%|^|~|?.|??|:=|<-|#|@|$|;|{}|[]|()|<%|%>|{{|}}|\\n|\\x00|../|./|~/"
	hosts      = "www.example.com|example.org|api.example.net|cdn.example.com|shop.example.co.uk|user:8443.example.com|blog.example.com:8080"
	commands   = "ls -la|cat file.txt|grep -r foo .|ps aux|chmod 755 file|tar xzf a.tgz|curl -X POST url|wget -r|ssh user@host|find . -name '*.go'|kill -9 pid|docker run -it ubuntu bash|git rebase -i HEAD~3|kubectl get pods|npm run build|ping host|sudo apt install nginx|rm -rf node_modules|echo $PATH|sed 's/a/b/g'|awk '{print $1}'|sort -u|head -n 5|tail -f log|netstat -an|whoami|uname -a|df -h|crontab -e|xargs -n1|nc -l 80|python -m http.server|ipconfig /all|dir /s|net user|type file.txt|sleep 5|id -u"
	functions  = "sleep|eval|exec|system|print|alert|substr|concat|count|char|cast|convert|benchmark|version|user|database|md5|include|require|unserialize|passthru|setTimeout|document.write|innerHTML|Runtime.exec|os.system|subprocess.run|require('fs')|__import__|fromCharCode|load_file|extractvalue|pg_sleep|waitfor|xp_cmdshell|information_schema"
	topics     = "injection|error|timeout|syntax|quotes|escaping|loop|array|string|regex|join|null|encoding|unicode|csrf|xss|cors|jwt|async|thread|pointer|index|union|cursor|schema|trigger|view|backup|port|proxy|firewall"
)

var speeches = []speech{
	{"title", func(g *words) string {
		return fmt.Sprintf(g.of("The %s %s|%s: A %s|%s & %s|%s's %s|%s; or, the %s|%s -- the %s|\"%s\" and 'the %s'|%s (and %s)|Who %s the %s?|%s or %s|%s #2: %s!|100%% %s; 50%% %s|%s / %s|The %s of %s, vol. 2|From %s to %s"), title(g.of(adjectives)), title(g.of(nouns)))
	}},
	{"name", func(g *words) string {
		return g.of("|Dr. |Ms. |") + g.of(firsts) + g.of(" | 'Al' | \"Mac\" | & Co; |, ") + g.of(lasts) + g.of("|| Jr.| (née Orr)| & Sons|; Ltd.| -- CEO| #2")
	}},
	{"product", func(g *words) string {
		return fmt.Sprintf(g.of("%d\" %s|%d' %s|%d x 5 %s|%s (%d)|%d/2\" %s -- black|%d pack; %s|%s <%d|%d%% off %s|%d or 2 %s|'%d' %s|%d\" or 18\" %s|%d and 2 = %s"), swap(g.IntN(40), g.of(products))...)
	}},
	{"question", func(g *words) string {
		return fmt.Sprintf(g.of("how to %s %s in %s?|what's the difference between %s and %s in %s|why doesn't %s (%s) work in %s|%s vs %s -- %s|can't %s '%s' with %s|'%s' or \"%s\": which is faster in %s?|%s; then %s? (%s)|where do I %s the %s = %s"), g.of(verbs), g.of(nouns+"|"+symbols), g.of(languages))
	}},
	{"function", func(g *words) string {
		return fmt.Sprintf(g.of("what does %s() return in %s|%s(x) %s|%s() vs print() %s|is %s() safe in %s?|%s function %s tutorial|disable %s() in %s|%s(5) %s meaning|undefined function %s() %s|%s %s injection explained|\"%s\" in %s"), g.of(functions), g.of(languages))
	}},
	{"sql lesson", func(g *words) string {
		t := g.of("users|orders|products|t|employees e|sales.items")
		return fmt.Sprintf(g.of("SELECT %s FROM %s|SELECT * FROM %[2]s WHERE id = 5|select count(%s) from %s group by 1|INSERT INTO %[2]s (%[1]s) VALUES (1)|UPDATE %[2]s SET %[1]s = 'x' WHERE id = 5|DELETE FROM %[2]s WHERE %[1]s IS NULL|CREATE TABLE %[2]s (%[1]s int)|ALTER TABLE %[2]s ADD %[1]s int|SELECT %[1]s FROM %[2]s ORDER BY 1 LIMIT 10|SELECT a.%[1]s, b.x FROM %[2]s a JOIN b ON a.id = b.id|what is select %[1]s from %[2]s where 1=1|select distinct %[1]s from %[2]s having count(*) > 1|with x as (select %[1]s from %[2]s) select * from x|union all vs union: select %[1]s|explain select %[1]s from %[2]s|drop table if exists %[2]s|WHERE %[1]s BETWEEN 1 AND 5|WHERE %[1]s LIKE 'A%%'|GROUP BY %[1]s HAVING COUNT(*) > 5|%[1]s IS NOT NULL AND x = 1"), g.of("name|id|price|email|created_at"), t)
	}},
	{"filter", func(g *words) string {
		f := g.of("name|price|status|createdAt|address/city|tags|customer.id")
		return fmt.Sprintf(g.of("%s eq 'O''Neill' and price lt %d|%s=='x*';price=lt=%d|contains(%s,'a') or price gt %d|%s:\"foo bar\" AND age:[%d TO 99]|(%s:a OR b:c) AND NOT d:%d|%s in ('a','b') and x ne %d|startswith(%s,'B') and y le %d|%s>=%d|%s = 'open' and total > %d|%s:>%d +tag -other|%s~%d^2|year(%s) eq %d|not (%s eq null) and a eq %d|%s asc, price desc limit %d|tolower(%s) eq 'x' and n eq %d"), f, g.n(900))
	}},
	{"url", func(g *words) string {
		h := g.of(hosts)
		return g.of("https|http|ftp") + "://" + h + g.of("/|/a/b.html|/index.php?id=5|/search?q=a+b&lang=en|/x?u=https%3A%2F%2F"+h+"%2F|/#/orders/5|/cb?code=abc&state=xyz|/a/../b|/a;v=1?x=[1]|/wiki/C%2B%2B_(language)|/img/logo.png?w=100|/~alice/|/x?y=1&amp;z=2|/login?next=/account|/feed.xml|/a?b={c}|/path/file.tar.gz|/?utm_source=x&utm_medium=y")
	}},
	{"json", func(g *words) string {
		v := map[string]any{"id": g.IntN(9999), g.of("name|title|q|note"): g.of(firsts) + " " + g.of(lasts), g.of("tags|list|opts"): []string{g.of(nouns), g.of(adjectives)}, g.of("where|filter|range"): map[string]any{g.of("min|gte|from|eq"): g.IntN(50)}, "text": "It's \"" + g.of(nouns) + "\"; " + g.of(verbs) + " or " + g.of(verbs) + " -- ok?"}
		b, _ := json.Marshal(v) // plain values: it cannot fail
		return string(b)
	}},
	{"token", func(g *words) string {
		raw := make([]byte, 12+g.IntN(40))
		for i := range raw {
			raw[i] = byte(g.Uint32())
		}
		switch g.IntN(6) {
		case 0:
			return hex.EncodeToString(raw)
		case 1:
			return base64.StdEncoding.EncodeToString(raw)
		case 2:
			return base64.RawURLEncoding.EncodeToString(raw)
		case 3:
			return base64.StdEncoding.EncodeToString([]byte(g.of(firsts) + " said: it's " + g.of(nouns) + "; " + g.of(verbs) + " & " + g.of(verbs) + " -- \"ok\""))
		case 4:
			return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"`+g.of(lasts)+`","aud":["a","b"],"exp":1700000000}`)) + "." + base64.RawURLEncoding.EncodeToString(raw)
		}
		return fmt.Sprintf("%x-%x-%x", raw[:4], raw[4:6], raw[6:12])
	}},
	{"mathematics", func(g *words) string {
		return fmt.Sprintf(g.of("f(x)=%d*x^2+%d|%d+%d=42|(a+%d)*(b-%d)|x>=%d && y<%d|%d/%d|sin(%dx)/cos(%dx)|{x | x > %d, x < %d}|sqrt(%d)+%d!|a=%d or b=%d|P(A|B)=%d/%d|%d%%%d||x|<%d or |y|>%d|[%d,%d)|%d*%d*%d=?|lim n->%d (1+1/n)^%d|%d e -%d"), g.IntN(99), g.IntN(99))
	}},
	{"css", func(g *words) string {
		return fmt.Sprintf(g.of(".%s > a:hover { color: #%02x00ff; }|#%s::before{content:\"%d\"}|@media (min-width:%[2]dpx){.%[1]s{display:none}}|width:calc(100%% - %[2]dpx);margin:0 auto|%[1]s[data-x='%[2]d'] + p|background:url(/img/%[1]s.png) no-repeat|font-family: 'Open Sans', \"Arial\"; /* %[1]s */|transform: rotate(%[2]ddeg)|<p style=\"margin:%[2]dpx\">%[1]s</p>|--main-%[1]s: #%06[2]x;"), g.of("btn|nav|card|row"), g.IntN(255))
	}},
	{"markdown", func(g *words) string {
		return fmt.Sprintf(g.of("# %s\n\n* it's `%s`\n* \"%[2]s\"|**%s** and _%s_; see [docs](https://example.com/%[1]s?a=1&b=2)|> %s -- %s|| %s | %s |\n|---|---|\n| 1 | 2 ||```sql\nselect %[2]s from %[1]s;\n```|1. %s\n2. `%s --help`|![%s](../img/%s.png)|~~%s~~ %s <br> x|Use `%s` or `%s`|- [ ] %s; - [x] %s|<details><summary>%s</summary>%s</details>|Run `cat %[1]s | grep %[2]s`|Line one\nSubject: %s\nIt's %s"), g.of(nouns), g.of(verbs))
	}},
	{"command line", func(g *words) string {
		return fmt.Sprintf(g.of("what does %s do|how to run %s on linux?|%s: command not found|`%s` explained|%s permission denied|%s in windows|difference between %s and ls|why does %s hang|alias for \"%s\"|'%s' exits with 1|man page of %s|%s example"), g.of(commands))
	}},
	{"path", func(g *words) string {
		return g.of("C:\\Users\\anna\\Documents\\|D:\\Photos\\2024\\|/home/anna/projects/|/Users/bob/Desktop/|./src/|../assets/|docs/|~/Downloads/|\\\\fileserver\\team\\|/srv/app/releases/|/usr/local/bin/|/opt/app/|s3://bucket/|file.name/|/mnt/data/") + g.of("report (1).pdf|It's final.docx|index.html|img_0042.jpg|main.go|a&b.txt|notes;old.txt|data.csv|python3|v1.2.3/|budget 50%.xlsx|résumé.pdf|README.md")
	}},
	{"message", func(g *words) string {
		return fmt.Sprintf(g.of("Hi %s, it's %s; I'll be late -- see you @ 5 & don't wait!|%s said \"I can't\" and 'won't' (%s agreed)|Order #1234: please update %s; delete %s|Dear %s,\n\nI'd like to %s my account.\n\nThanks!|Is it %s or %s? 1=yes; 2=no|%s <3 %s :-) ;-)|My password isn't working, says %s; can you drop %s a line?|%s: %s!!! (╯°□°)╯|FYI: union %s meets at 5 or 6 and order %s|>> %s\n>> %s\nNo; sorry.|We're 'having' a sale: select %s, group by %s|%s/%s -- n/a"), g.of(firsts), g.of(nouns+"|"+verbs))
	}},
	{"code", func(g *words) string {
		return fmt.Sprintf(g.of("if (%s && %s) { return x; }|for (let i = 0; i < %s.length; i++) %s(i);|%s = %s ? 1 : 0|const %s = (a, b) => %s(a + b);|def %s(self): return self.%s|fmt.Println(\"%s\", %s)|%s[i] = %s[j] + 1;|std::vector<%s> v = {%s};|List<%s> l = new ArrayList<>(%s);|%s?.%s ?? 'none'|SELECT %s INTO %s|x = {'%s': [%s]}|$%s = $_x['%s'];|import {%s} from './%s'|%s.map(x => x.%s)|while (%s != null) %s = next;|print(f\"{%s} {%s}\")|await %s.%s()|<%s>{%s}</x>|#include <%s.h> // %s|return '%s'; // %s|var %s = document.getElementById('%s');|console.log('%s', %s);|echo \"$%s\" | %s|public static void %s(String[] %s)|case '%s': break; default: %s"), g.of("user|item|count|name|node|key"), g.of("value|list|total|data|index|next"))
	}},
	{"address", func(g *words) string {
		return fmt.Sprintf(g.of("%d %s St; Apt #%[1]d|%d/%[1]d %s Road|c/o %[2]s, %[1]d|%[2]s-Straße %[1]d, 2. OG|C/ %[2]s, %[1]d, 2º-A|Rue de l'%[2]s %[1]d|%[1]d or %[1]d1 %[2]s Ave|Apt. '%[1]d' -- %[2]s House|P.O. Box %[1]d & %[2]s"), g.IntN(300), g.of(lasts))
	}},
	{"regular expression", func(g *words) string {
		return fmt.Sprintf(g.of("^%s$|(%s|x)+\\d*|[a-z]+%s{2,5}|\\b%s\\b|.*%s.*|^(?:%s)?[^;'\"]+$|(?i)%s|%s\\.(jpg|png)$|/%s/g|\\w+@%s\\.\\w+"), g.of(nouns))
	}},
	{"graphql", func(g *words) string {
		return fmt.Sprintf(g.of("query { %s(id: %d) { id name { first last } } }|{ %s(first: %d) { edges { node { id title } } pageInfo { hasNextPage } } }|mutation M($i: In!) { update%s(input: $i, n: %d) { ok __typename } }|query Q { a: %s(id: 1) { id } b: user(id: %d) { id } }|fragment F on %s { id n%d }"), g.of("user|order|item|viewer"), g.IntN(99))
	}},
	{"markup", func(g *words) string {
		return fmt.Sprintf(g.of("<p>%s &amp; %s</p>|<b>%s</b>, <i>%s</i>|<a href=\"https://example.com/%[1]s\">%[2]s</a>|<ul><li>%s</li><li>%s</li></ul>|<img src=\"/img/%[1]s.png\" alt=\"%[2]s\">|<h2 class=\"t\">%s</h2><p>it's %s</p>|%s < %s > 5|<span style=\"color:red\">%s</span> %s|<table><tr><td>%s</td><td>%s</td></tr></table>|<!-- %s --> %s|<br/>%s<hr>%s|<note to=\"%[1]s\">%[2]s</note>"), g.of(nouns), g.of(adjectives))
	}},
	{"list", func(g *words) string {
		sep := g.of(",|;|\\||, |; | / | & | + |\t|::|--")
		out := g.of(nouns)
		for range g.n(5) {
			out += sep + g.of(nouns+"|"+adjectives)
		}
		return out
	}},
	{"stack trace", func(g *words) string {
		return fmt.Sprintf(g.of("java.lang.NullPointerException: %s at com.example.%s.run(Main.java:42)|TypeError: Cannot read properties of undefined (reading '%s') at %s (/app/src/x.js:10:5)|Traceback (most recent call last): File \"%s.py\", line 3, in <module> %s()|ERROR 1064 (42000): You have an error in your SQL syntax near '%s' at line 1 %s|panic: runtime error: index out of range [%s] goroutine %s|ORA-00942: table or view does not exist %s %s|Uncaught SyntaxError: Unexpected token '<' in %s %s|fatal: not a git repository: '%s' %s"), g.of("name|value|main"), g.of("run|load|init"))
	}},
	{"parameters", func(g *words) string {
		return fmt.Sprintf(g.of("%s=1&%s=2|sort=-%s,%s|%s:asc|fields[%s]=a,%s|a[]=%s&a[]=%s|%s[gte]=5;%s|{%s}/{%s}|:%s(%s)|%s.%s.0|@%s #%s|+1 (555) 010-9999 ext. %s %s|$%s.99 - $%s|%s%%20%s|%s\\,%s|%s~1%s"), g.of("name|date|price|x"), g.of("id|age|y|n"))
	}},
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// swap orders a number and a word as the first verb of the form wants them; forms
// that begin with the word take them the other way round.
func swap(n int, word string) []any { return []any{n, word} }

// spoken is n texts of each kind.
func spoken(n int) map[string][]string {
	out := map[string][]string{}
	for i, s := range speeches {
		g := &words{rand.New(rand.NewPCG(7, uint64(i)))}
		seen := map[string]bool{}
		for tries := 0; len(out[s.kind]) < n && tries < 4*n; tries++ {
			if t := s.make(g); !seen[t] && !strings.Contains(t, "%!") {
				seen[t] = true
				out[s.kind] = append(out[s.kind], t)
			}
		}
	}
	return out
}
