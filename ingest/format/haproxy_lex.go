package format

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// readHAProxy takes a log-format string as it is, in quotes, or with blanks behind
// backslashes, and with the keyword before it.
func readHAProxy(arg string, at int) (formatText, error) {
	i := at
	for _, word := range []string{"log-format ", "log-format-sd "} {
		if strings.HasPrefix(arg[i:], word) {
			i = blanks(arg, i+len(word))
		}
	}
	end := len(strings.TrimRight(arg, " \t\r\n"))
	if i < end && (arg[i] == '"' || arg[i] == '\'') && closingConf(arg[:end], i) == end-1 {
		s, err := readConf(arg[:end][i:])
		for k := range s.pos {
			s.pos[k] += i
		}
		return s, err
	}
	var s formatText
	for ; i < len(arg); i++ {
		if arg[i] == '\\' && i+1 < len(arg) && strings.IndexByte(` "#\'`, arg[i+1]) >= 0 {
			i++
		}
		s.add(arg[i], i)
	}
	return s, s.checkConf()
}

// haproxyFlags are those of %{+Q,-E}.
type haproxyFlags struct{ quote, escape, hex bool }

// haproxyLexer cuts a log-format string into pieces.
type haproxyLexer struct {
	src     formatText
	options haproxyOptions
	all     haproxyFlags // of %{...}o
	out     []text.Piece
}

func (l *haproxyLexer) run() error {
	s := &l.src
	for i := 0; i < len(s.text); {
		switch c := s.text[i]; {
		case c == '%' && i+1 < len(s.text) && s.text[i+1] == '%':
			l.literal("%", i)
			i += 2
		case c == '%':
			end, err := l.variable(i)
			if err != nil {
				return err
			}
			i = end
		case isBlank(c):
			l.blank(i)
			i++
		default:
			l.literal(string(c), i)
			i++
		}
	}
	return nil
}

// literal adds text to the one before it.
func (l *haproxyLexer) literal(s string, i int) {
	if n := len(l.out); n > 0 && l.out[n-1].Variable == nil {
		l.out[n-1].Text += s
		return
	}
	l.out = append(l.out, text.Piece{Text: s, Pos: l.src.pos[i]})
}

// blank adds one, unless one stands there or nothing does.
func (l *haproxyLexer) blank(i int) {
	if n := len(l.out); n > 0 && (l.out[n-1].Variable != nil || !strings.HasSuffix(l.out[n-1].Text, " ")) {
		l.literal(" ", i)
	}
}

// variable reads the variable or expression at byte i and returns the index behind it.
func (l *haproxyLexer) variable(i int) (int, error) {
	s, start := string(l.src.text), i
	pos := l.src.pos[start]
	flags := l.all
	if i++; i < len(s) && s[i] == '{' {
		end := strings.IndexByte(s[i:], '}')
		if end < 0 {
			return 0, fmt.Errorf("at byte %d: %%{ without its closing brace", pos)
		}
		if err := flags.set(s[i+1 : i+end]); err != nil {
			return 0, fmt.Errorf("at byte %d: %w", pos, err)
		}
		i += end + 1
	}
	var pieces []text.Piece
	var err error
	end := i
	if i < len(s) && s[i] == '[' {
		if end = closingExpression(s, i); end < 0 {
			return 0, fmt.Errorf("at byte %d: %%[ without its closing bracket", pos)
		}
		before := ""
		if n := len(l.out); n > 0 && l.out[n-1].Variable == nil {
			before = l.out[n-1].Text
		}
		pieces = l.expression(s[i+1:end], before, flags)
		end++
	} else {
		for end < len(s) && s[end]|0x20 >= 'a' && s[end]|0x20 <= 'z' {
			end++
		}
		if s[i:end] == "o" {
			l.all = flags
			return end, nil
		}
		pieces, err = l.named(s[i:end], flags)
	}
	for _, p := range pieces {
		if p.Variable == nil {
			l.literal(p.Text, start)
			continue
		}
		p.Pos = pos
		l.out = append(l.out, p)
	}
	if err != nil {
		return 0, fmt.Errorf("at byte %d: %w", pos, err)
	}
	return end, nil
}

// set reads "+Q,-X,E".
func (f *haproxyFlags) set(s string) error {
	for _, word := range strings.Split(s, ",") {
		word = strings.TrimSpace(word)
		on := !strings.HasPrefix(word, "-")
		switch strings.TrimLeft(word, "+-") {
		case "Q":
			f.quote = on
		case "E":
			f.escape = on
		case "X":
			f.hex = on
		case "":
		default:
			return fmt.Errorf("the flag %q is not known: Q quotes, E escapes, X writes hexadecimal numbers", field.Capped(word))
		}
	}
	return nil
}

// closingExpression finds the bracket that closes the one at byte i, or -1.
func closingExpression(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			depth--
		case ']':
			if depth <= 0 {
				return i
			}
		}
	}
	return -1
}
