package check

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
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
	if err := os.WriteFile(file, settings, 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(binary, "config", "check", file).CombinedOutput(); err != nil {
		t.Errorf("%s: portcullis config check: %v\n%s\n%s", what, err, said, settings)
	}
}
