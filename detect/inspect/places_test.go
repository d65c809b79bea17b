package inspect

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

func base64Raw(s string) string    { return base64.RawStdEncoding.EncodeToString([]byte(s)) }
func base64Padded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
func hexOf(s string) string        { return hex.EncodeToString([]byte(s)) }

// inUTF16 is a text of ASCII in UTF-16.
func inUTF16(s string) string { return strings.Join(strings.Split(s, ""), "\x00") + "\x00" }

// loggedPlaces are where an access log shows an encoded text.
var loggedPlaces = map[string]func(s string) *ingest.Event{
	"a part of the path":     func(s string) *ingest.Event { return &ingest.Event{Target: "/api/v1/" + base64Raw(s)} },
	"all of the query":       func(s string) *ingest.Event { return &ingest.Event{Target: "/?" + base64Padded(s)} },
	"a query in a parameter": func(s string) *ingest.Event { return &ingest.Event{Target: "/?d=" + base64Raw("page=1&name="+s)} },
	"hexadecimal digits":     func(s string) *ingest.Event { return &ingest.Event{Target: "/?d=" + hexOf(s)} },
	"a hexadecimal number":   func(s string) *ingest.Event { return &ingest.Event{Target: "/?d=0x" + hexOf(s)} },
	"UTF-16 in digits": func(s string) *ingest.Event {
		return &ingest.Event{Target: "/?d=0x" + hexOf(inUTF16(s))}
	},
	"digits in the path": func(s string) *ingest.Event {
		return &ingest.Event{Target: "/x/" + hexOf(s) + "/y"}
	},
	"an agent":                func(s string) *ingest.Event { return &ingest.Event{Target: "/", Agent: base64Raw(s)} },
	"a referer without a URL": func(s string) *ingest.Event { return &ingest.Event{Target: "/", Referer: base64Padded(s)} },
}

// wholePlaces are where only the whole request shows it.
var wholePlaces = map[string]func(in *Inspector, s string) Verdict{
	"a part of multipart": func(in *Inspector, s string) Verdict {
		return in.InspectRequest("POST", "/", [][2]string{{"Content-Type", "multipart/form-data; boundary=b0"}}, "--b0\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n"+base64Raw(s)+"\r\n--b0--\r\n")
	},
	"a header": func(in *Inspector, s string) Verdict {
		return in.InspectRequest("GET", "/", [][2]string{{"X-Data", base64Raw(s)}}, "")
	},
	"credentials": func(in *Inspector, s string) Verdict {
		return in.InspectRequest("GET", "/", [][2]string{{"Authorization", "Basic " + base64Padded(s+":x")}}, "")
	},
	"a cookie": func(in *Inspector, s string) Verdict {
		return in.InspectRequest("GET", "/", [][2]string{{"Cookie", "a=b; c=" + base64Raw(s)}}, "")
	},
	"a cookie without a name": func(in *Inspector, s string) Verdict {
		return in.InspectRequest("GET", "/", [][2]string{{"Cookie", base64Padded(s)}}, "")
	},
	"all of the body": func(in *Inspector, s string) Verdict { return in.InspectRequest("POST", "/", nil, base64Padded(s)) },
	"a text of XML": func(in *Inspector, s string) Verdict {
		return in.InspectRequest("POST", "/", [][2]string{{"Content-Type", "text/xml"}}, "<a><b>"+base64Raw(s)+"</b></a>")
	},
}

// TestEncodedPlaces sends attacks and honest texts in base64 and in hexadecimal digits
// wherever a client may put a text.
func TestEncodedPlaces(t *testing.T) {
	attacks := []string{"-1 UNION SELECT name,pass FROM users", "<script>alert(document.cookie)</script>", "; cat /etc/passwd; echo done"}
	honest := []string{"The union of clubs; select one!", "{\"name\":\"O'Neill\",\"n\":12}", "price > 10 and rating < 5"}
	in, gated := New(Config{}), New(Config{})
	for name, put := range loggedPlaces {
		for _, s := range attacks {
			if v := in.full(put(s)); v.Score < in.Threshold() || !gated.Suspicious(put(s)) {
				t.Errorf("%s: %q scores %d (%s), suspicious: %v", name, s, v.Score, v.Why, gated.Suspicious(put(s)))
			}
		}
		for _, s := range honest {
			if v := in.full(put(s)); v.Score >= in.Threshold() {
				t.Errorf("%s: the honest %q scores %d (%s)", name, s, v.Score, v.Why)
			}
		}
	}
	for name, put := range wholePlaces {
		for _, s := range attacks {
			if v := put(in, s); v.Score < in.Threshold() {
				t.Errorf("%s: %q scores %d (%s)", name, s, v.Score, v.Why)
			}
		}
		for _, s := range honest {
			if v := put(in, s); v.Score >= in.Threshold() {
				t.Errorf("%s: the honest %q scores %d (%s)", name, s, v.Score, v.Why)
			}
		}
	}
}

// TestIdentifiersAreNoText leaves sums, UUIDs and random tokens alone.
func TestIdentifiersAreNoText(t *testing.T) {
	for _, s := range []string{
		"d41d8cd98f00b204e9800998ecf8427e", "3f786850e387550fdab836ed7e6dc881de23001b", "550e8400e29b41d4a716446655440000",
		"0x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "0x52908400098527886E0F7030069857D2E4169EE7",
		"internationalization", "configuration-management", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG",
	} {
		if encodedText(s) || pathGate("/api/"+s+"/x", true) {
			t.Errorf("%q is taken for text", s)
		}
	}
}

