package enrich

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

// Bounds of a configured template.
const (
	maxOwnSegments = 32
	maxOwnBytes    = 200
)

// pattern is a path or template that the operator gave.
type pattern struct {
	text  string
	kind  ingest.RouteKind
	fixed bool // the kind is given, too
}

// patterns finds the operator's template of a path. A nil *patterns has none.
type patterns struct {
	root step
	all  []*pattern
}

// step is what may follow after some segments.
type step struct {
	words map[string]*step // by the segment, in small letters
	any   *step            // one segment, whatever it holds
	end   *pattern
}

// newPatterns returns nil when nothing is configured.
func newPatterns(cfg RoutesConfig) *patterns {
	ps := &patterns{}
	for _, text := range cfg.Templates {
		ps.add(text)
	}
	cfg.lists(func(_ string, kind ingest.RouteKind, paths []string) {
		for _, text := range paths {
			if p := ps.add(text); p != nil {
				p.kind, p.fixed = kind, true
			}
		}
	})
	if len(ps.all) == 0 {
		return nil
	}
	return ps
}

// badPattern says why a path or template can never match, or "".
func badPattern(text string) string {
	if !strings.HasPrefix(text, "/") {
		return "a path begins with a /"
	}
	if len(text) > maxOwnBytes {
		return fmt.Sprintf("%.80q... is longer than %d bytes", text, maxOwnBytes)
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' || strings.IndexByte(`?#;%\\`, text[i]) >= 0 {
			return fmt.Sprintf("%.80q holds %q: write the path without query and parameters, unescaped", text, text[i])
		}
	}
	n := 0
	for seg := range strings.SplitSeq(text, "/") {
		if n++; n > maxOwnSegments+1 {
			return fmt.Sprintf("%.80q has more than %d segments", text, maxOwnSegments)
		}
		if strings.ContainsAny(seg, "{}") && !isParam(seg) {
			return fmt.Sprintf("%.80q: a name in braces stands for a whole segment, as in /shops/{shop}", seg)
		}
	}
	return ""
}

func isParam(seg string) bool {
	return len(seg) > 2 && seg[0] == '{' && seg[len(seg)-1] == '}' && !strings.ContainsAny(seg[1:len(seg)-1], "{}")
}

// add returns the pattern of a text, nil when it can never match.
func (ps *patterns) add(text string) *pattern {
	if badPattern(text) != "" {
		return nil
	}
	at := &ps.root
	for seg := range strings.SplitSeq(text, "/") {
		if seg == "" {
			continue
		}
		next := &at.any
		if !isParam(seg) {
			if at.words == nil {
				at.words = map[string]*step{}
			}
			low := strings.ToLower(seg)
			if at.words[low] == nil {
				at.words[low] = &step{}
			}
			at = at.words[low]
			continue
		}
		if *next == nil {
			*next = &step{}
		}
		at = *next
	}
	if at.end == nil {
		at.end = &pattern{text: text}
		ps.all = append(ps.all, at.end)
	}
	return at.end
}

func (ps *patterns) texts() (out []string) {
	if ps != nil {
		for _, p := range ps.all {
			out = append(out, p.text)
		}
	}
	return out
}

// find returns the pattern of a path, or nil. A path that only a generous reading brings
// to a pattern is taken for it if credentials are taken there.
func (ps *patterns) find(path string) *pattern {
	if ps == nil || path == "" || path[0] != '/' {
		return nil
	}
	if p := ps.match(path); p != nil {
		return p
	}
	if len(path) > maxUnmask || strings.IndexByte(path, '%') < 0 && strings.IndexByte(path, '\\') < 0 {
		return nil
	}
	if p := ps.match(string(generous(nil, path))); p != nil && p.kind.TakesCredentials() {
		return p
	}
	return nil
}

// match reads a path as gateways do, see appendTemplate.
func (ps *patterns) match(path string) *pattern {
	var segs [maxOwnSegments]string
	n := 0
	for path = path[1:]; path != ""; {
		var seg string
		seg, path, _ = strings.Cut(path, "/")
		seg, _, _ = strings.Cut(seg, ";")
		if strings.IndexByte(seg, '%') >= 0 && len(seg) <= maxOwnBytes {
			seg = string(unescapeAll(nil, seg))
		}
		switch seg {
		case "", ".":
			continue
		case "..":
			n = max(n-1, 0)
			continue
		}
		if n < len(segs) {
			segs[n] = seg
		}
		n++
	}
	if n > len(segs) {
		return nil
	}
	return ps.root.match(segs[:n])
}

// match prefers words to names in braces. Each step of the tree is entered at most once,
// so that a path costs no more than the number of templates.
func (s *step) match(segs []string) *pattern {
	if len(segs) == 0 {
		return s.end
	}
	if next := s.words[lowered(segs[0])]; next != nil {
		if p := next.match(segs[1:]); p != nil {
			return p
		}
	}
	if s.any != nil {
		return s.any.match(segs[1:])
	}
	return nil
}

// lowered writes ASCII letters small; mostly they are.
func lowered(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			return strings.ToLower(s)
		}
	}
	return s
}
