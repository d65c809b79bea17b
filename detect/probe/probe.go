// Package probe knows the paths and the agents that scanners use: data files
// with their sources, looked up without a regular expression.
package probe

import (
	"bufio"
	"embed"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

//go:embed data
var files embed.FS

// Entry is one thing known from scanners.
type Entry struct {
	Text   string // as in the data file, lower case
	Weight uint32 // what one distinct path of this kind adds to a scan
	What   string // in words
	Ending bool   // only the file's ending is known
}

var (
	exact    = map[string]*Entry{} // whole paths
	segments = map[string]*Entry{} // a path segment anywhere
	suffixes = map[string]*Entry{} // ".sql" and the like, on the last segment
	agents   []*Entry              // a part of the agent
	admin    = map[string]*Entry{} // a path segment, without dashes and underscores
)

func init() {
	mustLoad("data/paths.txt", func(e *Entry) error {
		switch {
		case strings.HasPrefix(e.Text, "/"):
			exact[e.Text] = e
		case strings.HasPrefix(e.Text, "*."):
			e.Ending = true
			suffixes[e.Text[1:]] = e
		default:
			segments[e.Text] = e
		}
		return nil
	})
	mustLoad("data/agents.txt", func(e *Entry) error {
		agents = append(agents, e)
		return nil
	})
	mustLoad("data/functions.txt", func(e *Entry) error {
		admin[e.Text] = e
		return nil
	})
}

// mustLoad reads lines of "text<TAB>weight<TAB>what"; it panics on a line that is
// not, since the files are part of the binary.
func mustLoad(name string, add func(*Entry) error) {
	f, err := files.Open(name)
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, "\t")
		if len(parts) != 3 {
			panic(fmt.Sprintf("probe: %s:%d: want three columns, got %q", name, n, line))
		}
		weight, err := strconv.ParseUint(parts[1], 10, 8)
		if err != nil {
			panic(fmt.Sprintf("probe: %s:%d: weight: %v", name, n, err))
		}
		if err := add(&Entry{Text: strings.ToLower(parts[0]), Weight: uint32(weight), What: parts[2]}); err != nil {
			panic(fmt.Sprintf("probe: %s:%d: %v", name, n, err))
		}
	}
}

// Path returns what is known of a request target or route template, or nil.
func Path(target string) *Entry {
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		target = target[:i]
	}
	if len(target) < 2 || len(target) > 512 {
		return nil
	}
	if strings.IndexByte(target, '%') >= 0 {
		if plain, err := url.PathUnescape(target); err == nil {
			target = plain
		}
	}
	target = strings.ToLower(target)
	if e := exact[strings.TrimSuffix(target, "/")]; e != nil {
		return e
	}
	last := target
	for rest := target[1:]; rest != ""; {
		var seg string
		seg, rest, _ = strings.Cut(rest, "/")
		if e := segments[seg]; e != nil {
			return e
		}
		last = seg
	}
	if i := strings.LastIndexByte(last, '.'); i >= 0 {
		return suffixes[last[i:]]
	}
	return nil
}

// Agent returns the scanner that a user agent names, or nil: dehydrated is no Hydra.
func Agent(agent string) *Entry {
	if agent == "" || agent == "-" {
		return nil
	}
	agent = strings.ToLower(agent)
	for _, e := range agents {
		if i := strings.Index(agent, e.Text); i == 0 || i > 0 && !(letter(agent[i-1]) && letter(e.Text[0])) {
			return e
		}
	}
	return nil
}

func letter(b byte) bool { return b >= 'a' && b <= 'z' }

// Agents returns what is known of agents that weighs at least that much.
func Agents(weight uint32) []*Entry {
	var out []*Entry
	for _, e := range agents {
		if e.Weight >= weight {
			out = append(out, e)
		}
	}
	return out
}

// Function returns the administrative function that a request target or route
// template names, or nil. What is in braces stands for anything and names nothing.
func Function(target string) *Entry {
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		target = target[:i]
	}
	for rest := target[:min(len(target), 512)]; rest != ""; {
		var seg string
		seg, rest, _ = strings.Cut(rest, "/")
		if e := admin[plain(seg)]; e != nil {
			return e
		}
	}
	return nil
}

// plain writes a segment small and without dashes and underscores.
func plain(seg string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '-' || c == '_':
			return -1
		case c >= 'A' && c <= 'Z':
			return c | 0x20
		}
		return c
	}, seg)
}
