package openapi

import (
	"cmp"
	"slices"
	"strings"
)

// Bounds of a path. What is longer is in no document.
const (
	maxSegments = 32
	maxEscaped  = 1024 // bytes of a path with escapes
)

// tree finds the path of some documents that a request's path belongs to.
type tree struct {
	exact  node
	folded node       // the same in small letters, for servers that do not care
	covers [][]string // what the documents speak for, by segments
}

// node is what may follow after some segments.
type node struct {
	words map[string]*node
	mixed []*mixed // the best first
	any   *node
	end   *path
}

// mixed is a segment that a template fixes in part, such as {name}.json: the texts around
// its parameters, each of which stands for a byte or more.
type mixed struct {
	texts []string
	next  *node
}

// path is a path of a document.
type path struct {
	template   string
	operations []method
}

// method is an operation of a path.
type method struct {
	name string
	op   *Operation
}

// step returns the node behind a segment of a template, which it makes if need be.
func (n *node) step(seg string) *node {
	texts := textsOf(seg)
	switch {
	case len(texts) == 1:
		if n.words == nil {
			n.words = map[string]*node{}
		}
		if n.words[seg] == nil {
			n.words[seg] = &node{}
		}
		return n.words[seg]
	case len(texts) == 2 && texts[0] == "" && texts[1] == "":
		if n.any == nil {
			n.any = &node{}
		}
		return n.any
	}
	for _, m := range n.mixed {
		if slices.Equal(m.texts, texts) {
			return m.next
		}
	}
	m := &mixed{texts: texts, next: &node{}}
	n.mixed = append(n.mixed, m)
	slices.SortFunc(n.mixed, func(a, b *mixed) int { return compareTexts(a.texts, b.texts) })
	return m.next
}

// compareTexts puts the segment first that fixes more.
func compareTexts(a, b []string) int {
	length := func(list []string) (n int) {
		for _, s := range list {
			n += len(s)
		}
		return n
	}
	return cmp.Or(cmp.Compare(length(b), length(a)), slices.Compare(a, b))
}

// Texts are the texts around the parameters of a segment of a template: one where it has
// none, two empty ones where it is one.
func Texts(seg string) []string { return textsOf(seg) }

// textsOf are the texts around the parameters of a segment: one where it has none, two empty
// ones where it is one.
func textsOf(seg string) (texts []string) {
	for {
		from := strings.IndexByte(seg, '{')
		to := strings.IndexByte(seg, '}')
		if from < 0 || to < from {
			return append(texts, seg)
		}
		texts = append(texts, seg[:from])
		seg = seg[to+1:]
	}
}

// takes reports whether a segment fits: its parameters are taken as short as possible, which
// finds a way if there is one.
func (m *mixed) takes(seg string) bool {
	first, last := m.texts[0], m.texts[len(m.texts)-1]
	if !strings.HasPrefix(seg, first) {
		return false
	}
	seg = seg[len(first):]
	for _, text := range m.texts[1 : len(m.texts)-1] {
		if seg == "" {
			return false
		}
		at := strings.Index(seg[1:], text)
		if at < 0 {
			return false
		}
		seg = seg[1+at+len(text):]
	}
	return len(seg) > len(last) && strings.HasSuffix(seg, last)
}

// find prefers, from the left to the right, a segment that a template names to one that it
// fixes in part, and that to a parameter.
func (n *node) find(segs []string) *path {
	if len(segs) == 0 {
		return n.end
	}
	if next := n.words[segs[0]]; next != nil {
		if p := next.find(segs[1:]); p != nil {
			return p
		}
	}
	for _, m := range n.mixed {
		if m.takes(segs[0]) {
			if p := m.next.find(segs[1:]); p != nil {
				return p
			}
		}
	}
	if n.any != nil {
		return n.any.find(segs[1:])
	}
	return nil
}

// covered reports whether the documents speak for a path.
func (t *tree) covered(segs []string) bool {
	for _, c := range t.covers {
		if len(segs) >= len(c) && slices.Equal(segs[:len(c)], c) {
			return true
		}
	}
	return false
}

// segments reads a path as gateways do before they route: empty segments, "." and ".." are
// resolved, parameters (;x=1) dropped, escapes undone. It returns nil for a path that has too
// many, or none that can be read; the texts borrow the path and buf.
func segments(path string, list []string, buf []byte) ([]string, []byte) {
	list, buf = list[:0], buf[:0]
	if path == "" || path[0] != '/' || strings.IndexByte(path, '%') >= 0 && len(path) > maxEscaped {
		return nil, buf
	}
	params, escaped := strings.IndexByte(path, ';') >= 0, strings.IndexByte(path, '%') >= 0
	for path = path[1:]; path != ""; {
		var seg string
		seg, path, _ = strings.Cut(path, "/")
		if params {
			if k := strings.IndexByte(seg, ';'); k > 0 {
				seg = seg[:k]
			}
		}
		if escaped && strings.IndexByte(seg, '%') >= 0 {
			seg, buf = unescape(seg, buf, false)
		}
		switch seg {
		case "", ".":
			continue
		case "..":
			list = list[:max(len(list)-1, 0)]
			continue
		}
		if len(list) == maxSegments {
			return nil, buf
		}
		list = append(list, seg)
	}
	return list, buf
}
