package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// directive is one directive of an nginx configuration file, with where it
// stands, so that a line can be put in without touching anything else.
type directive struct {
	name  string
	args  []string
	body  []directive // of a block
	block bool
	start int // first byte of the name
	open  int // behind the '{' of a block
	close int // at the '}' of a block
}

// nginxParser reads the syntax and nothing of the meaning: words, quotes,
// comments, blocks, and the Lua blocks, in which braces count differently.
type nginxParser struct {
	text  []byte
	at    int
	depth int
}

// nginxDepth bounds nested blocks; nginx itself would need a reason for more.
const nginxDepth = 64

// parseNginx parses a whole file.
func parseNginx(text []byte) ([]directive, error) {
	p := &nginxParser{text: text}
	list, err := p.list()
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", 1+strings.Count(string(text[:min(p.at, len(text))]), "\n"), err)
	}
	return list, nil
}

// list parses directives up to the end of the file or of the block.
func (p *nginxParser) list() ([]directive, error) {
	var out []directive
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
func (p *nginxParser) directive() (directive, error) {
	d := directive{start: p.at}
	for {
		p.blank()
		if p.at >= len(p.text) {
			return d, fmt.Errorf("directive %.40q has no end", d.name)
		}
		switch p.text[p.at] {
		case ';':
			p.at++
			return d, nil
		case '{':
			p.at++
			return p.block(d)
		case '}':
			return d, fmt.Errorf("directive %.40q has no end", d.name)
		}
		word, err := p.word()
		if err != nil {
			return d, err
		}
		if d.name == "" {
			d.name = word
		} else {
			d.args = append(d.args, word)
		}
	}
}

// block parses what is between the braces.
func (p *nginxParser) block(d directive) (directive, error) {
	d.block, d.open = true, p.at
	if strings.HasSuffix(d.name, "_by_lua_block") {
		if err := p.lua(); err != nil {
			return d, err
		}
	} else {
		if p.depth++; p.depth > nginxDepth {
			return d, errors.New("blocks are nested too deep")
		}
		body, err := p.list()
		if err != nil {
			return d, err
		}
		p.depth--
		d.body = body
	}
	d.close = p.at
	p.at++
	return d, nil
}

// blank skips white space and comments.
func (p *nginxParser) blank() {
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
func (p *nginxParser) word() (string, error) {
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
			b.WriteByte(p.text[p.at])
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

// lua skips Lua code up to the brace that ends it; quotes, comments and long
// brackets may hold others.
func (p *nginxParser) lua() error {
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
func (p *nginxParser) skipTo(mark string) bool {
	i := strings.Index(string(p.text[p.at:]), mark)
	if i < 0 {
		return false
	}
	p.at += i + len(mark)
	return true
}

// nginxServer is a server block of the site, within http.
type nginxServer struct {
	file  string // as nginx opens it
	open  int    // behind its '{'
	names []string
	has   []string // base names of our files that it includes
}

// nginxSite is what a configuration says that concerns us.
type nginxSite struct {
	dir       string // what relative includes start from
	pid       string
	httpFile  string // where http {} is written, "" = nowhere
	httpClose int    // at its '}'
	httpHas   []string
	servers   []nginxServer
	files     int
}

// nginxFiles bounds how many files are read: a loop of includes ends.
const nginxFiles = 2000

// readNginxSite reads a configuration with all that it includes. The error
// names the file and line.
func readNginxSite(conf string) (*nginxSite, error) {
	s := &nginxSite{dir: filepath.Dir(conf)}
	return s, s.file(conf, s.main)
}

// file hands every directive of a file, and of the files that it includes at
// its top level, to visit.
func (s *nginxSite) file(path string, visit func(path string, d directive) error) error {
	if s.files++; s.files > nginxFiles {
		return fmt.Errorf("gateway nginx: %s: more than %d files are included", path, nginxFiles)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("gateway nginx: cannot read the configuration (set conf): %w", err)
	}
	list, err := parseNginx(text)
	if err != nil {
		return fmt.Errorf("gateway nginx: %s: %w", path, err)
	}
	return s.each(path, list, visit)
}

// each visits a list, following includes.
func (s *nginxSite) each(path string, list []directive, visit func(string, directive) error) error {
	for _, d := range list {
		err := visit(path, d)
		if err == nil && d.name == "include" && len(d.args) == 1 && !ours(d.args[0]) {
			err = s.include(d.args[0], visit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// include follows one include, which may be a pattern.
func (s *nginxSite) include(pattern string, visit func(string, directive) error) error {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(s.dir, pattern)
	}
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("gateway nginx: include %.80q: %w", pattern, err)
	}
	for _, path := range paths {
		// What is gone or unreadable is for nginx -t to complain about.
		if err := s.file(path, visit); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

// main visits the top level.
func (s *nginxSite) main(path string, d directive) error {
	switch {
	case d.name == "pid" && len(d.args) == 1:
		s.pid = d.args[0]
		if !filepath.IsAbs(s.pid) {
			s.pid = "" // relative to the prefix that nginx was built with
		}
	case d.name == "http" && d.block:
		s.httpFile, s.httpClose = path, d.close
		return s.each(path, d.body, s.http)
	}
	return nil
}

// http visits what is in http {}.
func (s *nginxSite) http(path string, d directive) error {
	switch {
	case d.name == "include" && len(d.args) == 1 && ours(d.args[0]):
		s.httpHas = append(s.httpHas, d.args[0])
	case d.name == "server" && d.block:
		server := nginxServer{file: path, open: d.open}
		err := s.each(path, d.body, func(_ string, d directive) error {
			if d.name == "server_name" || d.name == "listen" && len(server.names) == 0 {
				server.names = append(server.names, d.args...)
			}
			if d.name == "include" && len(d.args) == 1 && ours(d.args[0]) {
				server.has = append(server.has, d.args[0])
			}
			return nil
		})
		s.servers = append(s.servers, server)
		return err
	}
	return nil
}

// ours tells whether an include names one of the generated files.
func ours(arg string) bool {
	base := filepath.Base(arg)
	return base == NginxHTTPFile || base == NginxServerFile || base == NginxHeadersFile
}
