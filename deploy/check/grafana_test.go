package check

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// TestGrafanaDashboards reads the dashboards that the binary exports by the types that
// Grafana publishes, strictly: a property, a panel option or a query that Grafana does not
// know is an error. It does not show that a Grafana draws what it should.
func TestGrafanaDashboards(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	dir := t.TempDir()
	if said, err := exec.Command(binary, "dashboards", "export", dir).CombinedOutput(); err != nil {
		t.Fatalf("portcullis dashboards export: %v\n%s", err, said)
	}
	files, err := filepath.Glob(filepath.Join(dir, "grafana", "*.json"))
	if err != nil || len(files) != 2 {
		t.Fatalf("dashboards %q, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range faults(text) {
			t.Errorf("%s: %s", filepath.Base(file), fault)
		}
		for from, to := range map[string]string{`"gridPos"`: `"gridpos_"`, `"legend": {`: `"legend": {"x": 1,`, `"schemaVersion": 39`: `"schemaVersion": "39"`} {
			if faults(bytes.Replace(text, []byte(from), []byte(to), 1)) == nil {
				t.Errorf("%s: %s instead of %s passes", filepath.Base(file), to, from)
			}
		}
	}
}

// faults are what Grafana's types say against a dashboard. Their error may be one of none.
func faults(text []byte) (out []string) {
	var d dashboard.Dashboard
	err := d.UnmarshalJSONStrict(text)
	if err == nil {
		err = d.Validate()
	}
	var several cog.BuildErrors
	if err != nil && !errors.As(err, &several) {
		return []string{err.Error()}
	}
	for _, one := range several {
		out = append(out, one.Error())
	}
	return out
}
