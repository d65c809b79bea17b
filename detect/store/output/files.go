package output

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/portcullis/portcullis/detect/store/elastic"
)

func init() {
	Register("ndjson", Spec{
		Doc:    "files of JSON lines in folders by kind, date and hour, as those who read from object stores expect them",
		Tested: "read back by our own reader",
		Whole:  true, Batch: fileBytes, Interval: fileInterval,
		Config: func() any { return new(NDJSONConfig) },
		Open: func(config any, _ Common) (Sink, error) {
			cfg := config.(*NDJSONConfig)
			if cfg.Gzip {
				return newFiles(cfg.Dir, "ndjson.gz", zipped)
			}
			return newFiles(cfg.Dir, "ndjson", plain)
		},
	})
}

// When a file is full where the settings say nothing.
const (
	fileBytes    = 16 << 20
	fileInterval = time.Minute
)

// NDJSONConfig is the "ndjson" section of an output.
type NDJSONConfig struct {
	Dir  string `yaml:"dir" doc:"folder of the files; it is made where it is missing. Give it to one output alone"`
	Gzip bool   `yaml:"gzip" default:"true" doc:"compress the files"`
}

// Check implements validation for the config loader.
func (c *NDJSONConfig) Check(report func(key, message string)) { checkDir(c.Dir, report) }

func checkDir(dir string, report func(key, message string)) {
	if dir == "" {
		report("dir", "is missing")
	} else if !filepath.IsAbs(dir) {
		report("dir", fmt.Sprintf("%.100q is no absolute path", dir))
	}
}

// files writes each batch into files of its own, one for each kind, date and hour. A file
// is written beside its place and then renamed, and is named by where its batch begins in
// its feed. So what is sent again after a crash replaces what was there.
type files struct {
	dir, suffix string
	write       func(w io.Writer, docs []elastic.Doc) error

	mu    sync.Mutex
	dirty bool // files that were not finished may lie about
}

func newFiles(dir, suffix string, write func(w io.Writer, docs []elastic.Doc) error) (Sink, error) {
	return &files{dir: dir, suffix: suffix, write: write, dirty: true}, nil
}

// Send implements Sink.
func (f *files) Send(ctx context.Context, b *Batch) error {
	if err := f.sweep(); err != nil {
		return err
	}
	parts := map[string][]elastic.Doc{}
	for _, d := range b.Docs {
		at := time.Unix(0, timeOf(&d)).UTC()
		name := filepath.Join("kind="+string(d.Kind), at.Format("date=2006-01-02"), at.Format("hour=15"), f.name(b))
		parts[name] = append(parts[name], d)
	}
	for name, docs := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.put(filepath.Join(f.dir, name), docs); err != nil {
			return fmt.Errorf("files: %w; let the user of this process write there, and see that there is room", err)
		}
	}
	if b.Again {
		return f.stale(b, parts)
	}
	return nil
}

// name of the files of a batch.
func (f *files) name(b *Batch) string {
	from := b.From
	if from == "" {
		from = "0"
	}
	return "part-" + b.Feed + "-" + from + "." + f.suffix
}

// put writes a file as a whole, or not at all.
func (f *files) put(path string, docs []elastic.Doc) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	t, err := os.CreateTemp(dir, unfinished+"*")
	if err != nil {
		return err
	}
	err = f.write(t, docs)
	err = errors.Join(err, t.Chmod(0o640), t.Sync(), t.Close())
	if err == nil {
		err = os.Rename(t.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(t.Name()))
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// unfinished begins the names of files that are being written.
const unfinished = ".part-"

// sweep removes, once, what a crash left unfinished.
func (f *files) sweep() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.dirty {
		return nil
	}
	list, err := filepath.Glob(filepath.Join(f.dir, "kind=*", "date=*", "hour=*", unfinished+"*"))
	for _, path := range list {
		if e := os.Remove(path); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		return fmt.Errorf("files: remove what was not finished: %w", err)
	}
	f.dirty = false
	return nil
}

// stale removes files that an earlier batch wrote which began where this one does, but
// reached further: what is in them comes again.
func (f *files) stale(b *Batch, parts map[string][]elastic.Doc) error {
	list, err := filepath.Glob(filepath.Join(f.dir, "kind=*", "date=*", "hour=*", f.name(b)))
	for _, path := range list {
		name := strings.TrimPrefix(strings.TrimPrefix(path, filepath.Clean(f.dir)), string(filepath.Separator))
		if _, ours := parts[name]; !ours {
			err = errors.Join(err, os.Remove(path))
		}
	}
	if err != nil {
		return fmt.Errorf("files: remove what comes again: %w", err)
	}
	return nil
}

// plain writes JSON lines.
func plain(w io.Writer, docs []elastic.Doc) error {
	var out bytes.Buffer
	for i := range docs {
		out.Write(body(&docs[i]))
		out.WriteByte('\n')
	}
	_, err := w.Write(out.Bytes())
	return err
}

// zipped writes JSON lines, compressed.
func zipped(w io.Writer, docs []elastic.Doc) error {
	z := gzip.NewWriter(w)
	err := plain(z, docs)
	return errors.Join(err, z.Close())
}
