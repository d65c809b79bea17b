package format

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// escaping is the escape= of a log_format.
type escaping uint8

const (
	escDefault escaping = iota
	escJSON
	escNone
)

// formatText is a format string with the place in the argument of each of its bytes.
type formatText struct {
	text []byte
	pos  []int
	mode escaping
}

func (s *formatText) add(c byte, pos int) {
	s.text = append(s.text, c)
	s.pos = append(s.pos, pos)
}

// readSource takes "STRING", "escape=json STRING", and what is pasted from
// nginx.conf: log_format NAME [escape=...] 'STRING' 'STRING' ... ;
func readSource(arg string) (formatText, error) {
	var s formatText
	i := blanks(arg, 0)
	directive := strings.HasPrefix(arg[i:], "log_format") && len(arg) > i+10 && isBlank(arg[i+10])
	if directive {
		i = blanks(arg, i+10)
		i = blanks(arg, notBlanks(arg, i))
	}
	if strings.HasPrefix(arg[i:], "escape=") {
		end := notBlanks(arg, i)
		switch mode := arg[i+len("escape=") : end]; mode {
		case "default":
			s.mode = escDefault
		case "json":
			s.mode = escJSON
		case "none":
			s.mode = escNone
		default:
			return s, fmt.Errorf("at byte %d: escape=%s is not known to nginx: it is default, json or none", i, field.Capped(mode))
		}
		i = blanks(arg, end)
	}
	rest := arg[i:]
	if rest != "" && (rest[0] == '\'' || directive) {
		return s, s.readQuoted(arg, i)
	}
	for ; i < len(arg); i++ {
		s.add(arg[i], i)
	}
	return s, s.check()
}

// readQuoted joins quoted pieces as nginx.conf does, and undoes its escapes.
func (s *formatText) readQuoted(arg string, i int) error {
	for i = blanks(arg, i); i < len(arg); i = blanks(arg, i) {
		if arg[i] == ';' {
			if rest := blanks(arg, i+1); rest < len(arg) {
				return fmt.Errorf("at byte %d: there is text behind the closing ;", rest)
			}
			break
		}
		quote, start := arg[i], i
		if quote != '\'' && quote != '"' {
			for i < len(arg) && !isBlank(arg[i]) && arg[i] != ';' {
				s.add(arg[i], i)
				i++
			}
			continue
		}
		for i++; ; i++ {
			if i >= len(arg) {
				return fmt.Errorf("at byte %d: the quote %c is not closed", start, quote)
			}
			if arg[i] == quote {
				i++
				break
			}
			c := arg[i]
			if c == '\\' && i+1 < len(arg) {
				if u := confEscape(arg[i+1]); u != 0 {
					i++
					c = u
				}
			}
			s.add(c, i)
		}
	}
	return s.check()
}

func (s *formatText) check() error {
	if len(s.text) == 0 {
		return fmt.Errorf("no log_format string: write nginx:'$remote_addr ...', as in nginx.conf")
	}
	if k := strings.IndexByte(string(s.text), '\n'); k >= 0 {
		return fmt.Errorf("at byte %d: a line end within the format; this reads one request per line", s.pos[k])
	}
	return nil
}

func confEscape(c byte) byte {
	switch c {
	case '\'', '"', '\\':
		return c
	case 't':
		return '\t'
	case 'r':
		return '\r'
	case 'n':
		return '\n'
	}
	return 0
}

// pieces cuts a format string into literals and variables.
func (s *formatText) pieces() ([]text.Piece, error) {
	var out []text.Piece
	for i := 0; i < len(s.text); {
		if s.text[i] != '$' {
			start := i
			for i < len(s.text) && s.text[i] != '$' {
				i++
			}
			out = append(out, text.Piece{Text: string(s.text[start:i]), Pos: s.pos[start]})
			continue
		}
		start := i
		i++
		brace := i < len(s.text) && s.text[i] == '{'
		if brace {
			i++
		}
		from := i
		for i < len(s.text) && field.IsName(s.text[i]) {
			i++
		}
		name := string(s.text[from:i])
		if name == "" {
			return nil, fmt.Errorf("at byte %d: a $ without the name of a variable", s.pos[start])
		}
		if brace {
			if i >= len(s.text) || s.text[i] != '}' {
				return nil, fmt.Errorf("at byte %d: ${%s has no closing brace", s.pos[start], field.Capped(name))
			}
			i++
		}
		v, err := variableOf(name, s.mode, s.pos[start])
		if err != nil {
			return nil, err
		}
		out = append(out, text.Piece{Text: "$" + name, Pos: s.pos[start], Variable: &v})
	}
	return out, nil
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func blanks(s string, i int) int {
	for i < len(s) && isBlank(s[i]) {
		i++
	}
	return i
}

func notBlanks(s string, i int) int {
	for i < len(s) && !isBlank(s[i]) {
		i++
	}
	return i
}
