package format

import (
	"strings"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// Times of which a format string holds several pieces add up: a day, a time of day,
// a fraction, less a zone. One group of neighbours is one time.

func plain(s string) text.Piece { return text.Piece{Text: s} }

func one(name string, v text.Variable) []text.Piece {
	return []text.Piece{{Text: name, Variable: &v}}
}

// layoutVariable reads what strftime wrote.
func layoutVariable(layout string) (text.Variable, error) {
	l, err := field.ParseLayout(layout)
	if err != nil {
		return text.Variable{}, err
	}
	v := text.Variable{Field: field.TimeOfDay, Kind: text.Custom, Read: l.Read, Width: l.Width()}
	if v.Width == 0 {
		v.Set = &layoutBytes
	}
	switch {
	case l.Seconds() || l.Day():
		v.Field = field.Date
	}
	switch {
	case l.Zone():
		v.Zone = text.Offset
	case l.Day() || l.Clock():
		v.Zone = text.Wall
	}
	return v, nil
}

// layoutBytes are what a layout whose width varies can end with.
var layoutBytes = func() (t [256]bool) {
	for c := range t {
		t[c] = field.IsName(byte(c)) && c != '_'
	}
	return t
}()

// fraction reads digits behind a second: three are milliseconds, six microseconds.
func fraction(digits int) text.Variable {
	unit := int64(1e9)
	for range digits {
		unit /= 10
	}
	return text.Variable{Field: field.TimeOfDay, Kind: text.Custom, Width: digits,
		Read: func(_ *field.Clock, b []byte, i int) (int64, int) {
			if len(b)-i < digits {
				return 0, -1
			}
			var n int64
			for _, c := range b[i : i+digits] {
				if c-'0' > 9 {
					return 0, -1
				}
				n = n*10 + int64(c-'0')
			}
			return n * unit, i + digits
		}}
}

// since reads a time since 1970 in a unit of nanoseconds.
func since(unit int64) text.Variable {
	return text.Variable{Field: field.Msec, Kind: text.Custom, Set: &digits,
		Read: func(_ *field.Clock, b []byte, i int) (int64, int) {
			n, end := field.Integer(b, i)
			if end < 0 || n <= 0 || n > 9_000_000_000e9/unit {
				return 0, -1
			}
			return n * unit, end
		}}
}

var digits = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	return t
}()

// strftimePieces makes pieces of the argument of Apache's %{...}t: a layout, or a word
// for a number, of the request's beginning or end.
func strftimePieces(name, arg string) ([]text.Piece, error) {
	for _, when := range []string{"begin:", "end:"} {
		arg = strings.TrimPrefix(arg, when)
	}
	switch arg {
	case "sec":
		v := since(1e9)
		v.Field = field.Date
		return one(name, v), nil
	case "msec":
		return one(name, since(1e6)), nil
	case "usec":
		return one(name, since(1e3)), nil
	case "msec_frac":
		return one(name, fraction(3)), nil
	case "usec_frac":
		return one(name, fraction(6)), nil
	}
	v, err := layoutVariable(arg)
	if err != nil {
		return nil, err
	}
	return one(name, v), nil
}

func isClock(p text.Piece) bool {
	return p.Variable != nil && (field.IsTime(p.Variable.Field) || p.Variable.Field == field.TimeOfDay)
}

// oneTime leaves one group of times: that with the finest fraction, of equals the
// first. A %t with a fraction behind it becomes a sum, too.
func oneTime(pieces []text.Piece) {
	best, from, worth := -1, -1, 0
	for i := 0; i < len(pieces); {
		if !isClock(pieces[i]) {
			i++
			continue
		}
		end := groupEnd(pieces, i)
		if w := groupWorth(pieces[i:end]); w > worth {
			best, from, worth = end, i, w
		}
		i = end
	}
	for i := range pieces {
		if isClock(pieces[i]) && (i < from || i >= best) {
			pieces[i].Variable.Field = field.Skip
		}
	}
	if from < 0 || best-from == 1 {
		return
	}
	if v := pieces[from].Variable; v.Field == field.TimeLocal {
		*v, _ = layoutVariable("%d/%b/%Y:%H:%M:%S %z")
	}
}

// groupEnd returns the index behind the group that begins at i: a day, or what has
// none, ends the one before.
func groupEnd(pieces []text.Piece, i int) int {
	days, end := 0, i
	for j := i; j < len(pieces); j++ {
		if pieces[j].Variable == nil {
			continue
		}
		if !isClock(pieces[j]) {
			break
		}
		if f := pieces[j].Variable.Field; f != field.TimeOfDay {
			if days++; days > 1 || f == field.Msec && j > i {
				break
			}
		}
		end = j + 1
	}
	return end
}

// groupWorth says how good a group of times is: 0 has no day.
func groupWorth(pieces []text.Piece) int {
	worth := 0
	for _, p := range pieces {
		switch {
		case !isClock(p):
		case p.Variable.Field == field.Msec:
			worth += 3
		case p.Variable.Field != field.TimeOfDay:
			worth++
		}
	}
	if worth == 1 && len(pieces) > 1 {
		return 2
	}
	return worth
}
