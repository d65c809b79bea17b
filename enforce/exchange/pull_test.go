package exchange

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, format, column, text, want string }{
		{"text", "text", "", "# list\n192.0.2.1\n192.0.2.0/25 ; SBL1\n\n // x\n2001:db8::1 # why\n::ffff:203.0.113.9\nhost.example\n203.0.113.7:443\n192.0.2.77/24\n",
			"[192.0.2.1/32 192.0.2.0/25 2001:db8::1/128 203.0.113.9/32 203.0.113.7/32 192.0.2.0/24] 1"},
		{"csv by name", "csv", "IP", "# x\nfirst,ip,port\n1,\"192.0.2.1\",80\n2, 192.0.2.2 ,81\n3\n4,nothing,1\n", "[192.0.2.1/32 192.0.2.2/32] 1"},
		{"csv by number", "csv", "2", "a,192.0.2.1\nb,192.0.2.2\n", "[192.0.2.1/32 192.0.2.2/32] 0"},
		{"csv first", "csv", "", "192.0.2.1,x\n", "[192.0.2.1/32] 0"},
		{"stix", "stix", "", `{"type":"bundle","objects":[{"type":"identity"},
			{"type":"indicator","pattern_type":"stix","pattern":"[ipv4-addr:value = '192.0.2.1']"},
			{"type":"indicator","pattern_type":"stix","pattern":"[ipv4-addr:value ISSUBSET '198.51.100.0/24'] OR [ipv6-addr:value = '2001:db8::1']"},
			{"type":"indicator","pattern_type":"stix","pattern":"[ipv4-addr:value = '192.0.2.3' AND network-traffic:dst_port = 22]"},
			{"type":"indicator","pattern_type":"stix","pattern":"[ipv4-addr:value = '192.0.2.4']","revoked":true},
			{"type":"indicator","pattern_type":"sigma","pattern":"[ipv4-addr:value = '192.0.2.5']"},
			{"type":"indicator","pattern":"[domain-name:value = 'x.example']"}]}`,
			"[192.0.2.1/32 198.51.100.0/24 2001:db8::1/128] 0"},
		{"wrong format", "text", "", "<html>\n<body>\n", "error"},
		{"no stix", "stix", "", "192.0.2.1", "error"},
		{"csv without the column", "csv", "ip", "a,b\n1,2\n", "error"},
		{"too many", "text", "", strings.Repeat("192.0.2.1\n", 11), "error"},
		{"a long line", "text", "", strings.Repeat("1", maxLine+1), "error"},
		{"empty", "text", "", "# none\n", "[] 0"},
	} {
		list, bad, err := parse(strings.NewReader(c.text), c.format, c.column, 10)
		got := "error"
		if err == nil {
			prefixes := []string{}
			for _, l := range list {
				prefixes = append(prefixes, l.prefix.String())
			}
			got = fmt.Sprint(prefixes, " ", bad)
			got = strings.Replace(got, "]  ", "] ", 1)
		}
		if strings.ReplaceAll(got, "  ", " ") != c.want {
			t.Errorf("%s: %q, want %q (%v)", c.name, got, c.want, err)
		}
	}
}

// FuzzParse: no list, however broken, gives anything but masked prefixes within bounds.
func FuzzParse(f *testing.F) {
	f.Add("192.0.2.1\n", "text")
	f.Add("ip,x\n192.0.2.1,y\n\"", "csv")
	f.Add(`{"objects":[{"type":"indicator","pattern":"[ipv4-addr:value = '1.2.3.4']"}]}`, "stix")
	f.Fuzz(func(t *testing.T, text, format string) {
		list, _, err := parse(strings.NewReader(text), format, "ip", 100)
		if err == nil && len(list) > 100 {
			t.Errorf("%d entries", len(list))
		}
		for _, l := range list {
			if !l.prefix.IsValid() || l.prefix != l.prefix.Masked() || l.prefix.Addr().Is4In6() || l.prefix.Addr().Zone() != "" {
				t.Errorf("prefix %v", l.prefix)
			}
		}
	})
}

func TestLimits(t *testing.T) {
	l := Limits{Untouchable: []netip.Prefix{netip.MustParsePrefix("198.51.100.7/32")}, WidestV4: 24, WidestV6: 48}
	var list []Entry
	for _, s := range []string{"192.0.2.1/32", "198.51.100.0/24", "198.51.100.8/32", "192.0.0.0/16", "10.1.2.3/32", "127.0.0.1/32", "2001:db8::/64", "2001:db8::/32", "fe80::1/128", "0.0.0.0/0"} {
		list = append(list, Entry{Prefix: netip.MustParsePrefix(s)})
	}
	kept, refused := l.admit(list)
	got := ""
	for _, e := range kept {
		got += e.Prefix.String() + " "
	}
	if got != "192.0.2.1/32 198.51.100.8/32 2001:db8::/64 " || refused != 7 {
		t.Errorf("%s, %d refused", got, refused)
	}
}

