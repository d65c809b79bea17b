package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect/store/output"
	"github.com/portcullis/portcullis/internal/config"
)

// TestDocsOutputs: docs/outputs.md has every output with how it was tested and every
// metric, and its settings can be loaded.
func TestDocsOutputs(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "outputs.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	for _, kind := range output.Kinds() {
		spec, err := output.Lookup(kind)
		if err != nil {
			t.Fatal(err)
		}
		_, row, found := strings.Cut(page, "| `"+kind+"` | ")
		if row, _, _ = strings.Cut(row, "\n"); !found || !strings.HasSuffix(row, "| "+spec.Tested+" |") {
			t.Errorf("%s: tested with %s, the page says %s", kind, spec.Tested, row)
		}
		if !strings.Contains(page, "{type: "+kind+",") {
			t.Errorf("the page shows no settings of %s", kind)
		}
	}
	for _, m := range outputMetrics {
		if !strings.Contains(page, "`"+m.Name) {
			t.Errorf("docs/outputs.md does not name %s", m.Name)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "splunk.token"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(page, "```yaml\n")
	text, _, _ := strings.Cut(block, "```")
	s := new(App).newSettings()
	if err := config.Load("outputs.md", []byte(strings.ReplaceAll(text, "/etc/portcullis/", dir+"/")), nil, s); err != nil {
		t.Error(err)
	}
	if len(s.Outputs) != len(output.Kinds()) {
		t.Errorf("%d outputs are shown, there are %d kinds", len(s.Outputs), len(output.Kinds()))
	}
}

// TestOutputSettings: what is wrong is told with its place and what is meant.
func TestOutputSettings(t *testing.T) {
	for text, want := range map[string]string{
		"outputs: [{type: splunc}]":                                                                              "did you mean splunk?",
		"outputs: [{type: loki, loky: {url: x}}]":                                                                "loki",
		"outputs: [{type: otlp, otlp: {url: 'http://far.example.org/'}}]":                                        "must be https",
		"outputs: [{type: ndjson, ndjson: {dir: here}}]":                                                         "no absolute path",
		"outputs: [{type: ndjson, ndjson: {dir: /a}}, {type: ndjson, ndjson: {dir: /b}}]":                        "name of another output",
		"outputs: [{type: ndjson, events: none, findings: false, decisions: false, ndjson: {dir: /a}}]":          "it gets nothing",
		"outputs: [{type: syslog, syslog: {address: 'a', app: 'two words'}}]":                                    "HOST:PORT",
		"outputs: [{type: loki, loki: {url: 'https://l.example.org', labels: {kind: x}}}]":                       "cannot be the name of a label",
		"outputs: [{type: splunk, splunk: {url: 'https://s.example.org'}}]":                                      "token",
		"outputs: [{type: ndjson, events: some, ndjson: {dir: /a}}]":                                             "suspicious",
		"outputs: [{type: loki, loki: {url: 'https://l.example.org', user: a, token_file: /nonexistent/token}}]": "token",
		"outputs: [{type: ndjson, name: '../x', ndjson: {dir: /a}}]":                                             "letters, digits",
		"outputs: [{type: parquet, interval: 2h, parquet: {dir: /a}}]":                                           "1h",
		"outputs: [{type: syslog, syslog: {address: '127.0.0.1:514', transport: smoke}}]":                        "tls",
	} {
		err := config.Load("p.yaml", []byte(text), nil, new(App).newSettings())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "p.yaml:1") {
			t.Errorf("%s: %v, want a word of %q", text, err, want)
		}
	}
}
