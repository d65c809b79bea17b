package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in the settings.
type Problem struct {
	File    string // the YAML file, or "environment"
	Line    int    // from 1; 0 = no place in the file
	Column  int    // from 1, in characters
	Key     string // path, such as sources[0].format; "" = the file itself
	Message string
	Hint    string // what to do about it; may be empty
}

// String returns the problem as one line: file:line:col: key: message (hint).
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	if p.Key != "" {
		b.WriteString(": " + p.Key)
	}
	b.WriteString(": " + p.Message)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Problems are all mistakes of one load, in the order of the file, those of the
// environment last.
type Problems []Problem

// Error returns one line per problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxProblems bounds the report; a file with more mistakes is another file.
const maxProblems = 200

// tidy sorts, removes repeats and returns nil for no problems.
func (ps Problems) tidy() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(min(b.Line, 1), min(a.Line, 1)), // placed ones first
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Key, b.Key),
			cmp.Compare(a.Message, b.Message),
		)
	})
	ps = slices.Compact(ps)
	if n := len(ps) - maxProblems; n > 0 {
		ps = append(ps[:maxProblems:maxProblems], Problem{File: ps[0].File,
			Message: fmt.Sprintf("%d more problems are not listed", n)})
	}
	return ps
}

// environmentName stands where a file name would for problems of variables.
const environmentName = "environment"

// place is where a key stands; line 0 means that it is not in the file.
type place struct {
	file      string
	line, col int
}

// fault notes a problem at a place.
func (l *loader) fault(at place, key, message, hint string) {
	if at.file == "" {
		at.file = l.file
	}
	l.problems = append(l.problems, Problem{File: at.file, Line: at.line, Column: at.col, Key: key, Message: message, Hint: hint})
}

// faultAt notes a problem where the key, or the nearest key around it, was set.
func (l *loader) faultAt(key, message string) {
	for k := key; ; k = parentOf(k) {
		if at, ok := l.where[k]; ok {
			l.fault(at, key, message, "")
			return
		}
		if k == "" {
			l.fault(place{}, key, message, "")
			return
		}
	}
}

// touch reports whether this key, one around it or one within it has a problem.
func (ps Problems) touch(key string) bool {
	for _, p := range ps {
		if p.Key == key || within(p.Key, key) || within(key, p.Key) {
			return true
		}
	}
	return false
}

// within reports whether key lies below parent, which is not the root.
func within(key, parent string) bool {
	if parent == "" {
		return false
	}
	rest, ok := strings.CutPrefix(key, parent)
	return ok && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "["))
}

// join makes the path of a key below a parent.
func join(parent, key string) string {
	if parent == "" || strings.HasPrefix(key, "[") {
		return parent + key
	}
	if key == "" {
		return parent
	}
	return parent + "." + key
}

// item makes the path of a list's entry.
func item(parent string, i int) string { return fmt.Sprintf("%s[%d]", parent, i) }

// parentOf cuts the last step off a path.
func parentOf(key string) string { return key[:max(strings.LastIndexAny(key, ".["), 0)] }

// shown quotes text from a file or a variable for a message, capped.
func shown(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return fmt.Sprintf("%q…", string(r[:most]))
	}
	return fmt.Sprintf("%q", s)
}

// shownKey leaves ordinary keys as they are and quotes others.
func shownKey(s string) string {
	for _, r := range s {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", r) {
			return shown(s)
		}
	}
	if s == "" || len(s) > 60 {
		return shown(s)
	}
	return s
}
