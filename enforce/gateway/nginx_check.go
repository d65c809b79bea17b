package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Check implements enforce.Gateway: the program is there, the directory can be
// written, and nginx itself reads both include files. It reports everything
// that is wrong at once, each with what to do.
func (g *Nginx) Check(ctx context.Context) error {
	if _, err := exec.LookPath(g.cfg.Binary); err != nil {
		return fmt.Errorf("gateway nginx: no program %q: install it (apt-get install nginx-light), or set binary to where it is: %w", g.cfg.Binary, err)
	}
	return errors.Join(g.checkDir(), g.checkIncludes(ctx))
}

// checkDir tries what a push will do.
func (g *Nginx) checkDir() error {
	info, err := os.Stat(g.cfg.Dir)
	if err != nil {
		return g.explainWrite(err)
	}
	if !info.IsDir() {
		return fmt.Errorf("gateway nginx: dir %s is a file: set dir to a directory", g.cfg.Dir)
	}
	probe, err := os.CreateTemp(g.cfg.Dir, ".portcullis-*.tmp")
	if err != nil {
		return g.explainWrite(err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// checkIncludes asks nginx for the configuration as it reads it (nginx -T),
// which fails where nginx -t would.
func (g *Nginx) checkIncludes(ctx context.Context) error {
	command := []string{g.cfg.Binary, "-T", "-q", "-c", g.cfg.Conf}
	if len(g.cfg.TestCommand) > 0 {
		// A test with rights of its own; what is included is read from the files then.
		if err := g.test(ctx); err != nil {
			return err
		}
		return g.checkSite()
	}
	dump, err := g.run(ctx, command)
	if err != nil {
		return g.blame(ctx, err)
	}
	var missing []error
	for _, f := range []struct{ file, where string }{
		{NginxHTTPFile, "http {}, as its last line"},
		{NginxServerFile, "each server {} to be guarded, as its first line"},
	} {
		mark := "# configuration file " + g.path(f.file) + ":\n"
		if !bytes.Contains(dump, []byte(mark)) {
			missing = append(missing, g.missingInclude(f.file, f.where))
		}
	}
	return errors.Join(missing...)
}

// checkSite looks for the include lines by our own reading of the files.
func (g *Nginx) checkSite() error {
	site, err := readNginxSite(g.cfg.Conf)
	if err != nil {
		return err
	}
	var missing []error
	if !g.includes(site.httpHas, NginxHTTPFile) {
		missing = append(missing, g.missingInclude(NginxHTTPFile, "http {}, as its last line"))
	}
	guarded := 0
	for _, s := range site.servers {
		if g.includes(s.has, NginxServerFile) {
			guarded++
		}
	}
	if guarded == 0 {
		missing = append(missing, g.missingInclude(NginxServerFile, "each server {} to be guarded, as its first line"))
	}
	return errors.Join(missing...)
}

// missingInclude says which line is to be added where.
func (g *Nginx) missingInclude(file, where string) error {
	return fmt.Errorf("gateway nginx: %s does not read %s: run portcullis setup nginx --install, or put this line into %s: include %s;",
		g.cfg.Conf, file, where, g.path(file))
}

// includes tells whether a list of include arguments names our file, in our
// directory: another installation's file is not ours.
func (g *Nginx) includes(args []string, file string) bool {
	for _, arg := range args {
		if !filepath.IsAbs(arg) {
			arg = filepath.Join(filepath.Dir(g.cfg.Conf), arg)
		}
		if filepath.Clean(arg) == g.path(file) {
			return true
		}
	}
	return false
}

// unguarded lists the servers that lack the include, for people.
func (g *Nginx) unguarded(site *nginxSite) []nginxServer {
	var out []nginxServer
	for _, s := range site.servers {
		if !g.includes(s.has, NginxServerFile) {
			out = append(out, s)
		}
	}
	return out
}

// label names a server for people: what it is called, and where it is written.
func (s nginxServer) label() string {
	names := strings.Join(s.names, " ")
	if names == "" {
		names = "unnamed"
	}
	if len(names) > 80 {
		names = names[:80]
	}
	return fmt.Sprintf("%q in %s", names, s.file)
}