// TestShortBase64 reads base64 of a few bytes where its padding tells it from a word.
func TestShortBase64(t *testing.T) {
	in, gated := New(Config{}), New(Config{})
	for _, target := range []string{"/?f=L2V0Yy9wYXNzd2Q=", "/?f=L2V0Yy9wYXNzd2Q%3D&x=1", "/?JyBPUiAxPTEtLQ==", "/x/L2V0Yy9wYXNzd2Q="} {
		ev := &ingest.Event{Target: target}
		if v := in.full(ev); v.Score < in.Threshold() || !gated.Suspicious(ev) {
			t.Errorf("%s scores %d (%s), suspicious: %v", target, v.Score, v.Why, gated.Suspicious(ev))
		}
	}
	for _, s := range []string{"Q2FmZSBCYXI=", "Sm9obiBEb2U=", "abcdefghij=", "ABCDEFGHIJK="} {
		if v := in.full(&ingest.Event{Target: "/?id=" + s}); v.Score >= in.Threshold() {
			t.Errorf("the honest %q scores %d (%s)", s, v.Score, v.Why)
		}
	}
}

// TestMultipart divides a body at its own boundary, and reads parts that are not as they
// should be.
func TestMultipart(t *testing.T) {
	in := New(Config{})
	head := [][2]string{{"Content-Type", "multipart/form-data; boundary=b0"}}
	for name, body := range map[string]string{
		"behind dashes":         "--b0\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nhello\r\n--\r\n' UNION SELECT name,pass FROM users--\r\n--b0--\r\n",
		"without an empty line": "--b0\r\nContent-Disposition: form-data; name=\"x\"\r\n<script>alert(1)</script>\r\n--b0--\r\n",
		"another boundary":      "--zz\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n<script>alert(1)</script>\r\n--zz--\r\n",
		"JSON in a part":        "--b0\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n{\"a\":\"\\u003cscript\\u003ealert(1)\\u003c/script\\u003e\"}\r\n--b0--\r\n",
	} {
		if v := in.InspectRequest("POST", "/", head, body); v.Score < in.Threshold() {
			t.Errorf("%s: scores %d in %q (%s)", name, v.Score, v.Field, v.Why)
		}
	}
	honest := "--b0\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nRegards\r\n--\r\nAnna\r\n--b0\r\nContent-Disposition: form-data; name=\"y\"\r\n\r\n--version\r\n--b0--\r\n"
	if v := in.InspectRequest("POST", "/", head, honest); v.Score >= in.Threshold() {
		t.Errorf("the honest body scores %d in %q (%s)", v.Score, v.Field, v.Why)
	}
}

// TestCookieIsAPair reads a cookie as a parameter is read: its name may be part of an attack.
func TestCookieIsAPair(t *testing.T) {
	in := New(Config{})
	for _, c := range []string{"<%= 7*7 %>", "a=1; user[$ne]=x", "%27%20or%201%3D1--=1"} {
		if v := in.InspectRequest("GET", "/", [][2]string{{"Cookie", c}}, ""); v.Score < in.Threshold() || !strings.HasPrefix(v.Field, "cookie") {
			t.Errorf("%q scores %d in %q (%s)", c, v.Score, v.Field, v.Why)
		}
	}
	if v := in.InspectRequest("GET", "/", [][2]string{{"Cookie", "sid=38afes7a8; theme=dark; _ga=GA1.2.1234; consent={\"a\":true}; path=/a/b"}}, ""); v.Score > 0 {
		t.Errorf("honest cookies score %d (%s)", v.Score, v.Why)
	}
}

// TestScannerAgents tells tools by their agents, and that it is all they are told by.
func TestScannerAgents(t *testing.T) {
	in, gated := New(Config{}), New(Config{})
	for _, s := range []string{"sqlmap/1.7.4#stable (https://sqlmap.org)", "Mozilla/5.00 (Nikto/2.1.6) (Evasions:None)", "Mozilla/5.0 [en] (X11, U; OpenVAS-VT 22.4.1)"} {
		ev := &ingest.Event{Target: "/", Agent: s}
		if v := in.full(ev); v.Class != Scanner || !v.Recon() || v.Score < in.Threshold() || !gated.Suspicious(ev) {
			t.Errorf("%q is %+v, suspicious: %v", s, v, gated.Suspicious(ev))
		}
	}
	v := in.Inspect(&ingest.Event{Target: "/?id=1+UNION+SELECT+name,pass+FROM+users", Agent: "sqlmap/1.7"})
	if v.Recon() || v.Class != "sqli" || !slices.Contains(v.Classes, Scanner) {
		t.Errorf("an attack of a tool is %+v", v)
	}
	if v := in.Inspect(&ingest.Event{Target: "/.git/config", Agent: "Nikto"}); !v.Recon() || len(v.Classes) != 2 {
		t.Errorf("a probe of a tool is %+v", v)
	}
	for _, s := range []string{"Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "curl/8.5.0", "dehydrated/0.7.1 curl/8.5.0", "Nicotine+/3.2", "kube-probe/1.29"} {
		if v := in.full(&ingest.Event{Target: "/", Agent: s}); v.Score > 0 {
			t.Errorf("the honest agent %q scores %d (%s)", s, v.Score, v.Why)
		}
	}
}
