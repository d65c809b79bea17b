package audit

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// Reader reads the configuration of one gateway.
type Reader struct {
	Name string // as --gateway takes it
	Doc  string // what it reads
	// Knows says how sure it is, 0 to 100, that a file is its own.
	Knows func(f *doc.File) int
	// Read reads files, and what they include, into c.
	Read func(c *Config, files []*doc.File, o Options) error
}

var (
	readers = map[string]Reader{}
	checks  = map[string]*Check{}
)

// RegisterReader adds a gateway. It is for init functions; a second one of the same
// name is a mistake of the programmer.
func RegisterReader(r Reader) {
	if _, twice := readers[r.Name]; twice || r.Name == "" || r.Read == nil || r.Knows == nil {
		panic("audit: reader " + r.Name + " is registered twice or has no Read")
	}
	readers[r.Name] = r
}

// RegisterCheck adds a check. It is for init functions.
func RegisterCheck(c Check) {
	if _, twice := checks[c.ID]; twice || c.ID == "" || len(c.Refs) == 0 {
		panic("audit: check " + c.ID + " is registered twice, or rests on nothing")
	}
	checks[c.ID] = &c
}

// Readers lists the gateways that can be read, by name.
func Readers() []Reader {
	var out []Reader
	for _, r := range readers {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Reader) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Checks lists the checks by practice and name.
func Checks() []*Check {
	var out []*Check
	for _, c := range checks {
		out = append(out, c)
	}
	order := Practices()
	slices.SortFunc(out, func(a, b *Check) int {
		return cmp.Or(slices.Index(order, a.Practice)-slices.Index(order, b.Practice), strings.Compare(a.ID, b.ID))
	})
	return out
}

// Read reads the configuration in files with the Reader of that name; "auto" or ""
// takes the one that knows the first file best.
func Read(gateway string, paths []string, o Options) (*Config, error) {
	var files []*doc.File
	for _, p := range paths {
		f, err := doc.ReadFile(p, filepath.ToSlash(p))
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		files = append(files, f)
	}
	return ReadFiles(gateway, files, o)
}

// ReadFiles is Read for files that are in memory.
func ReadFiles(gateway string, files []*doc.File, o Options) (*Config, error) {
	if len(files) == 0 {
		return nil, fmt.Errorf("audit: no configuration is named")
	}
	r, ok := readers[gateway]
	if gateway == "" || gateway == "auto" {
		r, ok = guess(files[0])
	}
	if !ok {
		var names []string
		for _, r := range Readers() {
			names = append(names, r.Name)
		}
		return nil, fmt.Errorf("audit: %s: it is not clear which gateway this is for: say so with --gateway, one of %s", files[0].Name, strings.Join(names, ", "))
	}
	c := NewConfig(r.Name)
	if err := r.Read(c, files, o); err != nil {
		return nil, fmt.Errorf("audit: %s: %w", r.Name, err)
	}
	c.options = o
	return c, nil
}

// guess finds who knows a file best.
func guess(f *doc.File) (best Reader, ok bool) {
	most := 0
	for _, r := range Readers() {
		if n := r.Knows(f); n > most {
			best, most = r, n
		}
	}
	return best, most > 0
}

// Path is where a path of the configuration is found, within Root.
func (o Options) Path(path string) string {
	if o.Root != "" && filepath.IsAbs(path) {
		return filepath.Join(o.Root, path)
	}
	return path
}

// Missing reports whether a file that the configuration names cannot be read here.
func (o Options) Missing(path string) bool {
	_, err := os.Stat(o.Path(path))
	return err != nil
}
