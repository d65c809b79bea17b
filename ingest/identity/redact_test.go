package identity

import (
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
)

// mark makes pseudonyms readable in a table.
var mark = regexp.MustCompile(`<(p_[0-9a-f]{8}|[kts]_[0-9a-f]{16})>`)

// redactorOf is a redactor with the default settings and a key made of a word.
func redactorOf(t testing.TB, word string) *Redactor {
	t.Helper()
	r, err := Config{Key: sha256.Sum256([]byte(word))}.Redactor()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRedact(t *testing.T) {
	r := redactorOf(t, "test")
	for _, c := range []struct{ line, want string }{
		{`"GET /o?page=0&token=s3cr3t0 HTTP/1.1"`, `"GET /o?page=0&token=* HTTP/1.1"`},
		{`"GET /o?access_token=a&x=1&refreshToken=b&id_token=c HTTP/1.1"`, `"GET /o?access_token=*&x=1&refreshToken=*&id_token=* HTTP/1.1"`},
		{`/login?user=bob&PASSWORD=a,b;c'd`, `/login?user=bob&PASSWORD=*`},
		{`/l?user%5Bpassword%5D=x&u[passwd]=y`, `/l?user%5Bpassword%5D=*&u[passwd]=*`},
		{`/r?next=%2Fcb%3Ftoken%3Dabc%26x%3D1`, `/r?next=%2Fcb%3Ftoken%3D*%26x%3D1`},
		{`/cb?code=4/0AX4Xf&state=1`, `/cb?code=*&state=1`},
		{`{"code":"SUCCESS","status":200}`, `{"code":"SUCCESS","status":200}`},
		{`/maps?key=AIzaSyD4abcdefgh123456&v=2`, `/maps?key=*&v=2`},
		{`/maps?key=name&v=2`, `/maps?key=name&v=2`},
		{`/;jsessionid=AB12;x=1/a?id=1' OR 1=1`, `/;jsessionid=*;x=1/a?id=1' OR 1=1`},
		{`{"user":"bob","password":"hun\"ter2","n":1}`, `{"user":"bob","password":"*","n":1}`},
		{`{"pwd" : "x", "client_secret":12345, "token":null}`, `{"pwd" : "*", "client_secret":"*", "token":null}`},
		{`"{\x22password\x22:\x22hunter2\x22,\x22a\x22:1}"`, `"{\x22password\x22:\x22*\x22,\x22a\x22:1}"`},
		{`"body":"{\"password\":\"hunter2\",\"a\":1}"`, `"body":"{\"password\":\"*\",\"a\":1}"`},
		{`/q?f=%7B%22apiKey%22%3A%22abc%22%7D`, `/q?f=%7B%22apiKey%22%3A%22*%22%7D`},
		{`"api_key":"key-0","xff":"203.0.113.1"`, `"api_key":"*","xff":"203.0.113.1"`},
		{`X-Api-Key: key-0" next`, `X-Api-Key: *" next`},
		{`"Authorization: Bearer abc.def-ghi"`, `"Authorization: Bearer *"`},
		{`"authorization":"Basic dXNlcjpwYXNz"`, `"authorization":"Basic *"`},
		{`"Bearer abcdefghij" "basic auth"`, `"Bearer *" "basic auth"`},
		{`?h=Bearer%20abcdefghij`, `?h=Bearer%20*`},
		{`/x/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln/y`, `/x/*/y`},
		{`/pay?n=4111111111111111&m=4111-1111-1111-1111&k=4111111111111112`, `/pay?n=*&m=*&k=4111111111111112`},
		{`/a/1795439016694/b 20261123130336123`, `/a/1795439016694/b 20261123130336123`},
		{`grant_type=password&x=tokens`, `grant_type=password&x=tokens`},
		{`/a?token=&b=1`, `/a?token=&b=1`},
		{`/a?token=<p_0123abcd>&b=1`, `/a?token=*&b=1`},
		{`/a?token=<p_0123abcZ>&b=1`, `/a?token=*&b=1`},
		{`/orders/4711?sort=asc`, `/orders/4711?sort=asc`},
		{``, ``},
	} {
		got := mark.ReplaceAllString(r.Line(c.line), "*")
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

func TestRedactSamePseudonym(t *testing.T) {
	r := redactorOf(t, "one")
	got := mark.FindAllString(r.Line("/a?token=x&password=x&secret=y"), -1)
	if len(got) != 3 || got[0][3:11] != got[1][3:11] || got[1] == got[2] {
		t.Errorf("pseudonyms %v: want two equal ones and another", got)
	}
	if redactorOf(t, "two").Line("/a?token=x") == r.Line("/a?token=x") {
		t.Error("two keys give one pseudonym")
	}
	if line := "/plain/line?x=1"; testing.AllocsPerRun(10, func() { r.Line(line) }) != 0 {
		t.Error("a line without secrets allocates")
	}
}

// TestRedactShapes: the places where gateways and clients put secrets.
func TestRedactShapes(t *testing.T) {
	r := redactorOf(t, "test")
	for _, c := range []struct{ name, line, want string }{
		{"cookie member", `{"cookie":"a=b; c=d","x":1}`, `{"cookie":"a=*; c=*","x":1}`},
		{"traefik", `"request_Cookie":"sid=q1w2; t=\"z\"","request_X-Api-Key":"k"`, `"request_Cookie":"sid=*; t=\"*\"","request_X-Api-Key":"*"`},
		{"set-cookie", `"Set-Cookie":"sid=abc; Path=/; HttpOnly"`, `"Set-Cookie":"sid=*; Path=/; HttpOnly"`},
		{"set-cookie array", `"Set-Cookie":["sid=abc; Path=/"]`, `"Set-Cookie":["sid=*; Path=/"]`},
		{"cookie header", `"Cookie: a=b; c=d" 1`, `"Cookie: a=*; c=*" 1`},
		{"a dump of headers", `Cookie: a=b; c=d`, `Cookie: a=*; c=*`},
		{"a dump of headers", `Authorization: Basic abc`, `Authorization: Basic *`},
		{"cookies object", `{"cookies":{"a":"b","c":"d"},"n":"e"}`, `{"cookies":{"a":"*","c":"*"},"n":"e"}`},
		{"caddy", `"X-Api-Key":["key-0","key-1"],"Accept":["*/*"]`, `"X-Api-Key":["*","*"],"Accept":["*/*"]`},
		{"caddy console", `"X-Api-Key": ["key-0"]}}, "x": 0`, `"X-Api-Key": ["*"]}}, "x": 0`},
		{"caddy authorization", `"Authorization":["Bearer abc"],"Cookie":["a=b; c=d"]`, `"Authorization":["Bearer *"],"Cookie":["a=*; c=*"]`},
		{"already gone", `"Authorization":["REDACTED"],"cookie":"***","token":"-"`, `"Authorization":["REDACTED"],"cookie":"***","token":"-"`},
		{"kong", `"headers":{"x-api-key":"key-0","host":"a"}`, `"headers":{"x-api-key":"*","host":"a"}`},
		{"pairs", `[{"name":"X-Api-Key","value":"key-0"},{"name":"Host","value":"h"}]`, `[{"name":"X-Api-Key","value":"*"},{"name":"Host","value":"h"}]`},
		{"opentelemetry", `{"key":"http.request.header.authorization","value":{"arrayValue":{"values":[{"stringValue":"Bearer x"}]}}}`,
			`{"key":"http.request.header.authorization","value":{"arrayValue":{"values":[{"stringValue":"Bearer *"}]}}}`},
		{"json in json", `"body":"{\"password\":\"hun\\\"ter2\",\"a\":1}"`, `"body":"{\"password\":\"*\",\"a\":1}"`},
		{"deeper", `"b":"{\"c\":\"{\\\"pwd\\\":\\\"x y\\\"}\"}"`, `"b":"{\"c\":\"{\\\"pwd\\\":\\\"*\\\"}\"}"`},
		{"go's escapes", `"RequestPath":"/o?page=0\u0026token=s3\u0026sid=4\u0026x=1"`, `"RequestPath":"/o?page=0\u0026token=*\u0026sid=*\u0026x=1"`},
		{"gson's escapes", `"q":"a\u003d1\u0026pwd\u003dx\u0026b\u003d2"`, `"q":"a\u003d1\u0026pwd\u003d*\u0026b\u003d2"`},
		{"form body", `"body":"user=bob&pass=a%26b&x=1"`, `"body":"user=bob&pass=*&x=1"`},
		{"xml", `"<login><user>bob</user><password>a b</password></login>"`, `"<login><user>bob</user><password>*</password></login>"`},
		{"xml namespace", `<ns:Password>x</ns:Password>`, `<ns:Password>*</ns:Password>`},
		{"xml by go", `"b":"\u003cpassword\u003ex\u003c/password\u003e"`, `"b":"\u003cpassword\u003e*\u003c/password\u003e"`},
		{"xml in a URL", `/?b=%3Cpassword%3Ex%3C%2Fpassword%3E&a=1`, `/?b=%3Cpassword%3E*%3C%2Fpassword%3E&a=1`},
		{"no xml", `"GET /api/<token>/x HTTP/1.1" 200`, `"GET /api/<token>* HTTP/1.1" 200`},
		{"multipart", `"--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nhunter 2\r\n--b"`, `"--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n*\r\n--b"`},
		{"multipart by nginx", `name=\x22pwd\x22\x0D\x0A\x0D\x0Ax\x0D\x0A`, `name=\x22pwd\x22\x0D\x0A\x0D\x0A*\x0D\x0A`},
		{"logfmt", `ts=1 api_key="key-0" token=abc ua="x"`, `ts=1 api_key="*" token=* ua="x"`},
		{"userinfo", `"http://bob:hunter2@example.org/x" http://example.org:8080/`, `"http://bob:*@example.org/x" http://example.org:8080/`},
		{"captures", `{host|http://x/?token=abc|agent} "GET`, `{host|http://x/?token=*|agent} "GET`},
		{"traversal", `/static/..%2f..%2fetc/passwd`, `/static/..%2f..%2fetc/passwd`},
		{"sql", `/items?id=1+UNION+SELECT+username,password+FROM+users--`, `/items?id=1+UNION+SELECT+username,password+FROM+users--`},
		{"prose", `the token was refused, password too short: try "basic auth"`, `the token was refused, password too short: try "basic auth"`},
		{"numbers", `"token_type":"bearer","code":401,"status":200`, `"token_type":"bearer","code":401,"status":200`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := mark.ReplaceAllString(r.Line(c.line), "*"); got != c.want {
				t.Errorf("%s\n got %s\nwant %s", c.line, got, c.want)
			}
		})
	}
}

// TestRedactKeepsTheLine: a client cannot make redaction swallow what follows its field,
// which would make the line unreadable and hide the request.
func TestRedactKeepsTheLine(t *testing.T) {
	r := redactorOf(t, "test")
	for _, field := range []string{
		`token=`, `"GET /?token=bearer HTTP/1.1"`, `"GET /bearer HTTP/1.1"`, `"GET /x authorization: bearer HTTP/1.1"`, `"GET /?password: HTTP/1.1"`,
		`"GET /?{'token':' HTTP/1.1"`, `"GET /?{\x22token\x22:\x22 HTTP/1.1"`, `"GET /?%22token%22:%22 HTTP/1.1"`, `"GET /<password> HTTP/1.1"`, `"GET /<password>x HTTP/1.1"`,
		`"GET /?cookie=x; HTTP/1.1"`, `"GET /?{\"pwd\":\" HTTP/1.1"`, `"GET /?{\"pwd\":[\"a\" HTTP/1.1"`, `"GET /?name=\"pwd\"\r\n\r\n HTTP/1.1"`, `"GET /?{"token":" HTTP/1.1"`,
		`basic`, `password:`, `"Cookie: a"`, `token=|`, `{token=}`, `cookie=x;`, `/a%0aCookie:x;`, `http://a:b`,
	} {
		const rest = ` 200 1234 rt=0.005 "agent" 203.0.113.77 "-" end`
		got := r.Line("x " + field + rest)
		if !strings.HasSuffix(got, rest) {
			t.Errorf("%s\nswallowed some of %s: %s", field, rest, got)
		}
		if strings.HasSuffix(field, ` HTTP/1.1"`) && !strings.Contains(got, ` HTTP/1.1"`) {
			t.Errorf("%s\nlost its protocol: %s", field, got)
		}
	}
}

func TestRedactConfig(t *testing.T) {
	cfg := Config{Key: testKey(), Redact: RedactConfig{Names: []string{"X-Partner-Id"}, Keep: []string{"page_token"}, Classes: []string{"passwords", "emails", "ibans"}}}
	r, err := cfg.Redactor()
	if err != nil {
		t.Fatal(err)
	}
	line := `x_partner_id=7&page_token=8&token=9&password=1&api_key=2&e=bob@example.org&i=DE89370400440532013000&n=4111111111111111 "Bearer abcdefghij"`
	want := `x_partner_id=*&page_token=8&token=9&password=*&api_key=2&e=*&i=*&n=4111111111111111 "Bearer abcdefghij"`
	if got := mark.ReplaceAllString(r.Line(line), "*"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, bad := range []RedactConfig{{Classes: []string{"all"}}, {Names: []string{"a b"}}, {Keep: []string{"x"}}} {
		cfg.Redact = bad
		if _, err := cfg.Redactor(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// TestRedactIsLinear: no input makes it look at the same bytes again and again.
func TestRedactIsLinear(t *testing.T) {
	r := redactorOf(t, "test")
	for _, part := range []string{"key=", "]=", "token=", `"token":`, `"token":"`, "eyJ.", "Bearer ", "4111 ", `\x22pwd\x22:`, "%3D%5D", "Basic:", "=", ":", "%3a%22"} {
		line := strings.Repeat(part, (1<<20)/len(part))
		out := r.Line(line)
		if len(out) > 12*len(line) {
			t.Errorf("%q repeated grew from %d to %d bytes", part, len(line), len(out))
		}
		if r.Line(out) != out {
			t.Errorf("%q repeated: redacting twice is not the same as once", part)
		}
	}
}

// slowLine is Line as it is without looking ahead: every byte is asked.
func (r *Redactor) slowLine(line string) string {
	var out strings.Builder
	kept, look := 0, span{line: line}
	for i := 0; i < len(line); {
		h := r.secretAt(&look, i)
		if h.found() {
			h.to = h.from + protocolIn(line[h.from:h.to])
		}
		if !h.found() {
			i++
			continue
		}
		out.WriteString(line[kept:h.from])
		r.replace(&out, line[h.from:h.to], h, false)
		kept, look.start, i = h.to, h.to, h.to
	}
	return out.String() + line[kept:]
}

// TestLinesOfABusAreRedacted: why evidence of lines that Batch has sealed is redacted all
// the same. People see what they would see of the raw line, also where no name told the
// secret; and half a seal behind a name does not stay.
func TestLinesOfABusAreRedacted(t *testing.T) {
	r := redactorOf(t, "test")
	sealed := func(raw string) string {
		b := ingest.Batch{Data: []byte(raw)}
		r.Batch(&b)
		return string(b.Data)
	}
	for _, raw := range []string{
		`GET /a?api_key=AIzaSyD4abcdefgh123456&b=1`, `GET /a "Authorization: Bearer abc.def.ghi"`, `{"password":"x y","pwd":1,"user":"kim"}`,
		`Cookie: sid=abc; theme=dark`, `"Authorization: Basic a2ltOnNlY3JldA=="`, `card=4111 1111 1111 1111 end`,
		`GET /4111111111111111/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJraW0ifQ.c2lnbmF0dXJl.json k_x 378282246310005.`,
	} {
		if got, shown := r.Line(sealed(raw)), r.Line(raw); got != shown || sealed(raw) == shown || !mark.MatchString(shown) {
			t.Errorf("%q is shown as %q, sealed as %q, and then shown as %q", raw, shown, sealed(raw), got)
		}
	}
	plain := `GET /p_0123456789abcdef.0123456789abcdef t_0123456789abcdef~a2lt.0123456789abcdef _ p_ 200`
	if got := r.Line(plain); got != plain {
		t.Errorf("what a client wrote like a seal, %q, is shown as %q", plain, got)
	}
	half := sealed(`GET /a?api_key=AIzaSyD4abcdefgh123456`)
	half = half[:len(half)-1]
	if got := r.Line(half); got == half || !mark.MatchString(got) {
		t.Errorf("half a seal, %q, is shown as %q", half, got)
	}
}

func FuzzRedact(f *testing.F) {
	for _, s := range []string{
		`/a?token=abc&key=AIzaSyD4abcdefgh123456`, `{"password":"x\"y","pwd":1}`, `Authorization: Bearer abc.def.ghi`,
		`\x22secret\x22:\x22v\x22`, `4111 1111 1111 1111`, `eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl`, `%22pwd%22%3A%22x%22`,
		`;jsessionid=1?a`, `token:'a'`, "token=\x00", `a[token]=<p_00000000>&`, `Basic dXNlcjpwYXNz==`, `"Cookie":["a=b; c=\"d\""]`,
		`{"name":"cookie","value":{"a":["b"]}}`, `<a:pwd>x</a:pwd>`, `name="otp"\r\n\r\n1\r\n`, `a%5Bpassword%5D=1`, `x\u0026sid\u003d2\u003cpwd\u003e3\u003c`,
		`://u:p@h 34 378282246310005 30569309025904`, `"set-cookie":"a=b; c=d" token_="1" api.k-ey=2`, `Cookie: a=b; c=d`, `\\\"pwd\\\":\\\"a\\\\\\\"`,
	} {
		f.Add(s)
	}
	r := redactorOf(f, "test")
	f.Fuzz(func(t *testing.T, line string) {
		once := r.Line(line)
		if slow := r.slowLine(line); slow != once {
			t.Errorf("%q\nfast %q\nslow %q", line, once, slow)
		}
		if batch := "x=1\n" + line; strings.IndexByte(line, '\n') < 0 { // behind a line, whose bytes are not the next one's
			if g := r.glance(batch); g.seek(4) == len(batch) && once != line {
				t.Errorf("%q holds a secret, at first glance it does not:\n%q", line, once)
			}
		}
		if len(once) > 12*len(line) {
			t.Errorf("grew from %d to %d bytes", len(line), len(once))
		}
		if twice := r.Line(once); twice != once {
			t.Errorf("not the same twice:\n%q\n%q\n%q", line, once, twice)
		}
	})
}

var benchRedact = map[string]string{
	"plain":   `203.0.113.77 - alice [02/Mar/2026:10:00:00 +0000] "GET /api/v1/orders/4711?sort=asc HTTP/1.1" 200 1234 "https://shop.example/orders" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120 Safari"`,
	"json":    `{"time":"2026-03-02T10:00:00+00:00","remote_addr":"203.0.113.77","xff":"","method":"GET","uri":"/api/v1/orders/4711","status":200,"bytes":1234,"referer":"","ua":"curl/7.88.1","request_time":0.001}`,
	"secret":  `203.0.113.77 - alice [02/Mar/2026:10:00:00 +0000] "GET /api/v1/orders/4711?token=s3cr3t HTTP/1.1" 200 1234 "https://shop.example/orders" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120 Safari"`,
	"browser": `2001:db8:2:a600::15 - - [02/Mar/2026:08:01:59 +0000] "GET /api/v1/products?category=bike&sort=price&page=18&per_page=24 HTTP/1.1" 200 11269 "https://shop.example.com/orders" "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/144.0.0.0 Safari/537.36"`,
}

func BenchmarkLine(b *testing.B) {
	r := redactorOf(b, "test")
	for name, line := range benchRedact {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				r.Line(line)
			}
		})
	}
}

// TestGlance looks at many lines in a row as Batch does: whatever redact would change must
// be seen, and a batch comes out as its lines do.
func TestGlance(t *testing.T) {
	r := redactorOf(t, "test")
	parts := []string{"token", "X-Api-Key", "pwd", "key", "name", "a", "=", ":", ": ", "<", "%3D", "%3a", `\u003d`, `\"`, `"`, " ", "&", "?", "bearer ", "Basic+",
		"eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl", "dXNlcjpwYXNz", "4111 1111 1111 1111", "4111111111111111", "378282246310005", "08:00:00", "x", "Mozilla/5.0", "\xbd\xba", "[", "]", "%5D", "'",
		"token=x", `"pwd":"x"`, `"otp" : 123`, "user[password]=x", "a%5Bpassword%5D=x", "api_ke-y=x", `\x22secret\x22:\x22v\x22`, "%22pwd%22%3A%22x%22", "s3://u:p@h/", "<otp>1</otp>", "authorization: bearer abcdefgh"}
	rapid.Check(t, func(rt *rapid.T) {
		lines := rapid.SliceOfN(rapid.Map(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 9), func(s []string) string { return strings.Join(s, "") }), 1, 9).Draw(rt, "lines")
		all := strings.Join(lines, "\n")
		var want []string
		from := 0
		g := r.glance(all)
		for _, line := range lines {
			red := r.redact(line, true)
			want = append(want, red)
			if red != line && g.seek(from) >= from+len(line) {
				rt.Fatalf("%q becomes %q, and nothing was seen in it", line, red)
			}
			from += len(line) + 1
		}
		b := ingest.Batch{Data: []byte(all)}
		r.Batch(&b)
		if got := string(b.Data); got != strings.Join(want, "\n") {
			rt.Fatalf("got %q\nwant %q", got, want)
		}
		for i := range b.Sizes {
			if n := len(lines[i]); int(b.Sizes[i]) != n+1 && i < len(lines)-1 {
				rt.Fatalf("line %d has %d bytes, said are %d", i, n+1, b.Sizes[i])
			}
		}
	})
}

func BenchmarkBatch(b *testing.B) {
	r := redactorOf(b, "test")
	for name, line := range benchRedact {
		b.Run(name, func(b *testing.B) {
			const lines = 1000
			data := []byte(strings.Repeat(line+"\n", lines))
			for b.Loop() {
				r.Batch(&ingest.Batch{Data: data})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/lines, "ns/line")
		})
	}
}
