// Package telemetry sets up what an operator watches Portcullis by: structured
// logs, Prometheus metrics and the two health endpoints.
//
// It is plumbing and knows no room. Its rule is that bytes an attacker chose
// reach a log or a label only quoted and capped, and that no metric can grow
// without bound, whatever its caller emits.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Format is how log records are written.
type Format string

// The log formats: text is logfmt for people, JSON is one object a line for
// programs.
const (
	Text Format = "text"
	JSON Format = "json"
)

// ParseFormat reads a format as the config and the command line write it; the
// empty string is Text.
func ParseFormat(name string) (Format, error) {
	switch f := Format(strings.ToLower(name)); f {
	case "":
		return Text, nil
	case Text, JSON:
		return f, nil
	}
	return Text, fmt.Errorf("telemetry: log format %s: use text or json", Quote(name))
}

// ParseLevel reads debug, info, warn or error, with slog's offsets such as
// "info+2"; the empty string is info.
func ParseLevel(name string) (slog.Level, error) {
	level := slog.LevelInfo
	if name == "" {
		return level, nil
	}
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo, fmt.Errorf("telemetry: log level %s: use debug, info, warn or error", Quote(name))
	}
	return level, nil
}

// NewLogger returns a logger that writes to w. Pass a *slog.LevelVar as level to
// change it later; a nil level is info. An unknown format is text.
//
// Every string and error that goes through it is made printable and cut at
// MaxValue bytes as a last net, so that no value can fake a second record or
// drive a terminal. Values that an attacker wrote should still go through Quote,
// which shows where they begin and end.
func NewLogger(w io.Writer, level slog.Leveler, format Format) *slog.Logger {
	if level == nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: cleanAttr}
	if format == JSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// Caps in bytes: MaxQuote of a quoted value before its quotes and escapes,
// MaxValue of any value in a log record.
const (
	MaxQuote = 256
	MaxValue = 4096
)

// Quote makes a value that an attacker may have written fit for a log, a message
// or a label: Go-quoted, so that control, bidirectional and invalid bytes show
// as escapes, and cut after MaxQuote bytes with the full length named.
func Quote(s string) string {
	if len(s) <= MaxQuote {
		return strconv.Quote(s)
	}
	return strconv.Quote(cut(s, MaxQuote)) + "... (" + strconv.Itoa(len(s)) + " bytes)"
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:n]
}

// cleanAttr is the last net of NewLogger. Time, level and numbers pass as they are.
func cleanAttr(_ []string, a slog.Attr) slog.Attr {
	a.Key = clean(a.Key)
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(clean(v.String()))
	case slog.KindAny:
		switch x := v.Any().(type) {
		case error:
			a.Value = slog.StringValue(clean(x.Error()))
		case fmt.Stringer:
			a.Value = slog.StringValue(clean(x.String()))
		}
	}
	return a
}

// clean replaces what does not print by its escape and cuts the rest. It returns
// s itself in the usual case.
func clean(s string) string {
	short := cut(s, MaxValue)
	plain := utf8.ValidString(short) && strings.IndexFunc(short, unprintable) < 0
	if plain && len(short) == len(s) {
		return s
	}
	if !plain {
		quoted := strconv.Quote(short)
		short = strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	}
	if cutOff := len(s) - min(len(s), MaxValue); cutOff > 0 {
		short += "... (" + strconv.Itoa(len(s)) + " bytes)"
	}
	return short
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }
