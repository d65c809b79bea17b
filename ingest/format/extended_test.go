package format

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/ingesttest"
)

func tabbed(s string) string { return strings.ReplaceAll(s, " ", "\t") }

func TestCloudfrontContract(t *testing.T) {
	full := ingest.Event{Time: instant(t, "2019-12-04T21:02:31Z"), Peer: netip.MustParseAddr("192.0.2.100"), Method: "GET", Target: "/index.html", Host: "d111111abcdef8.cloudfront.net",
		Protocol: "HTTP/2.0", Scheme: "https", Status: 200, BytesOut: 392, BytesIn: 23, Duration: 1e6, TLS: "TLSv1.2", Cipher: "ECDHE-RSA-AES128-GCM-SHA256",
		RequestID: "SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ==", Agent: "curl/7.55.1"}
	encoded := full
	encoded.Target, encoded.Agent, encoded.Session, encoded.Chain = "/a%20b\x80?q=\"%27", "Mozilla/5.0 (KHTML, like Gecko) \t%", "sid=1; x={2}", "198.51.100.1, 10.0.0.1"
	encoded.Status, encoded.Flags = 0, ingest.FlagInvalidUTF8
	const line = "2019-12-04 21:02:31 LAX1 392 192.0.2.100 GET d111111abcdef8.cloudfront.net /index.html 200 - curl/7.55.1 - - Hit SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ== d111111abcdef8.cloudfront.net https 23 0.001 - TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 Hit HTTP/2.0 - - 11040 0.001 Hit text/html 78 - -"
	ingesttest.Format(t, ingesttest.FormatCase{
		New: opener(t, "cloudfront"),
		Lines: []ingesttest.FormatLine{
			{Line: tabbed(line), Event: full, Plain: true},
			{Line: tabbed(line) + "\t", Event: full, Plain: true},
			{Line: tabbed(strings.NewReplacer("/index.html 200", "/a%2520b%80 000", "curl/7.55.1 - -", "Mozilla/5.0%20(KHTML,%20like%20Gecko)%20%09% q=%22%2527 sid=1;%20x=%7B2%7D", "0.001 - TLS", "0.001 198.51.100.1,%2010.0.0.1 TLS").Replace(line)), Event: encoded},
		},
		Rejects: map[string]ingest.Reason{
			"#Version: 1.0":                 ingest.NotARequest,
			"#Fields: " + cloudfrontDefault: ingest.NotARequest,
			line:                            ingest.BadShape,
			tabbed(strings.Replace(line, "192.0.2.100", "shop", 1)):  ingest.BadAddress,
			tabbed(strings.Replace(line, "192.0.2.100", "-", 1)):     ingest.NoClient,
			tabbed(strings.Replace(line, " 200 ", " 2x0 ", 1)):       ingest.BadStatus,
			tabbed(strings.Replace(line, "21:02:31", "21:02:61", 1)): ingest.BadTime,
			tabbed(strings.Replace(line, " 392 ", " many ", 1)):      ingest.BadNumber,
			tabbed(line)[:150]: ingest.BadShape,
			tabbed("2019-12-04 21:02:31 LAX1 392 192.0.2.100 GET a /b"): ingest.BadShape,
		},
	})
}

func TestW3CContract(t *testing.T) {
	full := ingest.Event{Time: instant(t, "2026-11-23T13:03:36Z"), Peer: peer7, User: `SHOP\bob`, Method: "GET", Target: "/o/1?a=b+c", Status: 200, Duration: 12e6,
		Agent: "Mozilla/5.0 (X11; Linux)", Referer: "https://r/?x+y"}
	plain := full
	plain.Agent, plain.Referer, plain.User, plain.Target = "curl/8.5.0", "", "", "/o/1"
	ingesttest.Format(t, ingesttest.FormatCase{
		New: opener(t, "w3c"),
		Lines: []ingesttest.FormatLine{
			{Line: `2026-11-23 13:03:36 10.0.0.3 GET /o/1 - 443 - 203.0.113.7 curl/8.5.0 - 200 0 0 12`, Event: plain, Plain: true},
			{Line: `2026-11-23 13:03:36 10.0.0.3 GET /o/1 a=b+c 443 SHOP\bob 203.0.113.7 Mozilla/5.0+(X11;+Linux) https://r/?x+y 200 0 0 12`, Event: full},
		},
		Rejects: map[string]ingest.Reason{
			`#Software: Microsoft Internet Information Services 10.0`:                                     ingest.NotARequest,
			`#Date: 2026-11-23 13:00:00`:                                                                  ingest.NotARequest,
			`2026-11-23 13:03:36 10.0.0.3 GET /o/1 - 443 - 203.0.113.7 curl/8.5.0 - 200 0 0`:              ingest.BadShape,
			`2026-11-23 13:03:36 10.0.0.3 GET /o/1 - 443 - 203.0.113.7 curl/8.5.0 - 200 0 0 12 x`:         ingest.BadShape,
			`2026-11-23 13:03:36 10.0.0.3 GET /o/1 - 443 - - curl/8.5.0 - 200 0 0 12`:                     ingest.NoClient,
			`2026-11-23 13:03:36 10.0.0.3 GET /o/1 - 443 - 203.0.113.7 curl/8.5.0 - 200 0 0 12345678901x`: ingest.BadNumber,
		},
	})
}

