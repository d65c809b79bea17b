package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStoppedAtTheStart: who is told to stop while Kafka cannot be reached yet has
// stopped, and not failed.
func TestStoppedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "portcullis.yaml")
	text := fmt.Sprintf("state_dir: %s\nkafka:\n  enabled: true\n  brokers: [\"127.0.0.1:1\"]\nconsole:\n  listen: \"\"\n", dir)
	for name, content := range map[string]string{path: text, filepath.Join(dir, "installation.key"): strings.Repeat("5a", 32)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for _, role := range []string{"detect", "enforce"} {
		var out, errs bytes.Buffer
		if status := run(ctx, []string{role, "-c", path}, strings.NewReader(""), &out, &errs); status != exitRan || strings.Contains(errs.String(), "interrupted") {
			t.Errorf("%s: status %d, said %q", role, status, errs.String())
		}
	}
}
