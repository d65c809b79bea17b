package channel

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/detect/alert/alerttest"
)

// lines reads a file of JSON lines.
func lines(t *testing.T, path string) (out []map[string]any) {
	t.Helper()
	for line := range bytes.Lines([]byte(readFile(t, path))) {
		var v map[string]any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%v: %.200q", err, line)
		}
		out = append(out, v)
	}
	return out
}

// TestOCSF: each notice is a detection finding with all that the schema requires, of the
// activity that it is.
func TestOCSF(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alerts.json")
	o := &OCSF{cfg: OCSFConfig{Path: path, MaxSize: 1 << 20, Files: 2}}
	kinds := []alert.Kind{alert.Firing, alert.Update, alert.Escalation, alert.Resolved}
	for _, kind := range kinds {
		if err := o.Notify(t.Context(), alerttest.Notice(kind)); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Notify(t.Context(), alerttest.Hostile()); err != nil {
		t.Fatal(err)
	}
	got := lines(t, path)
	if len(got) != 5 {
		t.Fatalf("%d lines", len(got))
	}
	for i, want := range []struct{ activity, status float64 }{{1, 1}, {2, 2}, {2, 2}, {3, 4}, {1, 1}} {
		e := got[i]
		for _, key := range []string{"activity_id", "category_uid", "class_uid", "type_uid", "time", "severity_id", "metadata", "finding_info"} {
			if e[key] == nil {
				t.Errorf("line %d lacks %s", i, key)
			}
		}
		if e["class_uid"] != 2004.0 || e["category_uid"] != 2.0 || e["activity_id"] != want.activity || e["type_uid"] != 200400+want.activity || e["status_id"] != want.status ||
			e["severity_id"] != 4.0 || e["time"] != 1_700_000_620_000.0 || at(t, e, "finding_info", "uid") != "0123456789abcdef" || at(t, e, "metadata", "version") != "1.4.0" ||
			at(t, e, "metadata", "product", "vendor_name") != "Portcullis" || e["is_alert"] != (want.activity != 3) {
			t.Errorf("line %d: %v", i, e)
		}
	}
	if at(t, got[0], "observables", 0, "type_id") != 2.0 || at(t, got[0], "observables", 0, "value") != "192.0.2.7" {
		t.Errorf("observables %v", got[0]["observables"])
	}
}

// TestOCSFFiles: half a line that a kill left is ended, a full file makes room, and a
// folder that is not there is an error.
func TestOCSFFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "alerts.json")
	writeFile(t, path, `{"half":`)
	o := &OCSF{cfg: OCSFConfig{Path: path, MaxSize: 4096, Files: 2}}
	for range 16 {
		if err := o.Notify(t.Context(), alerttest.Notice(alert.Firing)); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(path + "*")
	if err != nil || len(names) != 3 {
		t.Fatalf("files %v, %v", names, err)
	}
	whole := 0
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 || info.Size() > 4096+2048 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		if !strings.Contains(readFile(t, name), `{"half":`) {
			whole += len(lines(t, name))
		}
	}
	if whole < 6 {
		t.Errorf("%d lines are left", whole)
	}
	o = &OCSF{cfg: OCSFConfig{Path: filepath.Join(dir, "none", "alerts.json"), MaxSize: 4096, Files: 2}}
	if err := o.Notify(t.Context(), alerttest.Notice(alert.Firing)); err == nil {
		t.Error("a folder that is not there is no error")
	}
}