// TestCloudfrontColumns: columns come at the end with the years; a "#Fields:" line is exact.
func TestCloudfrontColumns(t *testing.T) {
	p := open(t, "cloudfront")
	base := tabbed("2019-12-04 21:02:31 LAX1 392 192.0.2.100 GET d1 /i 200 - curl - - Hit SOX4 d1 https 23 0.001 - - -")
	for line, want := range map[string]ingest.Reason{base: ingest.OK, base + strings.Repeat("\t-", 20): ingest.OK, base[:len(base)-2]: ingest.BadShape} {
		var ev ingest.Event
		if r := p.Parse([]byte(line), &ev); r != want || r == ingest.OK && ev.Target != "/i" {
			t.Errorf("%s %+v: %q", r, ev, line)
		}
	}
	var ev ingest.Event
	p.Parse([]byte("#Fields: timestamp(ms) c-ip sc-status"), &ev)
	if r := p.Parse([]byte("1795439016250\t192.0.2.100\t403"), &ev); r != ingest.OK || ev.Time != 1795439016250e6 || ev.Status != 403 {
		t.Errorf("%s %+v", r, ev)
	}
	if r := p.Parse([]byte(base), &ev); r != ingest.BadShape {
		t.Errorf("a line of another width than #Fields says gives %s", r)
	}
}

// TestFieldsChange: a "#Fields:" line holds until the next one; a parser that did not
// see it, as after a restart, learns of it from the others of its source; where several
// would do, only what they agree on is taken.
func TestFieldsChange(t *testing.T) {
	f, err := Open("w3c")
	if err != nil {
		t.Fatal(err)
	}
	parse := func(p ingest.Parser, line string, want ingest.Reason) (ev ingest.Event) {
		t.Helper()
		if r := p.Parse([]byte(line), &ev); r != want {
			t.Errorf("%s, want %s: %q", r, want, line)
		}
		return ev
	}
	p, q := f.New(), f.New()
	const short = "2026-11-23 13:03:36 203.0.113.7 GET /a 200"
	parse(p, short, ingest.BadShape)
	parse(p, "#Fields: date time c-ip cs-method cs-uri-stem sc-status", ingest.NotARequest)
	for _, each := range []ingest.Parser{p, q} {
		if ev := parse(each, short, ingest.OK); ev.Peer != peer7 || ev.Target != "/a" || ev.Status != 200 {
			t.Errorf("%+v", ev)
		}
	}
	// In the middle of the file: another order of as many columns, with the server's address.
	parse(p, "#Fields: date time s-ip cs-method cs-uri-stem sc-status", ingest.NotARequest)
	parse(p, "2026-11-23 13:03:36 10.0.0.3 GET /a 200", ingest.NoClient)
	p.Reset()
	parse(p, short, ingest.NoClient) // which of the two it is cannot be told
	parse(p, "#Fields: date time c-ip cs-uri-stem cs-method sc-status x", ingest.NotARequest)
	p.Reset()
	if ev := parse(q, "2026-11-23 13:03:36 203.0.113.7 /b PUT 404 -", ingest.OK); ev.Target != "/b" || ev.Method != "PUT" || ev.Status != 404 {
		t.Errorf("%+v", ev)
	}
	parse(q, "2026-11-23 13:03:36 10.0.0.3 GET /o/1 - 443 - 203.0.113.7 curl/8.5.0 - 200 0 0 12", ingest.BadShape)
	parse(q, "#Fields: "+strings.Repeat("x ", maxExtColumns+1), ingest.NotARequest)
	parse(q, "2026-11-23 13:03:36 203.0.113.7 /b PUT 404 -", ingest.OK)
	// Another source with the same spec knows nothing of it.
	other, err := Open("w3c")
	if err != nil {
		t.Fatal(err)
	}
	parse(other.New(), short, ingest.BadShape)
}

