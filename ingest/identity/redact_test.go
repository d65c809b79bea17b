package identity

import (
	"regexp"
	"strings"
	"testing"
)

// mark makes pseudonyms readable in a table.
var mark = regexp.MustCompile(`<p_[0-9a-f]{8}>`)

func TestRedact(t *testing.T) {
	r := NewRedactor([]byte("test"))
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
		{`{"pwd" : "x", "client_secret":12345, "token":null}`, `{"pwd" : "*", "client_secret":*, "token":null}`},
		{`"{\x22password\x22:\x22hunter2\x22,\x22a\x22:1}"`, `"{\x22password\x22:\x22*\x22,\x22a\x22:1}"`},
		{`"body":"{\"password\":\"hunter2\",\"a\":1}"`, `"body":"{\"password\":\"*\",\"a\":1}"`},
		{`/q?f=%7B%22apiKey%22%3A%22abc%22%7D`, `/q?f=%7B%22apiKey%22%3A%22*%22%7D`},
		{`"api_key":"key-0","xff":"203.0.113.1"`, `"api_key":"*","xff":"203.0.113.1"`},
		{`X-Api-Key: key-0" next`, `X-Api-Key: *" next`},
		{`"Authorization: Bearer abc.def-ghi"`, `"Authorization: Bearer *"`},
		{`"authorization":"Basic dXNlcjpwYXNz"`, `"authorization":"*"`},
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
	r := NewRedactor([]byte("one"))
	got := mark.FindAllString(r.Line("/a?token=x&password=x&secret=y"), -1)
	if len(got) != 3 || got[0] != got[1] || got[1] == got[2] {
		t.Errorf("pseudonyms %v: want two equal ones and another", got)
	}
	if NewRedactor([]byte("two")).Line("/a?token=x") == r.Line("/a?token=x") {
		t.Error("two keys give one pseudonym")
	}
	if line := "/plain/line?x=1"; testing.AllocsPerRun(10, func() { r.Line(line) }) != 0 {
		t.Error("a line without secrets allocates")
	}
}

// TestRedactIsLinear: no input makes it look at the same bytes again and again.
func TestRedactIsLinear(t *testing.T) {
	r := NewRedactor([]byte("test"))
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

func FuzzRedact(f *testing.F) {
	for _, s := range []string{
		`/a?token=abc&key=AIzaSyD4abcdefgh123456`, `{"password":"x\"y","pwd":1}`, `Authorization: Bearer abc.def.ghi`,
		`\x22secret\x22:\x22v\x22`, `4111 1111 1111 1111`, `eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl`, `%22pwd%22%3A%22x%22`,
		`;jsessionid=1?a`, `token:'a'`, "token=\x00", `a[token]=<p_00000000>&`, `Basic dXNlcjpwYXNz==`,
	} {
		f.Add(s)
	}
	r := NewRedactor([]byte("test"))
	f.Fuzz(func(t *testing.T, line string) {
		once := r.Line(line)
		if len(once) > 12*len(line) {
			t.Errorf("grew from %d to %d bytes", len(line), len(once))
		}
		if twice := r.Line(once); twice != once {
			t.Errorf("not the same twice:\n%q\n%q\n%q", line, once, twice)
		}
	})
}
