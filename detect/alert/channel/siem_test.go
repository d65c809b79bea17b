package channel

import (
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/detect/alert/alerttest"
)

// TestSIEM: events as the formats' documents have them.
func TestSIEM(t *testing.T) {
	n := alerttest.Notice(alert.Firing)
	if got, want := cef(n), `CEF:0|Portcullis|Portcullis|1.2.3|campaign|[HIGH] campaign: credential on /login, 112 findings of 57 clients|8|rt=1700000620000 externalId=0123456789abcdef act=firing cat=credential cnt=112 request=/login msg=57 clients in 3 networks, mostly on "/login" start=1700000000000 end=1700000600000 cn1Label=clients cn1=57 cn2Label=requests cn2=5043 cs1Label=campaign cs1=credential on /login cs2Label=console cs2=https://portcullis.example.org/alerts?id\=0123456789abcdef`; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	n.Clients = 1
	if got, want := leef(n), "LEEF:2.0|Portcullis|Portcullis|1.2.3|campaign|x09|devTime=1700000620000\tcat=credential\tsev=8\talert=0123456789abcdef\tkind=firing\ttitle=[HIGH] campaign: credential on /login, 112 findings of 57 clients\twhy=57 clients in 3 networks, mostly on \"/login\"\tcampaign=credential on /login\troute=/login\tclients=1\tfindings=112\trequests=5043\tconsole=https://portcullis.example.org/alerts?id=0123456789abcdef\tsrc=192.0.2.7"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// cefFields reads an event back, as a SIEM does.
func cefFields(t *testing.T, event string) (header []string, extension map[string]string) {
	t.Helper()
	part := ""
	i := 0
	for ; i < len(event) && len(header) < 7; i++ {
		switch event[i] {
		case '\\':
			i++
			part += event[i : i+1]
		case '|':
			header, part = append(header, part), ""
		default:
			part += event[i : i+1]
		}
	}
	extension = map[string]string{}
	rest, key := event[i:], ""
	for rest != "" {
		at := 0
		for ; at < len(rest) && rest[at] != '='; at++ {
			if rest[at] == '\\' {
				at++
			}
		}
		if at >= len(rest) {
			extension[key] += rest
			break
		}
		before, name := "", rest[:at]
		if blank := strings.LastIndexByte(rest[:at], ' '); blank >= 0 {
			before, name = rest[:blank], rest[blank+1:at]
		}
		if key != "" {
			extension[key] += before
		}
		key, rest = name, rest[at+1:]
	}
	for k, v := range extension {
		extension[k] = strings.NewReplacer(`\\`, `\`, `\=`, `=`).Replace(v)
	}
	return header, extension
}

// FuzzSIEM: whatever texts hold, an event is one line, and reads back as it was.
func FuzzSIEM(f *testing.F) {
	f.Add(`a|b\c`, "x=1 cn1=99 y\\=z\tsev=1", "alice")
	f.Add("\r\nCEF:0|", "\\", "=\t=")
	f.Fuzz(func(t *testing.T, rule, why, who string) {
		n := alerttest.Notice(alert.Firing)
		n.Rule, n.Why, n.Subjects, n.Clients = rule, why, []string{"consumer:" + who}, 1
		event := cef(n)
		header, ext := cefFields(t, event)
		if len(header) != 7 || header[4] != short(oneLine(n.Rule), 512) && rule != "" || ext["cn1"] != "1" || ext["msg"] != short(oneLine(why), siemValue) || ext["suser"] != short(oneLine(who), siemValue) {
			t.Errorf("%q: %q %q", event, header, ext)
		}
		other := leef(n)
		parts := strings.SplitN(other, "|", 7)
		for _, s := range strings.Split(parts[6], "\t") {
			if key, value, _ := strings.Cut(s, "="); key == "sev" && value != "8" || key == "usrName" && value != short(oneLine(who), siemValue) {
				t.Errorf("%q: %s", other, s)
			}
		}
		if strings.ContainsAny(event+other, "\r\n") {
			t.Errorf("more than one line: %q %q", event, other)
		}
	})
}