func TestW3CArgument(t *testing.T) {
	p := open(t, "w3c:#Fields: date time c-ip cs-method cs-uri-stem cs-uri-query sc-status X-Forwarded-For cs-host cs(Cookie)")
	var ev ingest.Event
	r := p.Parse([]byte("2026-11-23 13:03:36 fe80::1%11 GET /a x=1 401 9.9.9.9 shop.example sid=1"), &ev)
	if r != ingest.OK || ev.Peer != netip.MustParseAddr("fe80::1") || ev.Target != "/a?x=1" || ev.Chain != "9.9.9.9" || ev.Host != "shop.example" || ev.Session != "sid=1" {
		t.Errorf("%s %+v", r, ev)
	}
	if _, err := Open("w3c:date time s-ip"); err == nil || !strings.Contains(err.Error(), "no column c-ip") {
		t.Error(err)
	}
	f, err := Open("w3c:c-ip")
	if err != nil || len(f.Warnings) != 4 {
		t.Errorf("%v %q", err, f.Warnings)
	}
	if _, err := Open("cloudfront:x"); err == nil {
		t.Error("cloudfront takes no argument")
	}
}

// TestExtendedShared: parsers of one source in many goroutines; run with -race.
func TestExtendedShared(t *testing.T) {
	f, err := Open("w3c")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			p := f.New()
			for i := range 100 {
				var ev ingest.Event
				p.Parse(fmt.Appendf(nil, "#Fields: date time c-ip sc-status x%d", (i+n)%50), &ev)
				p.Reset()
				if r := p.Parse([]byte("2026-11-23 13:03:36 203.0.113.7 200 -"), &ev); r != ingest.OK || ev.Peer != peer7 {
					t.Errorf("%s %+v", r, ev)
				}
			}
		})
	}
	wg.Wait()
}

func TestExtendedDetect(t *testing.T) {
	iis := "#Software: IIS\n#Version: 1.0\n#Date: 2026-11-23 13:00:00\n#Fields: date time c-ip cs-method cs-uri-stem sc-status\n" +
		strings.Repeat("2026-11-23 13:03:36 203.0.113.7 GET /a 200\n", 5)
	cf := "#Version: 1.0\n#Fields: date time c-ip cs-method cs-uri-stem sc-status\n" + strings.Repeat(tabbed("2026-11-23 13:03:36 203.0.113.7 GET /a 200\n"), 5)
	for sample, want := range map[string]string{iis: "w3c", cf: "cloudfront", "2026-11-23 13:03:36 10.0.0.3 GET /o/1 - 443 - 203.0.113.7 curl/8.5.0 - 200 0 0 12\n": "w3c"} {
		if f, why, err := Detect([]byte(sample)); err != nil || f.Name != want {
			t.Errorf("taken for %q: %s %v, want %s", f.Name, why, err, want)
		}
	}
}

