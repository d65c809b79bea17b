package source_test

import (
	"os"
	"testing"

	"github.com/portcullis/portcullis/ingest/source"
)

// TestPackedSiblings: what was not read before a rotation is read from the packed
// files, oldest first, whatever packed them.
func TestPackedSiblings(t *testing.T) {
	exts := map[string]string{"gzip": ".gz", "zstd": ".zst", "xz": ".xz", "bzip2": ".bz2"}
	for name, pack := range packers {
		for _, archives := range []bool{false, true} {
			inBubble(t, func(t *testing.T, path string) {
				cfg := source.FileConfig{Path: path, PollOnly: true}
				if archives {
					cfg.Archives = path + ".*"
				}
				whole := numbered(0, 300)
				write(t, path, numbered(0, 100))
				s := newSink()
				_, stop := follow(t, cfg, s)
				pass()
				stop()
				second, third := numbered(300, 400), numbered(400, 500)
				write(t, path+".2"+exts[name], pack(t, whole))
				write(t, path+".1", second)
				if name != "bzip2" { // of which there is one text only
					write(t, path+".1"+exts[name], pack(t, second))
					if err := os.Remove(path + ".1"); err != nil {
						t.Fatal(err)
					}
				}
				write(t, path, third)
				f, stop := follow(t, cfg, s, s.last)
				pass()
				stop()
				if s.String() != whole+second+third {
					t.Errorf("%s, archives %v: read %d bytes, want %d", name, archives, len(s.String()), len(whole+second+third))
				}
				if h := f.Health(); h.Losses != 0 || h.Error != "" {
					t.Errorf("%s: %+v", name, h)
				}
			})
		}
	}
}

func TestPackedPath(t *testing.T) {
	for _, path := range []string{"a.log.gz", "a.log.zst", "a.log.xz", "a.log.bz2"} {
		if _, err := source.NewFile(source.FileConfig{Path: path}); err == nil {
			t.Errorf("%s is taken for a live log", path)
		}
	}
}
