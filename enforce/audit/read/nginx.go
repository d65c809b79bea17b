package read

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
	"github.com/portcullis/portcullis/enforce/nginxconf"
)

func init() {
	audit.RegisterReader(audit.Reader{Name: "nginx", Doc: "nginx.conf, or one site of it, with all that it includes", Knows: knowsNginx, Read: readNginx})
}

var nginxWords = regexp.MustCompile(`(?m)^\s*(http|server|upstream|events|location\s+\S+(\s+\S+)?)\s*\{`)

func knowsNginx(f *doc.File) int {
	if n := len(nginxWords.FindAll(f.Text, 4)); n > 0 {
		if strings.Contains(f.Name, "nginx") || strings.HasSuffix(f.Name, ".conf") || strings.HasSuffix(f.Name, ".template") {
			return 70 + n
		}
		return 35 + n
	}
	return 0
}

// block is a directive with its place and its surroundings.
type block struct {
	nginxconf.Directive
	file *doc.File
	up   *block
	body []*block
}

func (b *block) place() doc.Place { return b.file.At(b.Start, b.headEnd()) }

// headEnd is behind the ';', or of a block before the '{'.
func (b *block) headEnd() int {
	if b.Block {
		return max(b.Open-1, b.Start)
	}
	return b.End
}

// arg returns an argument, "" where there are fewer.
func (b *block) arg(i int) string {
	if b == nil || i >= len(b.Args) {
		return ""
	}
	return b.Args[i]
}

// own are the directives of a name that stand directly in a block.
func (b *block) own(names ...string) []*block {
	var out []*block
	for _, d := range b.body {
		if slices.Contains(names, d.Name) {
			out = append(out, d)
		}
	}
	return out
}

// set are the directives of a name that hold in a block: its own, or where there
// are none, those of the block around it. So nginx inherits nearly all directives;
// for lists such as add_header and limit_req it means that one of its own hides
// all of the outer ones.
func (b *block) set(name string) []*block {
	for ; b != nil; b = b.up {
		if list := b.own(name); len(list) > 0 {
			return list
		}
	}
	return nil
}

// one is the last of set, nil where there is none.
func (b *block) one(name string) *block {
	if list := b.set(name); len(list) > 0 {
		return list[len(list)-1]
	}
	return nil
}

// word is the first argument of a directive that holds in a block.
func (b *block) word(name string) string { return b.one(name).arg(0) }

// within is the nearest block of a name around, or the block itself.
func (b *block) within(name string) *block {
	for b != nil && b.Name != name {
		b = b.up
	}
	return b
}

// open makes an edit that puts lines in at the beginning of a block.
func (b *block) open(lines ...string) []doc.Edit {
	if b == nil || !b.Block {
		return nil
	}
	indent := "\n" + b.file.At(b.Start, b.Start).Indent() + "    "
	return []doc.Edit{b.file.Insert(b.Open, indent+strings.Join(lines, indent))}
}

// swap makes an edit that writes a simple directive anew.
func (b *block) swap(text string) []doc.Edit {
	if b == nil || b.Block {
		return nil
	}
	return []doc.Edit{b.file.At(b.Start, b.End).Swap(text)}
}

// nginxReader reads one configuration.
type nginxReader struct {
	c     *audit.Config
	o     audit.Options
	dir   string
	read  int
	main  *block
	maps  map[string][]*block // by variable, "$x"
	zones map[string]*block
	forms map[string]*block

	servers []*block
	doors   map[*block][]*audit.Door
	heads   map[string]*block // by address to listen on: whose TLS settings hold
}

// nginxFiles bounds how many files are read: a loop of includes ends.
const nginxFiles = 2000

func readNginx(c *audit.Config, files []*doc.File, o audit.Options) error {
	n := &nginxReader{c: c, o: o, dir: filepath.Dir(files[0].Name), maps: map[string][]*block{}, zones: map[string]*block{},
		forms: map[string]*block{}, doors: map[*block][]*audit.Door{}, heads: map[string]*block{}}
	n.main = &block{file: files[0]}
	for _, f := range files {
		if err := n.file(n.main, f); err != nil {
			return err
		}
	}
	for _, http := range append(n.main.own("http"), n.main) {
		n.http(http)
	}
	if len(n.servers) == 0 {
		return errors.New("there is no server block in it, nor in what it includes: name the file that nginx is started with")
	}
	for _, s := range n.servers {
		n.listens(s)
	}
	for _, s := range n.servers {
		n.server(s)
	}
	return nil
}

