package identity_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/identity"
)

// sampleSecrets are what the clients of the sample logs sent: API keys, tokens in
// queries, Basic credentials, passwords.
var sampleSecrets = regexp.MustCompile(`key-\d|s3cr3t|YWRtaW46|"pw\d|=pw\d|hunter2|jsessionid=|"[Cc]ookie":|_Cookie":`)

// sampleFiles are a few lines of each gateway's sample log, and whole ones of NGINX.
func sampleFiles(t *testing.T) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	for _, pattern := range []string{"testdata/samples/*", "../../fixtures/samples/*.log"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) < 5 {
			t.Fatalf("%s: %d files, %v", pattern, len(names), err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
		}
	}
	return files
}

func sampleConfig() identity.Config {
	return identity.Config{Key: [32]byte{1}, TrustedProxies: []string{"127.0.0.0/8", "::1/128"}, BasicUser: true}
}

// TestSampleSecrets: no secret is left in any line of any gateway, an honest line stays as it
// is, what is stored is the same whether a collector redacted before or not, and a JSON
// line still has its members.
func TestSampleSecrets(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	cfg := sampleConfig()
	red, err := cfg.Redactor()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for name, lines := range sampleFiles(t) {
		for n, line := range lines {
			if sampleSecrets.MatchString(line) {
				found++
			}
			out := red.Line(line)
			b := ingest.Batch{Data: []byte(line + "\n")}
			red.Batch(&b)
			sealed := strings.TrimSuffix(string(b.Data), "\n")
			for _, s := range []string{out, sealed} {
				if left := sampleSecrets.FindString(s); left != "" && left[len(left)-1] != '=' && left[len(left)-1] != ':' {
					t.Errorf("%s:%d: %s is left in %.300s", name, n+1, left, s)
				}
				if a, b := outline(line), outline(s); !bytes.Equal(a, b) {
					t.Errorf("%s:%d: the members changed\n%s\n%s", name, n+1, line, s)
				}
			}
			if again := red.Line(sealed); again != out {
				t.Errorf("%s:%d: evidence differs behind a collector\n%s\n%s", name, n+1, out, again)
			}
			if !sampleSecrets.MatchString(line) && out != line && !strings.Contains(line, "Set-Cookie") {
				t.Errorf("%s:%d: there is no secret in %s\nbut it became %s", name, n+1, line, out)
			}
		}
	}
	if found < 200 {
		t.Errorf("only %d lines with a secret: the samples are not what they were", found)
	}
}

// outline is a JSON line without the values of its strings, or nil.
func outline(line string) []byte {
	k := strings.IndexByte(line, '{')
	var v any
	if k < 0 || json.Unmarshal([]byte(line[k:]), &v) != nil {
		return nil
	}
	out, err := json.Marshal(emptied(v))
	if err != nil {
		return nil
	}
	return out
}

func emptied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = emptied(v[k])
		}
	case []any:
		for i := range v {
			v[i] = emptied(v[i])
		}
	case string:
		return ""
	}
	return v
}

// TestSampleEvents: behind a collector that redacts, the events are the same apart from
// the secrets, and the pseudonyms are those of the raw lines.
func TestSampleEvents(t *testing.T) {
	cfg := sampleConfig()
	red, err := cfg.Redactor()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := identity.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Sealed = true
	sealed, err := identity.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	keys := 0
	for file, spec := range map[string]string{
		"nginx-combined.log": "nginx-combined", "nginx-json.log": "nginx-json", "nginx-syslog_rfc3164_json.log": "syslog:nginx-json",
		"apache-combined.log": "apache-combined", "caddy-json.log": "caddy", "caddy-console.log": "caddy-console", "envoy-json.log": "envoy-json",
		"traefik-json.log": "traefik-json", "traefik-common.log": "traefik-clf", "varnish-ncsa.log": "varnish-ncsa", "haproxy-clf.log": "haproxy-clf",
		"haproxy-httplog.log": "haproxy-http:zone=UTC captures=host,user-agent,x-forwarded-for", "nginx-modsecurity-audit.jsonl": "modsecurity",
		"springcloudgateway-reactornetty.log": "reactor-netty",
	} {
		f, err := format.Open(spec)
		if err != nil {
			t.Fatal(err)
		}
		p := f.New()
		for n, line := range sampleFiles(t)["../../fixtures/samples/"+file] {
			b := ingest.Batch{Data: []byte(line + "\n")}
			red.Batch(&b)
			var was, is ingest.Event
			reason := p.Parse([]byte(line), &was)
			if r := p.Parse(bytes.TrimSuffix(b.Data, []byte("\n")), &is); r != reason {
				t.Errorf("%s:%d: %s, and %s without secrets", file, n+1, reason, r)
				continue
			}
			raw.Resolve(&was)
			sealed.Resolve(&is)
			if was.Key != "" {
				keys++
			}
			was.Target = strings.TrimSuffix(string(batched(red, was.Target)), "\n")
			if was != is {
				t.Errorf("%s:%d:\nraw      %+v\nredacted %+v", file, n+1, was, is)
			}
		}
	}
	if keys < 80 {
		t.Errorf("only %d events with a key", keys)
	}
}

func batched(red *identity.Redactor, s string) []byte {
	b := ingest.Batch{Data: []byte(s + "\n")}
	red.Batch(&b)
	return b.Data
}
