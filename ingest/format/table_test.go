package format

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

var update = flag.Bool("update", false, "write the tables of docs/gateways.md")

// everySample is every file of fixtures/samples and how it is read; a file that
// holds several formats is read by the first that fits a line.
var everySample = []struct {
	file  string
	as    string // for the table
	specs []string
}{
	{"apache-combined.log", "`apache-combined`", []string{"apache-combined"}},
	{"apache-common.log", "`apache-common`", []string{"apache-common"}},
	{"apache-jsonish.log", "`apache:` and its string", []string{"apache:" + apacheJSON}},
	{"apache-vhost_combined.log", "`apache-vhost_combined`", []string{"apache-vhost_combined"}},
	{"caddy-console.log", "`caddy-console`", []string{"caddy-console"}},
	{"caddy-json.log", "`caddy`", []string{"caddy"}},
	{"envoy-als_protojson.jsonl", "`envoy-als`", []string{"envoy-als"}},
	{"envoy-default.log", "`envoy`", []string{"envoy"}},
	{"envoy-json.log", "`envoy-json`", []string{"envoy-json"}},
	{"haproxy-clf.log", "`haproxy-clf`", []string{"haproxy-clf"}},
	{"haproxy-httplog.log", "`haproxy-http:captures=…`", []string{haproxyHTTPSpec}},
	{"haproxy-json.log", "`haproxy:` and its string", []string{"haproxy:zone=UTC " + haproxyJSON}},
	{"haproxy-syslog_rfc5424.log", "`syslog:` and the three above", []string{"syslog:" + haproxyHTTPSpec, "syslog:haproxy-clf", "syslog:haproxy:zone=UTC " + haproxyJSON}},
	{"nginx-combined.log", "`nginx-combined`", []string{"nginx-combined"}},
	{"nginx-error.log", "`nginx-combined`", []string{"nginx-combined"}},
	{"nginx-escapenone.log", "`nginx:` and its string", []string{"nginx:" + noneFormat}},
	{"nginx-ext.log", "`nginx:` and its string", []string{"nginx:" + extFormat}},
	{"nginx-json.log", "`nginx-json`", []string{"nginx-json"}},
	{"nginx-modsecurity-audit.jsonl", "`modsecurity`", []string{"modsecurity"}},
	{"nginx-modsecurity-error.log", "`nginx-combined`", []string{"nginx-combined"}},
	{"nginx-syslog_rfc3164_json.log", "`syslog:nginx-json`", []string{"syslog:nginx-json"}},
	{"springcloudgateway-reactornetty.log", "`reactor-netty`", []string{"reactor-netty"}},
	{"traefik-common.log", "`traefik-clf`", []string{"traefik-clf"}},
	{"traefik-json.log", "`traefik-json`", []string{"traefik-json"}},
	{"varnish-json.log", "`varnish:` and its string", []string{"varnish:" + varnishJSON}},
	{"varnish-ncsa.log", "`varnish-ncsa`", []string{"varnish-ncsa"}},
}

// TestEverySample reads every line of every sample: it is an event whose client
// the gateway saw, or has a reason; the table of docs/gateways.md says the same.
func TestEverySample(t *testing.T) {
	var table strings.Builder
	table.WriteString("| file | read as | lines | events | rejected, by reason | malformed | not UTF-8 | cut | forgeable |\n|---|---|---|---|---|---|---|---|---|\n")
	known := []string{"README.md"}
	for _, s := range everySample {
		known = append(known, s.file)
		var parsers []ingest.Parser
		for _, spec := range s.specs {
			parsers = append(parsers, open(t, spec))
		}
		table.WriteString(sampleRow(t, s.file, s.as, parsers))
	}
	files, err := os.ReadDir(filepath.Join(fixtures, "samples"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !slices.Contains(known, f.Name()) {
			t.Errorf("%s is in no row", f.Name())
		}
	}
	section(t, "samples", table.String())
}

func sampleRow(t *testing.T, file, as string, parsers []ingest.Parser) string {
	t.Helper()
	sum := tallied(t, file, parsers, func(string, *ingest.Event) {})
	var why []string
	for r, n := range sum.rejects {
		why = append(why, fmt.Sprintf("%d `%s`", n, r))
	}
	slices.Sort(why)
	blank := func(n int) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("| `%s` | %s | %d | %d | %s | %s | %s | %s | %s |\n", file, as, sum.lines, sum.events,
		strings.Join(why, ", "), blank(sum.malformed), blank(sum.invalid), blank(sum.cut), blank(sum.forgeable))
}

// TestFormatTable holds the list of formats of docs/gateways.md against the registry.
func TestFormatTable(t *testing.T) {
	var table strings.Builder
	table.WriteString("| `format` | reads | example |\n|---|---|---|\n")
	for _, name := range Names() {
		s, ok := Lookup(name)
		if !ok {
			continue
		}
		example := s.Example
		if !strings.HasPrefix(example, name+":") {
			example = ""
		}
		if example != "" {
			example = "`" + strings.ReplaceAll(example, "|", `\|`) + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", name, strings.ReplaceAll(s.Doc, "|", `\|`), example)
	}
	section(t, "formats", table.String())
}

// section compares what stands between two marks of docs/gateways.md, or writes it.
func section(t *testing.T, name, want string) {
	t.Helper()
	const page = "../../docs/gateways.md"
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
	before, rest, ok := strings.Cut(string(data), begin)
	have, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("docs/gateways.md has no %q and %q", begin, end)
	}
	if have == want {
		return
	}
	if !*update {
		t.Fatalf("the table %q of docs/gateways.md is not what the tests find: run go test ./ingest/format -run Table\\|Every -update, and read the difference", name)
	}
	if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
