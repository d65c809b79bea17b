// Package nginxconf reads the syntax of nginx's configuration: directives, blocks,
// quotes, comments and Lua blocks, each with the bytes where it stands. What the
// directives mean is for the callers: the gateway, which puts lines in, and the
// audit, which judges. Nothing is lost: a file is parsed whole or refused.
package nginxconf

import (
	"errors"
	"fmt"
	"strings"
)

// Directive is one directive, with where it stands, so that a line can be changed
// or put in without touching anything else.
type Directive struct {
	Name  string
	Args  []string
	Body  []Directive // of a block
	Block bool
	Start int // first byte of the name
	Open  int // behind the '{' of a block
	Close int // at the '}' of a block
	End   int // behind the ';' or the '}'
}

// parser reads the syntax and nothing of the meaning: words, quotes,
// comments, blocks, and the Lua blocks, in which braces count differently.
type parser struct {
	text  []byte
	at    int
	depth int
}

// maxDepth bounds nested blocks; nginx itself would need a reason for more.
const maxDepth = 64

// Parse parses a whole file. The error names the line.
func Parse(text []byte) ([]Directive, error) {
	p := &parser{text: text}
	list, err := p.list()
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", 1+strings.Count(string(text[:min(p.at, len(text))]), "\n"), err)
	}
	return list, nil
}

// list parses directives up to the end of the file or of the block.
func (p *parser) list() ([]Directive, error) {
	var out []Directive
	for {
		p.blank()
		if p.at >= len(p.text) {
			if p.depth > 0 {
				return nil, errors.New("a block has no end")
			}
			return out, nil
		}
		if p.text[p.at] == '}' {
			if p.depth == 0 {
				return nil, errors.New("a } without a {")
			}
			return out, nil
		}
		d, err := p.directive()
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
}

// directive parses one directive with its block.
func (p *parser) directive() (Directive, error) {
	d, named := Directive{Start: p.at}, false // a map may have a row for ""
	for {
		p.blank()
		if p.at >= len(p.text) {
			return d, fmt.Errorf("directive %.40q has no end", d.Name)
		}
		switch p.text[p.at] {
		case ';':
			p.at++
			d.End = p.at
			return d, nil
		case '{':
			p.at++
			return p.block(d)
		case '}':
			return d, fmt.Errorf("directive %.40q has no end", d.Name)
		}
		word, err := p.word()
		if err != nil {
			return d, err
		}
		if !named {
			d.Name, named = word, true
		} else {
			d.Args = append(d.Args, word)
		}
	}
}

// block parses what is between the braces.
func (p *parser) block(d Directive) (Directive, error) {
	d.Block, d.Open = true, p.at
	if strings.HasSuffix(d.Name, "_by_lua_block") {
		if err := p.lua(); err != nil {
			return d, err
		}
	} else {
		if p.depth++; p.depth > maxDepth {
			return d, errors.New("blocks are nested too deep")
		}
		body, err := p.list()
		if err != nil {
			return d, err
		}
		p.depth--
		d.Body = body
	}
	d.Close = p.at
	p.at++
	d.End = p.at
	return d, nil
}

// blank skips white space and comments.
func (p *parser) blank() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		case '#':
			for p.at < len(p.text) && p.text[p.at] != '\n' {
				p.at++
			}
		default:
			return
		}
	}
}

// word reads one word, quoted or not, and undoes the quoting.
func (p *parser) word() (string, error) {
	var b strings.Builder
	quote := byte(0)
	if c := p.text[p.at]; c == '"' || c == '\'' {
		quote = c
		p.at++
	}
	for p.at < len(p.text) {
		c := p.text[p.at]
		switch {
		case c == '\\' && p.at+1 < len(p.text):
			p.at++
			b.WriteString(escaped(p.text[p.at]))
		case quote != 0 && c == quote:
			p.at++
			return b.String(), nil
		case quote == 0 && strings.IndexByte(" \t\r\n;{", c) >= 0:
			// ${name} is a variable, not a block.
			if c != '{' || !strings.HasSuffix(b.String(), "$") {
				return b.String(), nil
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
		p.at++
	}
	return "", errors.New("a word or quote has no end")
}

// escaped is what a backslash and the byte behind it stand for. As in nginx, other
// backslashes stay: regular expressions need them.
func escaped(c byte) string {
	switch c {
	case '"', '\'', '\\':
		return string(rune(c))
	case 't':
		return "\t"
	case 'r':
		return "\r"
	case 'n':
		return "\n"
	}
	return "\\" + string([]byte{c})
}

// lua skips Lua code up to the brace that ends it; quotes, comments and long
// brackets may hold others.
func (p *parser) lua() error {
	depth := 0
	for p.at < len(p.text) {
		rest := string(p.text[p.at:min(p.at+2, len(p.text))])
		switch c := p.text[p.at]; {
		case rest == "[[":
			if !p.skipTo("]]") {
				return errors.New("a Lua string has no end")
			}
		case rest == "--":
			if !p.skipTo("\n") {
				return errors.New("a Lua block has no end")
			}
		case c == '"' || c == '\'':
			if _, err := p.word(); err != nil {
				return err
			}
		case c == '{':
			depth++
			p.at++
		case c == '}' && depth == 0:
			return nil
		case c == '}':
			depth--
			p.at++
		default:
			p.at++
		}
	}
	return errors.New("a Lua block has no end")
}

// skipTo moves behind the next mark.
func (p *parser) skipTo(mark string) bool {
	i := strings.Index(string(p.text[p.at:]), mark)
	if i < 0 {
		return false
	}
	p.at += i + len(mark)
	return true
}
