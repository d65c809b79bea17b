// Package doc reads configuration documents (YAML, JSON, TOML, and plain text) with
// the bytes where each part stands, and makes patches of changes to them. It knows
// no gateway. A document is read whole or refused; sizes and depths are bounded.
package doc

import (
	"bytes"
	"fmt"
	"os"
	"sort"
)

// maxFile is the most bytes of a file that are read: a configuration is smaller.
const maxFile = 16 << 20

// File is one document. It is read-only once made.
type File struct {
	Name string // as findings and patches name it
	Text []byte

	lines []int // where each line begins
}

// NewFile makes a File of a text.
func NewFile(name string, text []byte) *File {
	f := &File{Name: name, Text: text, lines: []int{0}}
	for i, c := range text {
		if c == '\n' {
			f.lines = append(f.lines, i+1)
		}
	}
	return f
}

// ReadFile reads a file; name is what it is called in findings.
func ReadFile(path, name string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a folder: name a file", path)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes: a configuration has %d at most", path, info.Size(), maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return NewFile(name, text), nil
}

// Place is a span of a file. The zero Place is nowhere.
type Place struct {
	File       *File
	Start, End int
}

// At is the place of a span, cut to the file.
func (f *File) At(start, end int) Place {
	start = min(max(start, 0), len(f.Text))
	return Place{f, start, min(max(end, start), len(f.Text))}
}

// Name is the file's name, "" of a place that is nowhere.
func (p Place) Name() string {
	if p.File == nil {
		return ""
	}
	return p.File.Name
}

// Line is the number of the line where the place begins, from 1; 0 is nowhere.
func (p Place) Line() int {
	if p.File == nil {
		return 0
	}
	return sort.SearchInts(p.File.lines, p.Start+1)
}

// Text is the first line of what stands there, at most 160 bytes.
func (p Place) Text() string {
	if p.File == nil {
		return ""
	}
	text, _, _ := bytes.Cut(p.File.Text[p.Start:p.End], []byte("\n"))
	return string(bytes.TrimSpace(text[:min(len(text), 160)]))
}

// Indent is the white space before a place in its line.
func (p Place) Indent() string {
	if p.File == nil {
		return ""
	}
	from := p.File.lines[p.Line()-1]
	line := p.File.Text[from:p.Start]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// Less orders places by file and position.
func (p Place) Less(q Place) bool {
	if p.Name() != q.Name() {
		return p.Name() < q.Name()
	}
	return p.Start < q.Start
}

// FullText is all of what stands there.
func (p Place) FullText() string {
	if p.File == nil {
		return ""
	}
	return string(p.File.Text[p.Start:p.End])
}
