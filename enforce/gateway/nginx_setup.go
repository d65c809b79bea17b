package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// PrepareNginx makes the directory and the generated files of an empty state,
// so that nginx starts with the include lines before the first push. Files that
// are there stay.
func PrepareNginx(cfg NginxConfig) error {
	g, err := NewNginx(cfg)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(g.cfg.Dir, 0o755); err != nil {
		return g.explainWrite(err)
	}
	for _, f := range g.files(new(nginxState)) {
		if _, err := os.Stat(g.path(f.name)); err == nil {
			continue
		}
		if err := writeAtomic(g.path(f.name), f.body); err != nil {
			return g.explainWrite(err)
		}
	}
	return nil
}

// SetupNginx tells on w which two lines let Portcullis into nginx, or puts
// them in if install. It makes the files that they include first. An install
// keeps the replaced files in DIR/backup, has nginx test the result, puts
// everything back when refused, and reloads an nginx that runs.
func SetupNginx(ctx context.Context, w io.Writer, cfg NginxConfig, install bool) error {
	g, err := NewNginx(cfg)
	if err != nil {
		return err
	}
	if !install {
		return g.printSetup(w)
	}
	if err := PrepareNginx(cfg); err != nil {
		return err
	}
	site, err := readNginxSite(g.cfg.Conf)
	if err != nil {
		return err
	}
	if site.httpFile == "" {
		return fmt.Errorf("gateway nginx: %s has no http {} block: set conf to nginx's main configuration", g.cfg.Conf)
	}
	if len(site.servers) == 0 {
		return fmt.Errorf("gateway nginx: %s has no server {} block within http: nothing to guard", g.cfg.Conf)
	}
	return g.install(ctx, w, site)
}

// printSetup writes the instructions. They name the servers if the
// configuration can be read; a person may also be on another machine.
func (g *Nginx) printSetup(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, `Two lines let Portcullis guard what this nginx serves.

1. In http {} of %s, as its last line:

	include %s;

2. In each server {} to be guarded, as its first line:

	include %s;

Then: nginx -t && nginx -s reload
The files must be there first; portcullis setup nginx --install makes them, puts
both lines in, keeps a backup, and has nginx test the result.
`, g.cfg.Conf, g.path(NginxHTTPFile), g.path(NginxServerFile))
	site, err := readNginxSite(g.cfg.Conf)
	if err != nil {
		fmt.Fprintf(&b, "\nNote: %v\n", err)
	} else {
		g.describe(&b, site)
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// describe says how far the configuration is already.
func (g *Nginx) describe(b *strings.Builder, site *nginxSite) {
	fmt.Fprintln(b, "\nAs it stands:")
	if g.includes(site.httpHas, NginxHTTPFile) {
		fmt.Fprintln(b, "  http: in place")
	} else {
		fmt.Fprintln(b, "  http: missing")
	}
	for _, s := range site.servers {
		state := "missing"
		if g.includes(s.has, NginxServerFile) {
			state = "in place"
		}
		fmt.Fprintf(b, "  server %s: %s\n", s.label(), state)
	}
}

// insertion is text that goes into a file at a byte.
type insertion struct {
	at   int
	text string
}

// install puts the missing lines in.
func (g *Nginx) install(ctx context.Context, w io.Writer, site *nginxSite) error {
	edits := map[string][]insertion{}
	var said []string
	add := func(file string, at int, text, what string) error {
		// sites-enabled holds symbolic links: the file behind one is changed, once.
		real, err := filepath.EvalSymlinks(file)
		if err != nil {
			return fmt.Errorf("gateway nginx: %w", err)
		}
		in := insertion{at, text}
		if !slices.Contains(edits[real], in) {
			edits[real] = append(edits[real], in)
			said = append(said, what+" in "+real)
		}
		return nil
	}
	if !g.includes(site.httpHas, NginxHTTPFile) {
		if err := add(site.httpFile, site.httpClose, "\n\tinclude "+g.path(NginxHTTPFile)+";\n", "http"); err != nil {
			return err
		}
	}
	for _, s := range g.unguarded(site) {
		if err := add(s.file, s.open, "\n\tinclude "+g.path(NginxServerFile)+";", "server "+s.label()); err != nil {
			return err
		}
	}
	if len(edits) == 0 {
		_, err := fmt.Fprintln(w, "Both lines are in place already; nothing was changed.")
		return err
	}
	if err := g.edit(ctx, w, edits); err != nil {
		return err
	}
	for _, s := range said {
		fmt.Fprintln(w, "added the include to", s)
	}
	return g.reloadAfterSetup(ctx, w)
}

// edit backs the files up, changes them, and undoes it all if nginx refuses.
func (g *Nginx) edit(ctx context.Context, w io.Writer, edits map[string][]insertion) error {
	change := new(fileChange)
	fail := func(err error) error {
		change.rollback()
		return fmt.Errorf("%w (nothing was changed)", err)
	}
	for file, list := range edits {
		old, err := os.ReadFile(file)
		if err != nil {
			return fail(fmt.Errorf("gateway nginx: %w", err))
		}
		kept, err := g.backup(file, old)
		if err != nil {
			return fail(err)
		}
		if err := change.replace(file, insert(old, list)); err != nil {
			return fail(fmt.Errorf("gateway nginx: change %s: %w", file, err))
		}
		fmt.Fprintf(w, "kept %s as %s\n", file, kept)
	}
	if err := g.test(ctx); err != nil {
		change.rollback()
		return fmt.Errorf("%w (all files are as they were)", g.blame(ctx, err))
	}
	if err := g.checkSite(); err != nil {
		return fail(err)
	}
	change.keep()
	return nil
}

// insert puts the pieces in, the last one first so that offsets hold.
func insert(text []byte, list []insertion) []byte {
	slices.SortFunc(list, func(a, b insertion) int { return b.at - a.at })
	out := slices.Clone(text)
	for _, in := range list {
		out = slices.Insert(out, in.at, []byte(in.text)...)
	}
	return out
}

// backup keeps a file's content under DIR/backup, never beside the file: nginx
// includes whole directories, and would read the copy as well.
func (g *Nginx) backup(file string, content []byte) (string, error) {
	dir := g.path("backup")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", g.explainWrite(err)
	}
	base := strings.ReplaceAll(strings.TrimPrefix(file, "/"), "/", "_")
	for n := 1; ; n++ {
		path := filepath.Join(dir, fmt.Sprintf("%s.%d", base, n))
		if old, err := os.ReadFile(path); err == nil {
			if bytes.Equal(old, content) {
				return path, nil
			}
			continue
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", g.explainWrite(err)
		}
		if err := writeAtomic(path, content); err != nil {
			return "", g.explainWrite(err)
		}
		return path, nil
	}
}

// reloadAfterSetup makes the lines count.
func (g *Nginx) reloadAfterSetup(ctx context.Context, w io.Writer) error {
	err := g.reload(ctx)
	switch {
	case errors.Is(err, ErrNotRunning):
		_, err = fmt.Fprintln(w, "nginx does not run; it will read the lines when it starts.")
	case err == nil:
		_, err = fmt.Fprintln(w, "nginx tested and took the new configuration.")
	}
	return err
}
