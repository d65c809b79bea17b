package decode

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/enrich"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/identity"
)

// redacted reads source "s" as a detector does whose lines a collector has redacted.
func redacted(t testing.TB, spec string) (raw, sealed *Decoder, red *identity.Redactor) {
	t.Helper()
	f, err := format.Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	cfg := identity.Config{Key: [identity.KeyBytes]byte{1}, TrustedProxies: []string{"127.0.0.0/8"}, BasicUser: true}
	if red, err = cfg.Redactor(); err != nil {
		t.Fatal(err)
	}
	o := Options{Routes: enrich.RoutesConfig{MaxTemplates: 100}}
	raw = decoder(t, NewPlan(map[string]format.Format{"s": f}, cfg, o))
	cfg.Sealed = true
	return raw, decoder(t, NewPlan(map[string]format.Format{"s": f}, cfg, o)), red
}

// seen is what must be the same of a line with and without its secrets.
func seen(d *Decoder, b *ingest.Batch) []string {
	var out []string
	d.Decode(b, func(ev *ingest.Event) {
		path, _, _ := strings.Cut(ev.Target, "?")
		out = append(out, fmt.Sprintln(ev.Pos.Offset, ev.Time, ev.Client, ev.Method, path, ev.Protocol, ev.Status, ev.BytesOut, ev.Agent, ev.RequestID, ev.Key, ev.User, ev.Route))
	}, func(r ingest.Reject) {
		out = append(out, fmt.Sprintln(r.Pos.Offset, r.Reason, r.Length))
	})
	return out
}

func TestRedactedPositions(t *testing.T) {
	raw, sealed, red := redacted(t, "nginx-json")
	const head = `{"time":"2026-03-02T10:00:00+00:00","remote_addr":"192.0.2.1","request":"GET /a?token=abc HTTP/1.1","status":200,"api_key":`
	data := strings.Join([]string{head + `"key-0"}`, "", "junk token=abc", head + `"a\"\u0062"}` + "\r", head + `""}`, `{"api_key":"key-1"}`, head + `"` + strings.Repeat("x", 3000) + `"}`}, "\n")
	for _, end := range []string{"", "\n"} {
		want := seen(raw, batch(data+end))
		b := batch(data + end)
		red.Batch(b)
		for _, secret := range []string{"abc", "key-0", "key-1", "xxxx"} {
			if strings.Contains(string(b.Data), secret) {
				t.Errorf("%s is still there: %s", secret, b.Data)
			}
		}
		if len(b.Sizes) != 7 {
			t.Fatalf("sizes %v of 7 lines", b.Sizes)
		}
		if got := seen(sealed, b); !slices.Equal(got, want) {
			t.Errorf("redacted\n%s\nraw\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if !strings.Contains(want[0], " k_") {
			t.Errorf("no pseudonym of a key in %s", want[0])
		}
	}
}

// TestRedactedIsUntouched: a batch without secrets stays as it is.
func TestRedactedIsUntouched(t *testing.T) {
	_, _, red := redacted(t, "nginx-combined")
	b := batch(line("192.0.2.1", "GET /a HTTP/1.1") + "\n")
	data := b.Data
	red.Batch(b)
	if b.Sizes != nil || &b.Data[0] != &data[0] {
		t.Errorf("sizes %v, data %s", b.Sizes, b.Data)
	}
}

// TestRedactedAnyLines: whatever clients write, redaction moves no position, and hides no
// request from the formats that escape.
func TestRedactedAnyLines(t *testing.T) {
	parts := []string{"token=", `"`, `\x22`, "password", "cookie", ":", "=", "; ", "bearer", "basic ", "<", ">", "key", "[", "{", "%22", "%3D", "eyJ", "4111111111111111", "a.b.c", "name=", `\x0D\x0A`, "'", "x", "//", "@", "&", " "}
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.ReplaceAll(strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 12).Draw(t, "parts"), ""), `"`, `\x22`)
	})
	for spec, form := range map[string]string{
		"nginx-combined": `192.0.2.1 - %s [02/Mar/2026:10:00:00 +0000] "GET /%s HTTP/1.1" 200 5 "%s" "%s"`,
		`nginx:$remote_user|$remote_addr|[$time_local]|"$request"|$status|$http_referer|$http_user_agent`: `%s|192.0.2.1|[02/Mar/2026:10:00:00 +0000]|"GET /%s HTTP/1.1"|200|%s|%s`,
		`nginx:$remote_addr $remote_user "$request" $args [$time_local] $status rt=$request_time`:         `192.0.2.1 %s "GET /%s HTTP/1.1" %s [02/Mar/2026:10:00:00 +0000] 200 rt=0.005`,
	} {
		t.Run(spec, func(t *testing.T) {
			raw, sealed, red := redacted(t, spec)
			rapid.Check(t, func(rt *rapid.T) {
				var lines []string
				for range rapid.IntRange(1, 4).Draw(rt, "lines") {
					fields := []any{rapid.SampledFrom([]string{"-", "bob"}).Draw(rt, "user"), text.Draw(rt, "target"), text.Draw(rt, "referer"), text.Draw(rt, "agent")}
					if n := strings.Count(form, "%s"); n < len(fields) {
						fields = fields[:n]
						fields[n-1] = strings.ReplaceAll(fields[n-1].(string), " ", "+")
					}
					lines = append(lines, fmt.Sprintf(form, fields...))
				}
				data := strings.Join(lines, "\n") + "\n"
				b := batch(data)
				red.Batch(b)
				want, got := outline(raw, batch(data)), outline(sealed, b)
				if !slices.Equal(got, want) {
					rt.Fatalf("raw\n%s\n%s\nredacted\n%s\n%s", data, strings.Join(want, "\n"), b.Data, strings.Join(got, "\n"))
				}
			})
		})
	}
}

// outline is what no client writes of a line.
func outline(d *Decoder, b *ingest.Batch) []string {
	var out []string
	d.Decode(b, func(ev *ingest.Event) {
		out = append(out, fmt.Sprintln(ev.Pos.Offset, ev.Time, ev.Client, ev.Method, ev.Protocol, ev.Status, ev.BytesOut, ev.User))
	}, func(r ingest.Reject) { out = append(out, fmt.Sprintln(r.Pos.Offset, r.Reason, r.Length)) })
	return out
}