// file reads a file's directives into a block.
func (n *nginxReader) file(into *block, f *doc.File) error {
	if n.read++; n.read > nginxFiles {
		return fmt.Errorf("%s: more than %d files are included", f.Name, nginxFiles)
	}
	list, err := nginxconf.Parse(f.Text)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	return n.add(into, f, list)
}

// add puts directives into a block, includes replaced by what they include.
func (n *nginxReader) add(into *block, f *doc.File, list []nginxconf.Directive) error {
	for _, d := range list {
		if d.Name == "include" && len(d.Args) == 1 {
			if err := n.include(into, f, d.Args[0]); err != nil {
				return err
			}
			continue
		}
		b := &block{Directive: d, file: f, up: into}
		into.body = append(into.body, b)
		if err := n.add(b, f, d.Body); err != nil {
			return err
		}
	}
	return nil
}

func (n *nginxReader) include(into *block, from *doc.File, pattern string) error {
	path := n.o.Path(pattern)
	if !filepath.IsAbs(pattern) {
		path = filepath.Join(n.dir, pattern)
	}
	paths, err := filepath.Glob(path)
	if err != nil {
		return fmt.Errorf("%s: include %s: %w", from.Name, capped(pattern), err)
	}
	// mime.types and the like say nothing that is judged.
	if len(paths) == 0 && !strings.ContainsAny(pattern, "*?[") && !strings.HasSuffix(pattern, "mime.types") && !strings.HasSuffix(pattern, "_params") {
		n.c.Blinded("%s includes %s, which is not here", from.Name, capped(pattern))
	}
	for _, p := range paths {
		f, err := doc.ReadFile(p, filepath.ToSlash(p))
		if err != nil {
			if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
				n.c.Blinded("%s cannot be read", p)
				continue
			}
			return err
		}
		if err := n.file(into, f); err != nil {
			return err
		}
	}
	return nil
}

// http collects what http {} defines. A site's file has no http around it.
func (n *nginxReader) http(b *block) {
	for _, d := range b.body {
		switch d.Name {
		case "server":
			if d.Block {
				n.servers = append(n.servers, d)
			}
		case "map", "split_clients":
			n.maps[d.arg(1)] = append(n.maps[d.arg(1)], d)
		case "geo":
			n.maps[d.arg(len(d.Args)-1)] = append(n.maps[d.arg(len(d.Args)-1)], d)
		case "limit_req_zone":
			for _, a := range d.Args {
				if name, ok := strings.CutPrefix(a, "zone="); ok {
					name, _, _ = strings.Cut(name, ":")
					n.zones[name] = d
				}
			}
		case "log_format":
			n.forms[d.arg(0)] = d
		}
	}
	n.wide(b)
}

// wide says what holds for the whole of http.
func (n *nginxReader) wide(b *block) {
	n.lax(b)
	for _, d := range b.own("error_log") {
		if d.arg(1) == "debug" {
			n.c.Say("debug-on", "error_log", bad(d.place(), d.swap("error_log "+d.arg(0)+" warn;"), "the error log has level debug"))
		}
	}
}

// lax judges how http or a server takes headers.
func (n *nginxReader) lax(b *block) {
	for _, d := range b.own("set_real_ip_from") {
		if d.arg(0) == "0.0.0.0/0" || d.arg(0) == "::/0" {
			n.c.Say("client-forgeable", "set_real_ip_from", bad(d.place(), nil, "every address is trusted to name the client"))
		} else {
			n.c.Say("client-forgeable", "set_real_ip_from", good(d.place(), "%s is trusted", capped(d.arg(0))))
		}
	}
	for name, lax := range map[string]string{"ignore_invalid_headers": "off", "underscores_in_headers": "on"} {
		for _, d := range b.own(name) {
			n.c.Say("headers-lax", name, either(d.arg(0) != lax, d.place(), d.swap(name+" "+map[string]string{"off": "on", "on": "off"}[lax]+";"),
				"headers with invalid names are dropped", name+" "+lax+" passes on headers that a service may take for others"))
		}
	}
	for _, d := range b.own("merge_slashes") {
		n.c.Say("path-ambiguous", "merge_slashes", either(d.arg(0) != "off", d.place(), d.swap("merge_slashes on;"), "slashes are merged", "//path is matched by other locations than /path"))
	}
	for _, d := range b.own("large_client_header_buffers") {
		count, size := sizeOf(d.arg(0)), sizeOf(d.arg(1))
		if !templated(d.arg(1)) && count > 0 && size > 0 {
			n.c.Say("headers-large", d.Name, either(count*size <= 128<<10, d.place(), d.swap("large_client_header_buffers 4 8k;"), "headers are bounded", fmt.Sprintf("headers may have %d bytes", count*size)))
		}
	}
}
