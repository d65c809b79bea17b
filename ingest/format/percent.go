package format

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// directive is a % of a format string of Apache's kind: %!400,501{Referer}i.
type directive struct {
	original bool // <: of the request before internal redirects
	final    bool // >: of the one that was served
	picky    bool // only for some statuses, otherwise "-"
	arg      string
	letters  string // "i", "^FB"
	pos      int
}

// String writes a directive as people do, without its condition.
func (d directive) String() string {
	if d.arg != "" {
		return "%{" + field.Capped(d.arg) + "}" + d.letters
	}
	return "%" + d.letters
}

// percentPieces cuts a format string into literals and what look makes of its
// directives. Within literals \n, \t, \r and \\ stand for one byte.
func (s *formatText) percentPieces(look func(directive) ([]text.Piece, error)) ([]text.Piece, error) {
	var out []text.Piece
	var lit []byte
	start := 0
	flush := func() {
		if len(lit) > 0 {
			out = append(out, text.Piece{Text: string(lit), Pos: s.pos[start]})
			lit = nil
		}
	}
	for i := 0; i < len(s.text); {
		if len(lit) == 0 {
			start = i
		}
		c := s.text[i]
		switch {
		case c == '%' && i+1 < len(s.text) && s.text[i+1] == '%':
			lit = append(lit, '%')
			i += 2
		case c == '\\' && i+1 < len(s.text) && strings.IndexByte(`\nrt`, s.text[i+1]) >= 0:
			lit = append(lit, confEscape(s.text[i+1]))
			i += 2
		case c == '%':
			flush()
			d, end, err := s.directive(i)
			if err != nil {
				return nil, err
			}
			pieces, err := look(d)
			if err != nil {
				return nil, fmt.Errorf("at byte %d: %w", d.pos, err)
			}
			for _, p := range pieces {
				p.Pos = d.pos
				out = append(out, p)
			}
			i = end
		default:
			lit = append(lit, c)
			i++
		}
	}
	flush()
	return out, nil
}

// directive reads the directive that begins at byte i.
func (s *formatText) directive(i int) (directive, int, error) {
	d := directive{pos: s.pos[i]}
	for i++; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '!' || c == ',' || c-'0' <= 9:
			d.picky = true
		case c == '<':
			d.original = true
		case c == '>':
			d.final = true
		case c == '{':
			end := strings.IndexByte(string(s.text[i:]), '}')
			if end < 0 {
				return d, 0, fmt.Errorf("at byte %d: %%{%s has no closing brace", d.pos, field.Capped(string(s.text[i+1:])))
			}
			d.arg = string(s.text[i+1 : i+end])
			i += end
		case c == '^' && i+2 < len(s.text):
			d.letters = string(s.text[i : i+3])
			return d, i + 3, nil
		default:
			d.letters = string(c)
			return d, i + 1, nil
		}
	}
	return d, 0, fmt.Errorf("at byte %d: a %% without the letter that says of what", d.pos)
}

// readConf takes a format string as it is, in quotes, or pasted with the directive
// before it and a name behind it.
func readConf(arg string, directives ...string) (formatText, error) {
	var s formatText
	i := blanks(arg, 0)
	pasted := false
	for _, d := range directives {
		if rest, ok := strings.CutPrefix(arg[i:], d); ok && rest != "" && isBlank(rest[0]) {
			i, pasted = blanks(arg, i+len(d)), true
			break
		}
	}
	end := len(strings.TrimRight(arg, " \t\r\n"))
	quoted := i < end && (arg[i] == '"' || arg[i] == '\'') && (pasted || closingConf(arg[:end], i) == end-1)
	if !quoted {
		for ; i < len(arg); i++ {
			if c := arg[i]; c == '\\' && i+1 < len(arg) && arg[i+1] == '"' {
				i++ // copied from between the quotes of a config file
			}
			s.add(arg[i], i)
		}
		return s, s.checkConf()
	}
	close := closingConf(arg, i)
	if close < 0 {
		return s, fmt.Errorf("at byte %d: the quote %c is not closed", i, arg[i])
	}
	quote := arg[i]
	for i++; i < close; i++ {
		if arg[i] == '\\' && i+1 < close && (arg[i+1] == quote || arg[i+1] == '\\') {
			i++
		}
		s.add(arg[i], i)
	}
	return s, s.checkConf()
}

// closingConf finds the quote that closes the one at byte i, or -1.
func closingConf(s string, i int) int {
	for j := i + 1; j < len(s); j++ {
		switch s[j] {
		case '\\':
			j++
		case s[i]:
			return j
		}
	}
	return -1
}

func (s *formatText) checkConf() error {
	if len(s.text) == 0 {
		return fmt.Errorf("no format string: write it behind the colon, as in the gateway's config file")
	}
	if k := strings.IndexByte(string(s.text), '\n'); k >= 0 {
		return fmt.Errorf("at byte %d: a line end within the format; this reads one request per line", s.pos[k])
	}
	return nil
}

// headerField says what a request header is.
func headerField(name string) field.Field {
	return lookupVariable("http_" + strings.ReplaceAll(strings.ToLower(name), "-", "_")).field
}
