package index_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/index"
	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/decode"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/identity"
)

// offline is a store that asks nobody.
func offline(t *testing.T) *elastic.Store {
	t.Helper()
	s, err := elastic.New(elastic.Config{URLs: []string{"http://127.0.0.1:1"}, Layout: elastic.LayoutIndex}, elastic.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func message(kind string, value []byte) *bus.Message {
	return &bus.Message{Value: value, Headers: []bus.Header{{Key: task.HeaderKind, Value: []byte(kind)}}}
}

// TestFindings: findings and traffic become documents; what else is in the topic, and
// what a newer version puts there, does not.
func TestFindings(t *testing.T) {
	convert := index.Findings(offline(t))
	f := detect.Finding{ID: "0123456789abcdef01234567", Rule: "login.bruteforce", Family: detect.Credential, Severity: detect.High,
		Subject: detect.Subject{Kind: "ip", Value: "192.0.2.1"}, FirstSeen: 1e18, LastSeen: 1e18 + 5e9, FiredAt: 1e18, Count: 7}
	wire, err := detect.EncodeFinding(&f)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := json.Marshal([]detect.Rollup{{Minute: 1_700_000_040, Requests: 3, S2xx: 3}, {Minute: 1_700_000_040, Route: "/login", Requests: 2, S4xx: 2}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		m    *bus.Message
		want string // kinds of the documents and what they hold, or the error
	}{
		{message(task.KindFinding, wire), "finding login.bruteforce"},
		{message(task.KindFinding, []byte(`{"id":`)), "error"},
		{message(task.KindFinding, nil), "error"},
		{message(task.KindRollup, rows), "traffic 1700000040000;traffic /login"},
		{message(task.KindRollup, []byte(`{}`)), "error"},
		{message(task.KindRollup, []byte(`[]`)), ""},
		{message(task.KindBeat, []byte(`{}`)), ""},
		{message(task.KindSighting, []byte{1}), ""},
		{message("of a newer version", []byte{1}), ""},
		{&bus.Message{Value: wire}, ""},
	} {
		docs, err := convert(c.m)
		if (err != nil) != (c.want == "error") {
			t.Errorf("%.60q: %v, want %s", c.m.Value, err, c.want)
		}
		want := strings.Split(strings.TrimPrefix(c.want, "error"), ";")
		if want[0] == "" {
			want = nil
		}
		if err == nil && len(docs) != len(want) {
			t.Errorf("%.60q: %d documents, want %q", c.m.Value, len(docs), want)
			continue
		}
		for i := range want {
			kind, part, _ := strings.Cut(want[i], " ")
			if string(docs[i].Kind) != kind || docs[i].ID == "" || !json.Valid(docs[i].Source) || docs[i].Version == 0 ||
				kind == "finding" && !strings.Contains(string(docs[i].Source), part) {
				t.Errorf("%+v %s, want %s", docs[i], docs[i].Source, want[i])
			}
		}
	}
	again, err := convert(message(task.KindFinding, wire))
	first, err2 := convert(message(task.KindFinding, wire))
	if err != nil || err2 != nil || again[0].ID != first[0].ID {
		t.Errorf("a finding that is read again has id %q, then %q", first[0].ID, again[0].ID)
	}
}

// requests are a good request, an attack, one with a secret, and no line.
const requests = `192.0.2.1 - - [02/Mar/2026:10:00:00 +0000] "GET /items/1 HTTP/1.1" 200 5 "-" "Mozilla/5.0"
192.0.2.2 - - [02/Mar/2026:10:00:01 +0000] "GET /items?q=1%27%20UNION%20SELECT%20password%20FROM%20users-- HTTP/1.1" 200 5 "-" "Mozilla/5.0"
192.0.2.3 - - [02/Mar/2026:10:00:02 +0000] "GET /items?token=s3cr3tvalue HTTP/1.1" 200 5 "-" "Mozilla/5.0"
no line
`

// requester converts the access topic as far as keeps says.
func requester(t *testing.T, keeps func(ingest.Position, bool) bool) *index.Requests {
	t.Helper()
	f, err := format.Open("nginx-combined")
	if err != nil {
		t.Fatal(err)
	}
	ident := identity.Config{Key: [identity.KeyBytes]byte{1}}
	d, err := decode.NewPlan(map[string]format.Format{"s": f}, ident, decode.Options{}).New()
	if err != nil {
		t.Fatal(err)
	}
	return &index.Requests{Store: offline(t), Keeps: keeps, Decoder: d, Inspect: inspect.New(inspect.Config{}),
		Redact: func(s string) string { return strings.ReplaceAll(s, "s3cr3tvalue", "<hidden>") }}
}

func accessMessage(t *testing.T) *bus.Message {
	t.Helper()
	m, err := bus.FromBatch("access", &ingest.Batch{Source: "s", File: 1, Offset: 100, Format: "nginx-combined", Data: []byte(requests)})
	if err != nil {
		t.Fatal(err)
	}
	return &m
}

// TestRequests: which requests become documents is what the settings say; what is held
// against one is in it, and no secret is.
func TestRequests(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  elastic.Config
		want int
	}{
		"all":        {elastic.Config{Index: elastic.Index{Access: elastic.AccessAll}}, 3},
		"suspicious": {elastic.Config{Index: elastic.Index{Access: elastic.AccessSuspicious}}, 1},
		"none":       {elastic.Config{Index: elastic.Index{Access: elastic.AccessNone}}, 0},
		"sampled":    {elastic.Config{Index: elastic.Index{Access: elastic.AccessSampled, Sample: 1}}, 3},
	} {
		docs, err := requester(t, c.cfg.Keeps).Convert(accessMessage(t))
		if err != nil || len(docs) != c.want {
			t.Errorf("%s: %d documents, %v; want %d", name, len(docs), err, c.want)
		}
		ids := map[string]bool{}
		for _, d := range docs {
			attack := strings.Contains(string(d.Source), "192.0.2.2")
			if d.Kind != elastic.Access || !json.Valid(d.Source) || ids[d.ID] || strings.Contains(string(d.Source), "s3cr3tvalue") ||
				strings.Contains(string(d.Source), "sqli") != attack {
				t.Errorf("%s: %+v %s", name, d, d.Source)
			}
			ids[d.ID] = true
		}
		if name == "suspicious" && len(docs) == 1 && !strings.Contains(string(docs[0].Source), "192.0.2.2") {
			t.Errorf("the suspicious one is %s", docs[0].Source)
		}
	}
}

// TestRequestsKeepTheirID where the same lines come again in other messages.
func TestRequestsKeepTheirID(t *testing.T) {
	r := requester(t, func(ingest.Position, bool) bool { return true })
	first, err := r.Convert(accessMessage(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := bus.ToBatch(accessMessage(t))
	if err != nil {
		t.Fatal(err)
	}
	b.SkipTo(101) // all but the first line
	m, err := bus.FromBatch("access", &b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Convert(&m)
	if err != nil || len(first) != 3 || len(again) != 2 || fmt.Sprint(again) != fmt.Sprint(first[1:]) {
		t.Errorf("first\n%+v\nagain\n%+v\n%v", first, again, err)
	}
}

// TestForeignRequests are an error.
func TestForeignRequests(t *testing.T) {
	r := requester(t, func(ingest.Position, bool) bool { return true })
	for _, m := range []*bus.Message{{}, {Value: []byte(requests)}, message(task.KindFinding, []byte("{}"))} {
		if docs, err := r.Convert(m); err == nil || len(docs) != 0 {
			t.Errorf("%+v: %d documents, %v", m, len(docs), err)
		}
	}
}
