package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elastic/package-spec/v3/code/go/pkg/validator"
)

// exported has the binary export everything, and returns the folder of the package.
func exported(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if said, err := exec.Command(binary, "dashboards", "export", dir).CombinedOutput(); err != nil {
		t.Fatalf("portcullis dashboards export: %v\n%s", err, said)
	}
	found, err := filepath.Glob(filepath.Join(dir, "fleet", "portcullis-*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("packages %q, %v", found, err)
	}
	return found[0]
}

// TestFleetPackage has Elastic's own validator look at the package that the binary
// exports. It shows that the package follows the specification, not that a Kibana shows
// what it should.
func TestFleetPackage(t *testing.T) {
	folder := exported(t)
	if err := validator.ValidateFromPath(folder); err != nil {
		t.Error(err)
	}
	for kind, least := range map[string]int{"dashboard": 9, "index_pattern": 5, "search": 6, "security_rule": 8} {
		files, err := filepath.Glob(filepath.Join(folder, "kibana", kind, "*.json"))
		if err != nil || len(files) < least {
			t.Errorf("%d files of %s, want %d or more: %v", len(files), kind, least, err)
		}
	}
}

// TestFleetValidatorRefuses: a package with a mistake is refused, so the one above means
// something.
func TestFleetValidatorRefuses(t *testing.T) {
	folder := exported(t)
	if err := os.Remove(filepath.Join(folder, "kibana", "dashboard", "portcullis-investigation.json")); err != nil {
		t.Fatal(err)
	}
	if err := validator.ValidateFromPath(folder); err == nil || !strings.Contains(err.Error(), "portcullis-investigation") {
		t.Errorf("without the dashboard that all others lead to: %v", err)
	}
}
