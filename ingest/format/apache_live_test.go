package format

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/fixtures/gateways"
	"github.com/portcullis/portcullis/ingest"
)

// apacheLive are formats of one server, each with the spec that reads it.
var apacheLive = []struct{ file, conf, spec string }{
	{"combined", `"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\""`, "apache-combined"},
	{"vhost", `"%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\""`, "apache-vhost_combined"},
	{"json", `"{\"t\":\"%{%Y-%m-%dT%H:%M:%S}t.%{usec_frac}t%{%z}t\",\"a\":\"%{c}a\",\"r\":\"%r\",\"s\":%>s,\"b\":%B,\"ua\":\"%{User-Agent}i\",\"ref\":\"%{Referer}i\",\"d\":%{us}T}"`, ""},
	{"words", `"%a %{usec}t %k %X %P %{remote}p %R %{ms}T %I %{X-None}i \"%r\" %s \"%{User-Agent}i\" \"%{Referer}i\" %L"`, ""},
}

// until looks again and again until something is so, for at most ten seconds.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, limit := time.NewTicker(5*time.Millisecond), time.NewTimer(10*time.Second)
	defer tick.Stop()
	defer limit.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("not within ten seconds: %s", what)
		}
	}
}

// TestApacheLive: what a client sends to a real Apache comes out of its logs again, in
// each of the formats.
func TestApacheLive(t *testing.T) {
	targets := []string{"/", `/a?b="c"&d=\`, "/%23%41", "/" + strings.Repeat("a", 3000), "*", "/][{}|^", "/\xc3\xa9\xff"}
	agents := []string{"curl/8", `a"b\c]#{|}`, "é\xff", `x" 200 5 "-" "`, "", `\x22\"\n`, "tab\tin"}
	for _, f := range apacheLive {
		spec := f.spec
		if spec == "" {
			spec = "apache:LogFormat " + f.conf
		}
		g := gateways.Start(t, "apache", gateways.Options{Format: f.conf})
		for i, target := range targets {
			exchange(t, strings.TrimPrefix(g.URL, "http://"), fmt.Sprintf("GET %s HTTP/1.0\r\nHost: h\r\nUser-Agent: %s\r\nReferer: %s\r\n\r\n", target, agents[i], agents[len(agents)-1-i]))
		}
		var lines [][]byte
		until(t, "all requests are logged", func() bool {
			data, _ := os.ReadFile(g.Log)
			lines = nil
			for _, l := range bytes.SplitAfter(data, []byte("\n")) {
				if !bytes.Contains(l, []byte(gateways.Ready)) && bytes.HasSuffix(l, []byte("\n")) && bytes.Contains(l, []byte("GET ")) {
					lines = append(lines, bytes.TrimSuffix(l, []byte("\n")))
				}
			}
			return len(lines) >= len(targets)
		})
		p := open(t, spec)
		for i, line := range lines {
			var ev ingest.Event
			r := p.Parse(line, &ev)
			since := time.Since(time.Unix(0, ev.Time))
			if r != ingest.OK || ev.Peer.String() != "127.0.0.1" || ev.Status < 200 || ev.Status > 599 || since < -2*time.Second || since > time.Minute {
				t.Errorf("%s: %s %s\n%+v", f.file, r, line, ev)
			}
			if ev.Target != targets[i] || ev.Agent != agents[i] && ev.Status != 400 || ev.Referer != agents[len(agents)-1-i] && ev.Status != 400 {
				t.Errorf("%s: %s\ngives %q %q %q\nsent  %q %q", f.file, line, ev.Target, ev.Agent, ev.Referer, targets[i], agents[i])
			}
		}
	}
}
