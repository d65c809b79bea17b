package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/dashboards/kibana"
	"github.com/portcullis/portcullis/dashboards/kibana/kibanatest"
)

// said runs a command and returns its status and what it wrote.
func said(args ...string) (status int, out, errs string) {
	var o, e bytes.Buffer
	status = run(context.Background(), args, strings.NewReader(""), &o, &e)
	return status, o.String(), e.String()
}

// TestDashboardsInstall: what people see of an installation, and what scripts do.
func TestDashboardsInstall(t *testing.T) {
	server, url := kibanatest.New(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(server.Key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	install := func(more ...string) []string {
		return append([]string{"dashboards", "install", "--kibana", url, "--space", "soc", "--api-key-file", key}, more...)
	}
	objects, err := kibana.Objects()
	if err != nil {
		t.Fatal(err)
	}
	all := len(objects) + len(kibana.DetectionRules()) + len(kibana.AlertRules("soc"))
	for _, step := range []struct {
		more   []string
		status int
		did    string
		lines  int
		says   string
	}{
		{[]string{"--dry-run"}, exitRan, kibana.WouldMake, len(objects), ""},
		{[]string{"--detection-rules", "--alert-rules"}, exitRan, kibana.DidMake, all, ""},
		{[]string{"--dry-run"}, exitRan, kibana.WouldLeave, len(objects), ""},
		{nil, exitFailed, kibana.DidFail, len(objects), "objects failed"},
		{[]string{"--overwrite", "--detection-rules", "--alert-rules"}, exitRan, kibana.DidMake, all, ""},
	} {
		status, out, errs := said(append(install(step.more...), "--output", "jsonl")...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if status != step.status || len(lines) != step.lines || !strings.Contains(errs, step.says) {
			t.Errorf("%v: status %d, %d lines, %s", step.more, status, len(lines), errs)
		}
		for _, l := range lines {
			var o kibana.Outcome
			if err := json.Unmarshal([]byte(l), &o); err != nil || o.Did != step.did {
				t.Fatalf("%v: %s, want %s (%v)", step.more, l, step.did, err)
			}
		}
	}
	if status, out, _ := said(install("--dry-run")...); status != exitRan || !strings.Contains(out, "[Portcullis] Overview") {
		t.Errorf("status %d: %s", status, out)
	}
}

func TestDashboardsInstallRefused(t *testing.T) {
	server, url := kibanatest.New(t)
	for want, c := range map[string]struct {
		args []string
		key  string
	}{
		"no address":            {[]string{"--kibana", "kibana"}, ""},
		"--api-key-file, or PO": {[]string{"--kibana", url}, ""},
		"blanks in it":          {[]string{"--kibana", url}, "id: key"},
		"is the space there":    {[]string{"--kibana", url, "--space", "none"}, server.Key},
		"no such file":          {[]string{"--kibana", url, "--api-key-file", filepath.Join(t.TempDir(), "none")}, ""},
		"missing flags":         {nil, ""},
	} {
		t.Setenv("PORTCULLIS_KIBANA_API_KEY", c.key)
		status, _, errs := said(append([]string{"dashboards", "install"}, c.args...)...)
		if status == exitRan || !strings.Contains(errs, want) {
			t.Errorf("%v: status %d, %q, want %q", c.args, status, errs, want)
		}
	}
}

// TestDashboardsExport writes files that can be read, and the same ones twice.
func TestDashboardsExport(t *testing.T) {
	written := func() map[string]string {
		dir := t.TempDir()
		if status, _, errs := said("dashboards", "export", dir); status != exitRan {
			t.Fatal(errs)
		}
		out := map[string]string{}
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			name, _ := filepath.Rel(dir, path)
			out[filepath.ToSlash(name)] = string(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first, second := written(), written()
	for name, text := range first {
		if second[name] != text {
			t.Errorf("%s differs from one export to the next", name)
		}
		var lines []string
		switch filepath.Ext(name) {
		case ".json":
			lines = []string{text}
		case ".ndjson":
			lines = slices.Collect(strings.Lines(text))
		}
		for _, l := range lines {
			if !json.Valid([]byte(l)) {
				t.Errorf("%s: %.80q is no JSON", name, l)
			}
		}
	}
	for _, want := range []string{"kibana/portcullis.ndjson", "kibana/detection-rules.ndjson", "kibana/alert-rules.ndjson", "kibana/queries.esql", "fleet/portcullis-1.0.0/manifest.yml",
		"grafana/portcullis-metrics.json", "grafana/portcullis-elasticsearch.json", "prometheus/portcullis-alerts.yaml", "prometheus/portcullis-recording.yaml"} {
		if first[want] == "" {
			t.Errorf("%s is not written", want)
		}
	}
	if len(first) != len(second) {
		t.Errorf("%d files, then %d", len(first), len(second))
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := said("dashboards", "export", file); status != exitFailed || !strings.Contains(errs, "export: ") {
		t.Errorf("into a file: status %d, %s", status, errs)
	}
}
