package check

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

const repo = "../.."

// binary is portcullis, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "portcullis-check-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "portcullis")
	build := exec.Command("go", "build", "-o", binary, "./cmd/portcullis")
	build.Dir = repo
	if said, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build ./cmd/portcullis: %v\n%s", err, said)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// fine has the binary check settings.
func fine(t *testing.T, what string, settings []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "portcullis.yaml")
	if err := os.WriteFile(file, known(t, settings), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(binary, "config", "check", file).CombinedOutput(); err != nil {
		t.Errorf("%s: portcullis config check: %v\n%s\n%s", what, err, said, settings)
	}
}

// known takes out the sections of the separate processes where the binary does not
// have these processes.
func known(t *testing.T, settings []byte) []byte {
	t.Helper()
	out, err := exec.Command(binary, "config", "schema").Output()
	if err != nil {
		t.Fatal(err)
	}
	var schema struct{ Properties map[string]json.RawMessage }
	if err := json.Unmarshal(out, &schema); err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := yaml.UnmarshalStrict(settings, &tree); err != nil {
		t.Fatalf("%v\n%s", err, settings)
	}
	for _, section := range []string{"kafka", "elasticsearch"} {
		if _, ok := schema.Properties[section]; !ok {
			t.Logf("this portcullis has no section %s yet: the rest is checked", section)
			delete(tree, section)
		}
	}
	rest, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return rest
}
