package doc

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Edit puts a text where another stands; Start = End inserts.
type Edit struct {
	Place
	Text string
}

// Insert makes an edit that puts a text in.
func (f *File) Insert(at int, text string) Edit { return Edit{f.At(at, at), text} }

// Behind puts a text behind a place.
func (p Place) Behind(text string) Edit { return Edit{Place{p.File, p.End, p.End}, text} }

// Swap puts a text where the place is.
func (p Place) Swap(text string) Edit { return Edit{p, text} }

// tidy sorts edits of one file. Of equal ones it keeps the first; one that overlaps
// an earlier one is left out, since both cannot hold.
func tidy(edits []Edit) []Edit {
	list := slices.Clone(edits)
	slices.SortStableFunc(list, func(a, b Edit) int {
		if a.Start != b.Start {
			return a.Start - b.Start
		}
		return a.End - b.End
	})
	var out []Edit
	for _, e := range list {
		if slices.ContainsFunc(out, func(o Edit) bool { return o.Start == e.Start && o.End == e.End && o.Text == e.Text }) {
			continue
		}
		if n := len(out); n > 0 && e.Start < out[n-1].End {
			continue
		}
		out = append(out, e)
	}
	return out
}

// Apply returns the file's text with the edits made.
func (f *File) Apply(edits []Edit) []byte {
	var b bytes.Buffer
	at := 0
	for _, e := range tidy(edits) {
		b.Write(f.Text[at:e.Start])
		b.WriteString(e.Text)
		at = e.End
	}
	b.Write(f.Text[at:])
	return b.Bytes()
}

// Group sorts edits by file, in the order of the files' names.
func Group(edits []Edit) (files []*File, by map[*File][]Edit) {
	by = map[*File][]Edit{}
	for _, e := range edits {
		if e.File == nil {
			continue
		}
		if by[e.File] == nil {
			files = append(files, e.File)
		}
		by[e.File] = append(by[e.File], e)
	}
	slices.SortFunc(files, func(a, b *File) int { return strings.Compare(a.Name, b.Name) })
	return files, by
}

// Patch writes edits as a unified diff, which patch -p1 and git apply take.
func Patch(edits []Edit) string {
	var b strings.Builder
	files, by := Group(edits)
	for _, f := range files {
		list := tidy(by[f])
		name := strings.TrimLeft(f.Name, "/")
		fmt.Fprintf(&b, "--- a/%s\n+++ b/%s\n", name, name)
		shift := 0
		for len(list) > 0 {
			n, from, to := f.hunk(list)
			shift += f.writeHunk(&b, list[:n], from, to, shift)
			list = list[n:]
		}
	}
	return b.String()
}

// contextLines stand before and behind a change.
const contextLines = 3

// touched are the first line that an edit changes and the one behind the last, from 0.
func (f *File) touched(e Edit) (from, to int) {
	from = Place{f, e.Start, e.Start}.Line() - 1
	return from, Place{f, e.End, e.End}.Line()
}

// hunk finds how many of the edits stand together, and their lines with context.
func (f *File) hunk(list []Edit) (n, from, to int) {
	from, to = f.touched(list[0])
	for n = 1; n < len(list); n++ {
		a, b := f.touched(list[n])
		if a > to+2*contextLines {
			break
		}
		to = max(to, b)
	}
	return n, max(from-contextLines, 0), min(to+contextLines, len(f.split(f.Text)))
}

// split cuts a text into lines, each with its end.
func (f *File) split(text []byte) []string {
	return slices.DeleteFunc(strings.SplitAfter(string(text), "\n"), func(s string) bool { return s == "" })
}

// writeHunk writes the lines of a hunk and returns by how many it grows the file.
func (f *File) writeHunk(b *strings.Builder, list []Edit, from, to, shift int) int {
	old := f.split(f.Text)
	start := f.lines[from]
	end := len(f.Text)
	if to < len(f.lines) {
		end = f.lines[to]
	}
	part := NewFile(f.Name, f.Text[start:end])
	var moved []Edit
	for _, e := range list {
		moved = append(moved, Edit{Place{part, e.Start - start, e.End - start}, e.Text})
	}
	before, after := old[from:to], f.split(part.Apply(moved))
	script := compare(before, after)
	first, last := 0, len(script)
	for first < last && script[first].sign == ' ' {
		first++
	}
	for last > first && script[last-1].sign == ' ' {
		last--
	}
	// Patch programs take a hunk by its context: more than that is noise.
	cut, rest := max(first-contextLines, 0), max(len(script)-last-contextLines, 0)
	script, from = script[cut:len(script)-rest], from+cut
	fmt.Fprintf(b, "@@ -%s +%s @@\n", span(from, len(before)-cut-rest), span(from+shift, len(after)-cut-rest))
	for _, l := range script {
		b.WriteByte(l.sign)
		b.WriteString(l.text)
		if !strings.HasSuffix(l.text, "\n") {
			b.WriteString("\n\\ No newline at end of file\n")
		}
	}
	return len(after) - len(before)
}

// step is a line of a hunk.
type step struct {
	sign byte
	text string
}

// maxCompare bounds the work of compare: a longer hunk is written as all old lines,
// then all new ones.
const maxCompare = 1 << 22

// compare finds the fewest lines to take out and put in.
func compare(old, now []string) []step {
	if len(old)*len(now) > maxCompare {
		var out []step
		for _, l := range old {
			out = append(out, step{'-', l})
		}
		for _, l := range now {
			out = append(out, step{'+', l})
		}
		return out
	}
	// same[i][j] is how many lines old[i:] and now[j:] have in common.
	same := make([][]int, len(old)+1)
	for i := range same {
		same[i] = make([]int, len(now)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(now) - 1; j >= 0; j-- {
			if same[i][j] = max(same[i+1][j], same[i][j+1]); old[i] == now[j] {
				same[i][j] = same[i+1][j+1] + 1
			}
		}
	}
	var out []step
	for i, j := 0, 0; i < len(old) || j < len(now); {
		switch {
		case i < len(old) && j < len(now) && old[i] == now[j]:
			out = append(out, step{' ', old[i]})
			i, j = i+1, j+1
		case i < len(old) && (j == len(now) || same[i+1][j] >= same[i][j+1]):
			out = append(out, step{'-', old[i]})
			i++
		default:
			out = append(out, step{'+', now[j]})
			j++
		}
	}
	return out
}

// span writes the lines of a hunk as a unified diff does.
func span(from, n int) string {
	if n == 0 {
		return fmt.Sprintf("%d,0", from)
	}
	return fmt.Sprintf("%d,%d", from+1, n)
}
