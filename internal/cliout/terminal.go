package cliout

import (
	"io"
	"os"

	"golang.org/x/term"
)

// IsTerminal reports whether a person looks at what is written to w.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Style is how output to one writer looks.
type Style struct {
	Width int // columns to cut lines at; 0 = do not cut
	Color bool
}

// StyleOf returns the style for w: a width and colours on a terminal only, and
// no colours where they are refused by noColor, by a NO_COLOR that is not empty
// (no-color.org) or by a terminal that calls itself dumb.
func StyleOf(w io.Writer, noColor bool) Style {
	if !IsTerminal(w) {
		return Style{}
	}
	s := Style{Width: 80, Color: !noColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
	if width, _, err := term.GetSize(int(w.(*os.File).Fd())); err == nil && width > 0 {
		s.Width = width
	}
	return s
}

// Color is the colour of a word; the zero value is the terminal's own.
type Color uint8

// The colours.
const (
	Plain Color = iota
	Dim
	Red
	Yellow
	Green
	Blue
	BoldRed
	Bold
)

var codes = [...]string{"", "2", "31", "33", "32", "34", "1;31", "1"}

// Paint colours text that is already safe, if the style has colours.
func (s Style) Paint(c Color, text string) string {
	if !s.Color || c == Plain || int(c) >= len(codes) || text == "" {
		return text
	}
	return "\x1b[" + codes[c] + "m" + text + "\x1b[0m"
}

// SeverityColor is the colour of a finding's severity.
func SeverityColor(severity string) Color {
	switch severity {
	case "critical":
		return BoldRed
	case "high":
		return Red
	case "medium":
		return Yellow
	case "low":
		return Blue
	}
	return Dim
}