// publisher is a real server whose answer the test sets.
type publisher struct {
	status int
	body   string
	tag    string
	asked  int
	key    string
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked++
	p.key = r.Header.Get("Authorization")
	if p.tag != "" && r.Header.Get("If-None-Match") == p.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("ETag", p.tag)
	w.WriteHeader(p.status)
	fmt.Fprint(w, p.body)
}

func openPuller(t *testing.T, list ListConfig, dir string, now func() time.Time, told *[]Entry) *Puller {
	t.Helper()
	p, err := NewPuller(PullerConfig{
		Lists: []ListConfig{list}, Dir: dir, Now: now,
		Limits:  func(context.Context) (Limits, error) { return Limits{WidestV4: 24, WidestV6: 48}, nil },
		Changed: func(list []Entry) { *told = list },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPuller(t *testing.T) {
	pub := &publisher{status: 200, body: "192.0.2.1\n10.0.0.1\nwhat\n", tag: `"1"`}
	srv := httptest.NewServer(pub)
	defer srv.Close()
	dir, at := t.TempDir(), time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("s3cr3t\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var told []Entry
	open := func() *Puller {
		return openPuller(t, ListConfig{Name: "bad", URL: srv.URL, Action: "block", Every: time.Hour, Expire: 3 * time.Hour, Bytes: 100, Entries: 5, Token: token},
			filepath.Join(dir, "lists"), func() time.Time { return at }, &told)
	}
	p := open()
	round := func(wantErr string, entries int) {
		t.Helper()
		p.Round(t.Context())
		p.tell(t.Context())
		st := p.Status()[0]
		if len(told) != entries || st.Entries != entries || wantErr == "" && st.Error != "" || !strings.Contains(st.Error, wantErr) {
			t.Errorf("%d entries, %+v; want %d and %q", len(told), st, entries, wantErr)
		}
	}
	round("", 1)
	if st := p.Status()[0]; st.Bad != 1 || st.Refused != 1 || pub.key != "Bearer s3cr3t" {
		t.Errorf("%+v, key %q", st, pub.key)
	}
	if want := at.Add(3 * time.Hour).UnixNano(); told[0].Expires != want || told[0].List != "bad" {
		t.Errorf("%+v", told[0])
	}
	round("", 1)
	if pub.asked != 1 {
		t.Errorf("asked %d times within every", pub.asked)
	}
	at = at.Add(time.Hour)
	round("", 1) // 304: confirmed
	if want := at.Add(3 * time.Hour).UnixNano(); told[0].Expires != want {
		t.Errorf("not confirmed by 304: %+v", told[0])
	}
	for _, c := range []struct{ body, want string }{{strings.Repeat("192.0.2.1\n", 11), "max_bytes"}, {"1.1.1.1\n1.1.1.2\n1.1.1.3\n1.1.1.4\n1.1.1.5\n1.1.1.6\n", "max_entries"}, {"<html>", "holds no address"}} {
		at = at.Add(10 * time.Minute)
		pub.body, pub.tag = c.body, ""
		p.lists[0].next = at
		round(c.want, 1)
	}
	pub.status = 500
	at = at.Add(10 * time.Minute)
	round("500", 1)

	// Another start: the copy holds until it expires, also while nobody answers.
	p = open()
	round("500", 1)
	at = at.Add(3 * time.Hour)
	round("500", 0)
}

func TestListConfigCheck(t *testing.T) {
	for _, c := range []struct {
		cfg  ListConfig
		keys string
	}{
		{ListConfig{Name: "a", URL: "https://lists.example/x"}, ""},
		{ListConfig{Name: "a", URL: "/var/lib/list"}, ""},
		{ListConfig{Name: "a", URL: "http://127.0.0.1:1/x"}, ""},
		{ListConfig{Name: "a/b", URL: "http://lists.example/x", Every: time.Second, Expire: -1, Bytes: -1, Entries: -1, Format: "xls"}, "name url every expire max_bytes max_entries format"},
		{ListConfig{Name: "a", URL: "ftp://x/y"}, "url"},
		{ListConfig{Name: "a"}, "url"},
	} {
		var keys []string
		c.cfg.Check(func(key, _ string) { keys = append(keys, key) })
		if got := strings.Join(keys, " "); got != c.keys {
			t.Errorf("%+v: %q, want %q", c.cfg, got, c.keys)
		}
	}
}
