package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/portcullis/portcullis/enforce/nginxconf"
)

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
func (s *nginxSite) file(path string, visit func(path string, d nginxconf.Directive) error) error {
	if s.files++; s.files > nginxFiles {
		return fmt.Errorf("gateway nginx: %s: more than %d files are included", path, nginxFiles)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("gateway nginx: cannot read the configuration (set conf): %w", err)
	}
	list, err := nginxconf.Parse(text)
	if err != nil {
		return fmt.Errorf("gateway nginx: %s: %w", path, err)
	}
	return s.each(path, list, visit)
}

// each visits a list, following includes.
func (s *nginxSite) each(path string, list []nginxconf.Directive, visit func(string, nginxconf.Directive) error) error {
	for _, d := range list {
		err := visit(path, d)
		if err == nil && d.Name == "include" && len(d.Args) == 1 && !ours(d.Args[0]) {
			err = s.include(d.Args[0], visit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// include follows one include, which may be a pattern.
func (s *nginxSite) include(pattern string, visit func(string, nginxconf.Directive) error) error {
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
func (s *nginxSite) main(path string, d nginxconf.Directive) error {
	switch {
	case d.Name == "pid" && len(d.Args) == 1:
		s.pid = d.Args[0]
		if !filepath.IsAbs(s.pid) {
			s.pid = "" // relative to the prefix that nginx was built with
		}
	case d.Name == "http" && d.Block:
		s.httpFile, s.httpClose = path, d.Close
		return s.each(path, d.Body, s.http)
	}
	return nil
}

// http visits what is in http {}.
func (s *nginxSite) http(path string, d nginxconf.Directive) error {
	switch {
	case d.Name == "include" && len(d.Args) == 1 && ours(d.Args[0]):
		s.httpHas = append(s.httpHas, d.Args[0])
	case d.Name == "server" && d.Block:
		server := nginxServer{file: path, open: d.Open}
		err := s.each(path, d.Body, func(_ string, d nginxconf.Directive) error {
			if d.Name == "server_name" || d.Name == "listen" && len(server.names) == 0 {
				server.names = append(server.names, d.Args...)
			}
			if d.Name == "include" && len(d.Args) == 1 && ours(d.Args[0]) {
				server.has = append(server.has, d.Args[0])
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
