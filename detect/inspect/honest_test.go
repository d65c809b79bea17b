package inspect

import (
	_ "embed"
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

//go:embed testdata/honest.txt
var honestText string

func honestLines() []string {
	var out []string
	for line := range strings.SplitSeq(honestText, "\n") {
		if line != "" && !strings.HasPrefix(line, "# ") {
			out = append(out, line)
		}
	}
	return out
}

// TestHonest puts each honest text everywhere that a client may put it.
func TestHonest(t *testing.T) {
	in := New(Config{})
	lines := honestLines()
	if len(lines) < 300 {
		t.Fatalf("only %d honest texts", len(lines))
	}
	for _, s := range lines {
		form := url.Values{"q": {s}, "page": {"2"}}.Encode()
		js, err := json.Marshal(map[string]any{"text": s, "n": 1})
		if err != nil {
			t.Fatal(err)
		}
		places := map[string]Verdict{
			"query":   in.Inspect(&ingest.Event{Target: "/search?" + form}),
			"path":    in.Inspect(&ingest.Event{Target: "/tags/" + url.PathEscape(s)}),
			"referer": in.Inspect(&ingest.Event{Target: "/", Referer: "https://www.example.com/find?" + form}),
			"form":    in.InspectRequest("POST", "/", [][2]string{{"Content-Type", "application/x-www-form-urlencoded"}}, form),
			"json":    in.InspectRequest("POST", "/", [][2]string{{"Content-Type", "application/json"}}, string(js)),
		}
		for where, v := range places {
			if v.Score >= in.Threshold() || v.NearCertain {
				t.Errorf("%s: %q scores %d as %s: %s", where, s, v.Score, v.Class, v.Why)
			}
		}
	}
}

var honestAgents = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
	"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
	"Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1; .NET CLR 2.0.50727; .NET CLR 3.0.4506.2152; MS-RTC LM 8)",
	"curl/8.5.0", "Wget/1.21.2", "python-requests/2.31.0", "Go-http-client/1.1", "Java/17.0.2", "git/2.39.2", "PHP/8.2",
	"Apache-HttpClient/4.5.13 (Java/11.0.14)", "okhttp/4.12.0", "axios/1.6.8", "Ruby", "libwww-perl/6.68",
	"MyApp/1.0 (iPhone; iOS 17.4; Scale/3.00)", "Dalvik/2.1.0 (Linux; U; Android 13; SM-G991B Build/TP1A.220624.014)",
	"kube-probe/1.29", "Prometheus/2.51.0", "ELB-HealthChecker/2.0", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
	"Tiny Tiny RSS/1.11 (http://tt-rss.org/)", "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
	"SAMSUNG-SGH-E250/1.0 Profile/MIDP-2.0 Configuration/CLDC-1.1 UP.Browser/6.2.3.3.c.1.101 (GUI) MMP/2.0 (compatible; Googlebot-Mobile/2.1; +http://www.google.com/bot.html)",
}

func TestHonestAgents(t *testing.T) {
	in := New(Config{})
	for _, a := range honestAgents {
		if v := in.Inspect(&ingest.Event{Target: "/", Agent: a}); v.Score >= 20 {
			t.Errorf("%q scores %d: %s", a, v.Score, v.Why)
		}
		if in.Suspicious(&ingest.Event{Target: "/", Agent: a}) {
			t.Errorf("the first pass does not clear %q", a)
		}
	}
}

// TestRealBackground reads real lines whose alarms must be rare, and prints
// each alarm.
func TestRealBackground(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	in := New(Config{})
	in.ungated = true
	n, suspicious, alarms := 0, 0, 0
	file := filepath.Join("..", "..", "fixtures", "background", "elastic-apache.log.gz")
	readLines(t, file, func(line []byte) {
		f := strings.Split(string(line), `"`)
		req := strings.Fields(f[1])
		if len(f) < 7 || len(req) < 2 {
			return
		}
		n++
		ev := &ingest.Event{Target: req[1], Referer: f[3], Agent: f[5]}
		if in.Suspicious(ev) {
			suspicious++
		}
		v := in.full(ev)
		if v.Score > 0 && !in.Suspicious(ev) {
			t.Errorf("the first pass stops %q, which scores %d (%s)", line, v.Score, v.Why)
		}
		if v.Score >= in.Threshold() {
			alarms++
			t.Logf("alarm: %d %s %s in %s: %.300s", v.Score, v.Class, v.Why, v.Field, line)
		}
	})
	t.Logf("%d lines, %d go past the first pass, %d alarms", n, suspicious, alarms)
	if n == 0 || alarms*1000 > n {
		t.Errorf("%d alarms in %d lines, over one in a thousand", alarms, n)
	}
}
