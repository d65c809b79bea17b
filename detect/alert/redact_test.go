package alert_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/alert"
)

// TestRedacted: whom and what it is about is left out, the rest is not.
func TestRedacted(t *testing.T) {
	for text, want := range map[string]string{
		`57 clients in 3 networks, mostly on "/login"; rules: auth-burst. Proposed: block its members`: `57 clients in 3 networks, mostly on [hidden]; rules: auth-burst. Proposed: block its members`,
		`12 refused logins by 192.0.2.7.`:                                `12 refused logins by [address].`,
		`seen from 2001:db8::1, 10.0.0.0/8`:                              `seen from [address], [path]`,
		`credential on /orders/{id}`:                                     `credential on [path]`,
		`by ann@example.org (and bob)`:                                   `by [path] (and bob)`,
		`hidden as ip_9f3ab2 here`:                                       `hidden as [hidden] here`,
		`near certain; first: sqli in query.q: 1' union select a from b`: `near certain; first: sqli [hidden]`,
		`an "unfinished`:                                                 `an [hidden]`,
		`a "quote \" in" it`:                                             `a [hidden] it`,
		`x192.0.2.1y`:                                                    `[address]`,
		`"a"192.0.2.1`:                                                   `[hidden][address]`,
		`at 12:30, 4 of 5 at 0.95, version 1.27`:                         `at 12:30, 4 of 5 at 0.95, version 1.27`,
	} {
		if got := alert.Redacted(text); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// TestNoticeTellsNothing: no field of a redacted notice holds an address, a path or a name,
// in whatever field of the alert it stood.
func TestNoticeTellsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var raw [16]byte
		for i := range raw {
			raw[i] = byte(rapid.IntRange(0, 255).Draw(t, "byte"))
		}
		address := netip.AddrFrom16(raw).String()
		if rapid.Bool().Draw(t, "v4") {
			address = netip.AddrFrom4([4]byte(raw[:4])).String()
		}
		glue := rapid.SampledFrom([]string{" ", "", "(", ",", "\"", "/", "=", ";", "\n", "\u202e"})
		text := "seen" + glue.Draw(t, "before") + address + glue.Draw(t, "after") + "there"
		a := &alert.Alert{ID: "0123456789abcdef", Campaign: "rate on " + text, Rule: "auth-burst", Family: detect.Rate, Route: text, Why: text,
			Subjects: []detect.Subject{{Kind: rapid.SampledFrom([]string{"ip", "cidr", "account", "key", "session"}).Draw(t, "kind"), Value: address}}, Clients: 1}
		n := alert.NoticeOf(a, alert.Firing, true)
		if all := fmt.Sprintf("%+v", *n); strings.Contains(all, address) {
			t.Fatalf("%s is in %s", address, all)
		}
	})
}

// TestHarmless: what an attacker wrote is one line, is short, reorders nothing and makes no
// link.
func TestHarmless(t *testing.T) {
	hostile := "/a\r\nBcc: all@example.org\x00\x1b[31m\u202e<script>http://evil.example/ www.evil.example " + strings.Repeat("x", 8192)
	n := alert.NoticeOf(&alert.Alert{ID: "0123456789abcdef", Rule: "sqli", Route: hostile, Why: hostile, Campaign: hostile, Subjects: []detect.Subject{{Kind: "consumer", Value: hostile}}}, alert.Firing, false)
	for _, s := range []string{n.Title, n.Route, n.Why, n.Campaign, n.Subjects[0]} {
		if strings.ContainsAny(s, "\r\n\x00\x1b\u202e") || strings.Contains(s, "://") || strings.Contains(s, "www.") || len(s) > 1300 {
			t.Errorf("%d bytes: %.200q", len(s), s)
		}
	}
	if strings.ContainsAny(n.Text, "\r\x00\x1b\u202e") || len(n.Text) > 3000 {
		t.Errorf("text of %d bytes: %q", len(n.Text), n.Text)
	}
}

// FuzzRedacted: an address in a word of its own never comes through.
func FuzzRedacted(f *testing.F) {
	f.Add("refused logins of ", " on \"/x\"")
	f.Add("\"", "\\\"")
	f.Fuzz(func(t *testing.T, before, after string) {
		if strings.Contains(before+after, "192.0.2.7") {
			return
		}
		if got := alert.Redacted(before + " 192.0.2.7 " + after); strings.Contains(got, "192.0.2.7") {
			t.Errorf("%q", got)
		}
	})
}