// cloudfrontEncode is written from the table of the documentation.
func cloudfrontEncode(s string) string {
	if s == "" {
		return "-"
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= 32 || c >= 127 || strings.IndexByte("<>\"#%{}|\\^~[]`'", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// TestExtendedRoundTrip writes columns in a random order below a "#Fields:" line.
func TestExtendedRoundTrip(t *testing.T) {
	for _, spec := range []string{"cloudfront", "w3c"} {
		rapid.Check(t, func(t *rapid.T) {
			f, err := Open(spec)
			if err != nil {
				t.Fatal(err)
			}
			p := f.New()
			r := drawRequest(t)
			want := r.expect()
			_, target, _ := r.split()
			stem, query, _ := strings.Cut(target, "?")
			enc, sep, took := cloudfrontEncode, "\t", fmt.Sprintf("%d.%03d", r.took/1000, r.took%1000)
			if spec == "w3c" {
				enc, sep, took = func(s string) string { return strings.ReplaceAll(orDash(s), " ", "+") }, " ", fmt.Sprint(r.took)
				stem, query = strings.ReplaceAll(stem, " ", "+"), strings.ReplaceAll(query, " ", "+")
			}
			names := rapid.Permutation([]string{"date", "time", "c-ip", "s-ip", "cs-method", "cs-uri-stem", "cs-uri-query", "sc-status", "sc-bytes", "cs-bytes", "time-taken",
				"cs(User-Agent)", "cs(Referer)", "x-forwarded-for", "x-edge-location"}).Draw(t, "order")
			values := map[string]string{"date": r.at.UTC().Format("2006-01-02"), "time": r.at.UTC().Format("15:04:05"), "c-ip": r.peer.String(), "s-ip": "10.0.0.3",
				"cs-method": "GET", "cs-uri-stem": enc(stem), "cs-uri-query": enc(query), "sc-status": fmt.Sprint(r.status), "sc-bytes": fmt.Sprint(r.bytes),
				"cs-bytes": fmt.Sprint(r.length), "time-taken": took, "cs(User-Agent)": enc(r.ua), "cs(Referer)": enc(r.ref), "x-forwarded-for": enc(r.xff), "x-edge-location": "FRA56"}
			var line []string
			for _, name := range names {
				line = append(line, values[name])
			}
			var ev ingest.Event
			p.Parse([]byte("#Fields: "+strings.Join(names, " ")), &ev)
			text := strings.Join(line, sep)
			if reason := p.Parse([]byte(text), &ev); reason != ingest.OK {
				t.Fatalf("%s: %q", reason, text)
			}
			want.Method, want.Target, want.Protocol, want.User, want.Upstream, want.Flags = "GET", stem, "", "", 0, 0
			if query != "" && query != "-" {
				want.Target += "?" + query
			}
			want.Time = r.at.Unix() * 1e9
			if spec == "w3c" {
				// A plus sign that was sent is a blank afterwards; other values keep theirs.
				want.Agent, want.Referer, want.Chain = strings.ReplaceAll(want.Agent, "+", " "), strings.ReplaceAll(want.Referer, " ", "+"), strings.ReplaceAll(want.Chain, " ", "+")
			}
			ev.Flags &^= ingest.FlagInvalidUTF8
			if ev != want {
				t.Fatalf("line %q\ngives %+v\nwant  %+v", text, ev, want)
			}
		})
	}
}

func FuzzExtended(f *testing.F) {
	f.Add([]byte("#Fields: date time c-ip cs-uri-stem cs-uri-query sc-status"), []byte("2026-11-23 13:03:36 203.0.113.7 /a%20b x+y 200"))
	f.Add([]byte("#Fields: "+cloudfrontDefault), []byte(tabbed("2019-12-04 21:02:31 LAX1 392 192.0.2.100 GET d1 /a%2520 200 - curl/7.55.1 - - Hit SOX4 d1 https 23 0.001 - TLSv1.2 ECDHE Hit HTTP/2.0 - - 11040 0.001 Hit text/html 78 - -")))
	f.Fuzz(func(t *testing.T, header, line []byte) {
		for _, spec := range []string{"cloudfront", "w3c"} {
			fuzzParser(t, spec, line)
			form, err := Open(spec)
			if err != nil {
				t.Fatal(err)
			}
			p := form.New()
			var ev ingest.Event
			p.Parse(header, &ev)
			for range 2 {
				ev = ingest.Event{}
				if r := p.Parse(line, &ev); r == ingest.OK && !ev.Peer.IsValid() {
					t.Fatalf("%s: no peer: %q below %q", spec, line, header)
				}
				p.Reset()
			}
		}
	})
}

func BenchmarkCloudfront(b *testing.B) {
	measure(b, "cloudfront", benchLines(strings.ReplaceAll("2026-11-23 13:03:36 FRA56-P1 512 203.0.%d.%d GET d1.cloudfront.net /api/v1/%02d%02d/%d 200 - curl/8.5.0 page=%d - Miss SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4Ky== shop.example https %d 0.0%d - TLSv1.3 TLS_AES_128_GCM_SHA256 Miss HTTP/2.0 - - 11040 0.012 Miss text/html 512 - -", " ", "\t")))
}

func BenchmarkW3C(b *testing.B) {
	measure(b, "w3c", benchLines(`2026-11-23 13:03:36 10.0.0.3 GET /api/v1/orders a=1 443 - 203.0.%d.%d Mozilla/5.0+(Windows+NT+10.0;+Win64;+x64)+AppleWebKit/537.36+Chrome/131.0.0.0 https://shop.example/orders/%d-%d-%d-%d 200 0 0 %d%d`))
}
