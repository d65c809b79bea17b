package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds on the file. Its parser recurses and is quadratic in nesting; no
// settings come near these.
const (
	maxBytes = 1 << 20
	maxDepth = 64
)

// parse reads the YAML as a mapping. After a syntax error it blanks out the
// top-level block that the error is in and reads the rest, so that the other
// blocks' mistakes are reported too. It returns nil when there is nothing to
// decode.
func (l *loader) parse(data []byte) *node {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	if !l.readable(data) {
		l.broken = true
		return nil
	}
	const attempts = 20
	for range attempts {
		file, err := parseYAML(data)
		if err == nil {
			return l.document(file)
		}
		l.broken = true
		line := l.syntax(err, data)
		if line < 1 || !blank(data, line) {
			return nil
		}
	}
	return nil
}

// readable refuses what the parser should not be given.
func (l *loader) readable(data []byte) bool {
	if len(data) > maxBytes {
		l.fault(place{}, "", fmt.Sprintf("the file has %d bytes, more than %s", len(data), FormatSize(maxBytes)), "")
		return false
	}
	line, col, depth := 1, 1, 0
	for rest := data; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		at := place{line: line, col: col}
		switch {
		case r == utf8.RuneError && n == 1:
			l.fault(at, "", fmt.Sprintf("the byte 0x%02x is not UTF-8", rest[0]), "save the file as UTF-8")
			return false
		case r == 0x7f || r < ' ' && r != '\n' && r != '\t':
			l.fault(at, "", fmt.Sprintf("control character 0x%02x", r), "remove it")
			return false
		case r == '[' || r == '{':
			depth++
		case r == ']' || r == '}':
			depth = max(depth-1, 0)
		case r == '\n':
			line, col = line+1, 0
			if len(rest) > 1 && startsBlock(rest[1]) {
				depth = 0
			}
		}
		if depth > maxDepth || r == '-' && col > 2*maxDepth && bytes.HasPrefix(rest, []byte("- - ")) {
			l.fault(at, "", fmt.Sprintf("nested deeper than %d", maxDepth), "")
			return false
		}
		rest, col = rest[n:], col+1
	}
	return true
}

// parseYAML calls the parser; should it fail in a way of its own, that is one
// more syntax error.
func parseYAML(data []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, errors.New("the YAML cannot be read")
		}
	}()
	return parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
}

// syntax reports what the parser refused and returns its line, 0 if unknown.
func (l *loader) syntax(err error, data []byte) int {
	message, at := err.Error(), place{}
	if e, ok := err.(interface {
		GetMessage() string
		GetToken() *token.Token
	}); ok {
		message = e.GetMessage()
		if t := e.GetToken(); t != nil && t.Position != nil {
			at = place{line: t.Position.Line, col: t.Position.Column}
		}
	}
	if strings.Contains(message, "'\t'") {
		l.tabs(data, at)
		return at.line
	}
	if line, col, ok := leftOpen(data, at.line); ok {
		at = place{line: line, col: col}
	}
	l.fault(at, "", "syntax: "+message, syntaxHint(message))
	return at.line
}

// syntaxHint says what usually caused a message of the parser.
func syntaxHint(message string) string {
	switch {
	case strings.Contains(message, "mapping value is not allowed"):
		return `indent keys of one mapping alike, and quote text that holds ": "`
	case strings.Contains(message, "must be specified"):
		return "a bracket or brace is not closed"
	case strings.Contains(message, "end character"):
		return "a quote is not closed"
	case strings.Contains(message, "non-map value"):
		return `a key needs a colon and a blank: "key: value"`
	}
	return ""
}

// tabs reports every line of the block that is indented with a tab.
func (l *loader) tabs(data []byte, at place) {
	lines := bytes.Split(data, []byte("\n"))
	from, to := blockOf(lines, at.line)
	found := false
	for i := from; i < to; i++ {
		indent := lines[i][:len(lines[i])-len(bytes.TrimLeft(lines[i], " \t"))]
		if col := bytes.IndexByte(indent, '\t'); col >= 0 && len(indent) < len(lines[i]) {
			l.fault(place{line: i + 1, col: col + 1}, "", "a tab where YAML wants blanks", "indent with blanks")
			found = true
		}
	}
	if !found {
		l.fault(at, "", "a tab where YAML wants a blank", "")
	}
}

// startsBlock reports whether a line that begins so starts a top-level key.
func startsBlock(c byte) bool { return !strings.ContainsRune(" \t\n#-]}", rune(c)) }

// blockOf returns the lines [from, to) of the top-level block that line (from 1)
// is in.
func blockOf(lines [][]byte, line int) (from, to int) {
	starts := func(i int) bool { return len(lines[i]) > 0 && startsBlock(lines[i][0]) }
	from = min(line-1, len(lines)-1)
	for from > 0 && !starts(from) {
		from--
	}
	for to = from + 1; to < len(lines) && !starts(to); to++ {
		continue
	}
	return from, to
}

// blank overwrites the block that the line is in with blanks, and reports
// whether there was anything.
func blank(data []byte, line int) bool {
	lines := bytes.Split(data, []byte("\n")) // share the bytes of data
	from, to := blockOf(lines, line)
	changed := false
	for _, l := range lines[from:to] {
		for i := range l {
			changed = changed || l[i] != ' '
			l[i] = ' '
		}
	}
	return changed
}

// leftOpen finds the bracket that the block above the line leaves open, if the
// line starts a block: the parser notices only there. Quotes are not looked at,
// which at worst moves the report to the block above.
func leftOpen(data []byte, line int) (int, int, bool) {
	lines := bytes.Split(data, []byte("\n"))
	if from, _ := blockOf(lines, line); from != line-1 || from == 0 {
		return 0, 0, false
	}
	from, to := blockOf(lines, line-1)
	var open []place
	for i := from; i < to; i++ {
		for j, c := range bytes.Runes(lines[i]) {
			switch {
			case c == '[' || c == '{':
				open = append(open, place{line: i + 1, col: j + 1})
			case (c == ']' || c == '}') && len(open) > 0:
				open = open[:len(open)-1]
			}
		}
	}
	if len(open) == 0 {
		return 0, 0, false
	}
	last := open[len(open)-1]
	return last.line, last.col, true
}
