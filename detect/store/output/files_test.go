package output_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/store/output"
	"github.com/portcullis/portcullis/detect/store/output/outputtest"
)

// kindsOfFiles are the outputs that write files, and how these are read.
var kindsOfFiles = map[string]struct {
	section func(dir string) any
	kind    string
	read    func(t *testing.T, path string) []string // ids, in order
}{
	"ndjson": {func(dir string) any { return &output.NDJSONConfig{Dir: dir} }, "ndjson", readLines},
	"gzip":   {func(dir string) any { return &output.NDJSONConfig{Dir: dir, Gzip: true} }, "ndjson", readLines},
	"parquet": {func(dir string) any { return &output.ParquetConfig{Dir: dir} }, "parquet", func(t *testing.T, path string) (ids []string) {
		t.Helper()
		for _, r := range readRows(t, path) {
			ids = append(ids, r.ID)
		}
		return ids
	}},
}

func readLines(t *testing.T, path string) (ids []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return ids
		}
		var doc struct {
			ID string `json:"portcullis.id"`
		}
		if err = errors.Join(err, json.Unmarshal(line, &doc)); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		ids = append(ids, doc.ID)
	}
}

func readRows(t *testing.T, path string) []output.Row {
	t.Helper()
	rows, err := parquet.ReadFile[output.Row](path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for _, r := range rows {
		if !json.Valid([]byte(r.Document)) || r.Time < outputtest.Start || r.Kind == "" {
			t.Errorf("a row is %+v", r)
		}
	}
	return rows
}

// written are the files of a folder; nothing unfinished may be among them.
func written(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list = append(list, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// TestFiles: documents lie in folders by kind, date and hour, in the order of the feed.
func TestFiles(t *testing.T) {
	for name, k := range kindsOfFiles {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := &outputtest.Feed{Docs: outputtest.Docs(t, 60), Step: 60}
			r := outputtest.Launch(t, outputtest.Config(k.kind, k.section(dir)), f.Output())
			outputtest.Await(t, "all is written", func() string { return r.Stats().Error }, func() bool { return f.Noted() == 60 })
			r.Kill()
			suffix := map[string]string{"ndjson": "ndjson", "gzip": "ndjson.gz", "parquet": "parquet"}[name]
			var want []string
			for _, part := range []string{"kind=access/date=2026-03-02/hour=09", "kind=access/date=2026-03-02/hour=10", "kind=finding/date=2026-03-02/hour=09", "kind=finding/date=2026-03-02/hour=10"} {
				want = append(want, part+"/part-list-0."+suffix)
			}
			got := written(t, dir)
			if !slices.Equal(got, want) {
				t.Fatalf("the files are %q, want %q", got, want)
			}
			for _, path := range got {
				var of []string
				for _, d := range f.Docs {
					hour := "hour=09"
					if d.Time >= outputtest.Start+10e9 || d.Kind == elastic.Finding && strings.Contains(string(d.Source), "T10:") {
						hour = "hour=10"
					}
					if strings.Contains(path, "kind="+string(d.Kind)+"/") && strings.Contains(path, hour) {
						of = append(of, d.ID)
					}
				}
				if ids := k.read(t, filepath.Join(dir, path)); !slices.Equal(ids, of) {
					t.Errorf("%s has %d documents, want %d in the order of the feed", path, len(ids), len(of))
				}
			}
		})
	}
}

// TestFilesAgain: whatever was written when a crash came, and wherever batches begin and
// end afterwards, each document stands in one place in the end, and nothing unfinished is
// left.
func TestFilesAgain(t *testing.T) {
	for name, k := range kindsOfFiles {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			docs := outputtest.Docs(t, 60)
			spec, err := output.Lookup(k.kind)
			if err != nil {
				t.Fatal(err)
			}
			open := func() output.Sink {
				s, err := spec.Open(k.section(dir), output.Common{})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			send := func(s output.Sink, from string, again bool, docs []elastic.Doc) {
				t.Helper()
				if err := s.Send(t.Context(), &output.Batch{Feed: "list", From: from, Again: again, Docs: docs}); err != nil {
					t.Fatal(err)
				}
			}
			s := open()
			send(s, "", true, docs[:5])
			send(s, "000005", false, docs[5:40]) // it reaches into the next hour, and is not noted
			if err := os.WriteFile(filepath.Join(dir, "kind=access/date=2026-03-02/hour=09/.part-123"), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
			s = open() // after the crash: shorter batches
			send(s, "000005", true, docs[5:8])
			send(s, "000008", false, docs[8:60])
			var got []string
			for _, path := range written(t, dir) {
				got = append(got, k.read(t, filepath.Join(dir, path))...)
			}
			var want []string
			for _, d := range docs {
				want = append(want, d.ID)
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%d documents are in the files, want %d, each once", len(got), len(want))
			}
		})
	}
}

// TestFilesTrouble: a folder that cannot be written to is told, and tried again.
func TestFilesTrouble(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := &outputtest.Feed{Docs: outputtest.Docs(t, 10), Step: 10}
	r := outputtest.Launch(t, outputtest.Config("ndjson", &output.NDJSONConfig{Dir: dir}), f.Output())
	outputtest.Await(t, "it is told", func() string { return r.Stats().Error }, func() bool { return strings.Contains(r.Stats().Error, "let the user of this process write there") })
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	outputtest.Await(t, "all is written", func() string { return r.Stats().Error }, func() bool { return f.Noted() == 10 })
	spec, err := output.Lookup("parquet")
	if err != nil {
		t.Fatal(err)
	}
	s, err := spec.Open(&output.ParquetConfig{Dir: dir}, output.Common{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Send(ctx, &output.Batch{Feed: "list", Docs: f.Docs}); !errors.Is(err, context.Canceled) {
		t.Errorf("a batch whose time is over: %v", err)
	}
}

// TestParquetColumns: the fields that have columns are in them, the others are null.
func TestParquetColumns(t *testing.T) {
	dir := t.TempDir()
	f := &outputtest.Feed{Docs: outputtest.Docs(t, 5), Step: 5}
	r := outputtest.Launch(t, outputtest.Config("parquet", &output.ParquetConfig{Dir: dir}), f.Output())
	outputtest.Await(t, "all is written", func() string { return r.Stats().Error }, func() bool { return f.Noted() == 5 })
	a := readRows(t, filepath.Join(dir, "kind=access/date=2026-03-02/hour=09/part-list-0.parquet"))[0]
	if a.Method == nil || *a.Method != "GET" || a.Status == nil || *a.Status != 404 || *a.Address != "192.0.2.1" || *a.Verdict != "suspicious" || a.Rule != nil || a.Severity != nil || a.Time != outputtest.Start {
		t.Errorf("a request is %+v", a)
	}
	d := readRows(t, filepath.Join(dir, "kind=finding/date=2026-03-02/hour=09/part-list-0.parquet"))[0]
	if *d.Rule != "login.bruteforce" || *d.Severity != 73 || *d.SubjectKind != "ip" || *d.Count != 7 || d.Method != nil || d.Version == 0 {
		t.Errorf("a finding is %+v", d)
	}
}
