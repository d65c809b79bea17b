package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/portcullis/portcullis/internal/config"
)

var update = flag.Bool("update", false, "rewrite the generated documents")

// TestGeneratedDocs compares the documents that the binary writes with the files:
// go test ./cmd/portcullis -run Docs -update rewrites them.
func TestGeneratedDocs(t *testing.T) {
	for _, c := range []struct {
		file string
		args []string
	}{
		{"configuration.md", []string{"config", "reference"}},
		{"detectors.md", []string{"rules", "--markdown"}},
		{"audit.md", []string{"audit", "--checks", "--markdown"}},
		{"metrics.md", []string{"metrics", "--markdown"}},
	} {
		var out, errs bytes.Buffer
		if status := run(context.Background(), c.args, strings.NewReader(""), &out, &errs); status != exitRan {
			t.Fatalf("%v: status %d: %s", c.args, status, errs.String())
		}
		path := filepath.Join("..", "..", "docs", c.file)
		if *update {
			if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, out.Bytes()) {
			t.Errorf("%s is not what %v writes: run go test ./cmd/portcullis -run Docs -update, and read the difference", c.file, c.args)
		}
	}
}

// TestDocsNameEverything: docs/cli.md has every command and every flag that the
// command line takes, and no flag that it does not.
func TestDocsNameEverything(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := newParser(&CLI{}, func(int) {}, new(bytes.Buffer), new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{"--help": true}
	var visit func(n *kong.Node, path string)
	visit = func(n *kong.Node, path string) {
		for _, f := range n.Flags {
			flags["--"+f.Name] = true
			if !f.Hidden && !bytes.Contains(page, []byte("`--"+f.Name)) {
				t.Errorf("docs/cli.md does not name --%s of %q", f.Name, path)
			}
		}
		for _, c := range n.Children {
			name := strings.TrimSpace(path + " " + c.Name)
			if len(c.Children) == 0 && !bytes.Contains(page, []byte("`"+name)) {
				t.Errorf("docs/cli.md does not name %q", name)
			}
			visit(c, name)
		}
	}
	visit(k.Model.Node, "")
	for _, f := range regexp.MustCompile("--[a-z][a-z-]*").FindAllString(string(page), -1) {
		if !flags[f] {
			t.Errorf("docs/cli.md names %s, which no command takes", f)
		}
	}
}

// TestReadmeSettings: the settings that a stranger copies from README.md load.
func TestReadmeSettings(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Fatal("README.md shows no settings")
	}
	for _, b := range blocks {
		var out, errs bytes.Buffer
		if status := run(context.Background(), []string{"config", "check", "-"}, bytes.NewReader(b[1]), &out, &errs); status != exitRan {
			t.Errorf("settings of README.md are refused: %s\n%s", errs.String(), b[1])
		}
	}
}

// TestDocsSnippets loads every piece of settings that the documents show.
func TestDocsSnippets(t *testing.T) {
	n := 0
	for _, page := range []string{"sources.md", "gateways.md", "operations.md", "security.md", "../README.md"} {
		data, err := os.ReadFile(filepath.Join("../../docs", page))
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range strings.Split(string(data), "```yaml\n")[1:] {
			text, _, _ := strings.Cut(block, "```")
			app := &App{}
			if err := config.Load(fmt.Sprintf("%s, block %d", page, i+1), []byte(text), nil, app.newSettings()); err != nil {
				t.Errorf("%v", err)
			}
			n++
		}
	}
	if n < 8 {
		t.Errorf("only %d pieces of settings were found", n)
	}
}
