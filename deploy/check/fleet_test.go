package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elastic/package-spec/v3/code/go/pkg/validator"
)

// TestFleetPackage has Elastic's own validator look at the package that the binary
// exports. It shows that the package follows the specification, not that a Kibana shows
// what it should.
func TestFleetPackage(t *testing.T) {
	dir := t.TempDir()
	if said, err := exec.Command(binary, "dashboards", "export", dir).CombinedOutput(); err != nil {
		t.Fatalf("portcullis dashboards export: %v\n%s", err, said)
	}
	found, err := filepath.Glob(filepath.Join(dir, "fleet", "portcullis-*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("packages %q, %v", found, err)
	}
	if err := validator.ValidateFromPath(found[0]); err != nil {
		t.Error(err)
	}
	for folder, least := range map[string]int{"dashboard": 9, "index_pattern": 5, "search": 6, "security_rule": 8} {
		files, err := filepath.Glob(filepath.Join(found[0], "kibana", folder, "*.json"))
		if err != nil || len(files) < least {
			t.Errorf("%d files of %s, want %d or more: %v", len(files), folder, least, err)
		}
	}
}

// TestFleetValidatorRefuses: a package with a mistake is refused, so the one above means
// something.
func TestFleetValidatorRefuses(t *testing.T) {
	dir := t.TempDir()
	if said, err := exec.Command(binary, "dashboards", "export", dir).CombinedOutput(); err != nil {
		t.Fatalf("portcullis dashboards export: %v\n%s", err, said)
	}
	found, err := filepath.Glob(filepath.Join(dir, "fleet", "portcullis-*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("packages %q, %v", found, err)
	}
	if err := os.Remove(filepath.Join(found[0], "kibana", "dashboard", "portcullis-investigation.json")); err != nil {
		t.Fatal(err)
	}
	if err := validator.ValidateFromPath(found[0]); err == nil || !strings.Contains(err.Error(), "portcullis-investigation") {
		t.Errorf("without the dashboard that all others lead to: %v", err)
	}
}
