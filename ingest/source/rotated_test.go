package source

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestLogs(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"access.log", "access.log.1", "access.log.2.gz", "access.log.3", "access.log.3.gz", "access.log-20260102.zst", "error.log", "access.log.sh", "old.log"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names := func(c FileConfig) (out []string) {
		list, err := c.Logs()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range list {
			out = append(out, filepath.Base(l))
		}
		return out
	}
	c := FileConfig{Path: filepath.Join(dir, "access.log")}
	if got := names(c); !slices.Equal(got, []string{"access.log", "access.log-20260102.zst", "access.log.1", "access.log.2.gz", "access.log.3"}) {
		t.Errorf("beside the log: %q", got)
	}
	if c.Archives = filepath.Join(dir, "o*.log"); !slices.Equal(names(c), []string{"access.log", "old.log"}) {
		t.Errorf("by the glob: %q", names(c))
	}
}
