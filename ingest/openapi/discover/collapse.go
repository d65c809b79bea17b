package discover

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// node is a place in the paths that were seen.
type node struct {
	next map[string]*node
	ops  map[string]*operation // by method
}

func (n *node) step(seg string) *node {
	if n.next == nil {
		n.next = map[string]*node{}
	}
	if n.next[seg] == nil {
		n.next[seg] = &node{}
	}
	return n.next[seg]
}

// Words in one place that are taken for values of a parameter: so many, of which most were
// used by too few clients to be routes, who are some themselves (twice the number that makes a
// route, or one for four words). Routes of an API are few, and
// most of them are used by many. A scanner that is answered with success invents many words,
// but is one client.
const (
	manyWords = 12
	wordName  = "name"
)

// collapsed are the operations, with the words that are values made a parameter.
func (d *Draft) collapsed(left *Left) map[key]*operation {
	root := &node{}
	for k, op := range d.ops {
		at := root
		for seg := range strings.SplitSeq(strings.TrimPrefix(k.route, "/"), "/") {
			at = at.step(seg)
		}
		if at.ops == nil {
			at.ops = map[string]*operation{}
		}
		at.ops[k.method] = op
	}
	d.collapse(root, 0, left)
	out := map[key]*operation{}
	root.each("", func(route, method string, op *operation) { out[key{route, method}] = op })
	return out
}

// collapse goes through the places from the root. A place has one parameter at most.
func (d *Draft) collapse(n *node, depth int, left *Left) {
	var words []string
	into := ""
	few, who := 0, map[netip.Prefix]bool{}
	for _, seg := range slices.Sorted(maps.Keys(n.next)) {
		switch {
		case !strings.HasPrefix(seg, "{"):
		case into == "":
			into = seg
			continue
		default:
			n.next[into].merge(n.next[seg], depth)
			delete(n.next, seg)
			continue
		}
		words = append(words, seg)
		if most, first := n.next[seg].used(); most < d.opt.Clients {
			few++
			who[first] = true
		}
	}
	if len(words) >= manyWords && 2*few > len(words) && len(who) >= max(d.opt.Clients, min(2*d.opt.Clients, few/4)) {
		left.Collapsed += len(words)
		into = cmp.Or(into, "{"+wordName+"}")
		for _, seg := range words {
			n.step(into).merge(n.next[seg], depth)
			delete(n.next, seg)
		}
	}
	for _, seg := range slices.Sorted(maps.Keys(n.next)) {
		d.collapse(n.next[seg], depth+1, left)
	}
}

// used is how many clients used what most used below a place, and one of those.
func (n *node) used() (most int, first netip.Prefix) {
	for _, op := range n.ops {
		most = max(most, len(op.clients))
		if !first.IsValid() || op.first.Addr().Less(first.Addr()) {
			first = op.first
		}
	}
	for _, next := range n.next {
		m, f := next.used()
		most = max(most, m)
		if !first.IsValid() || f.Addr().Less(first.Addr()) {
			first = f
		}
	}
	return most, first
}

// merge takes in another place, whose segment at depth was a word.
func (n *node) merge(o *node, depth int) {
	for method, op := range o.ops {
		if n.ops == nil {
			n.ops = map[string]*operation{}
		}
		if n.ops[method] == nil {
			n.ops[method] = &operation{statuses: map[uint16]int64{}, names: map[string]*name{}}
		}
		n.ops[method].merge(op, depth)
	}
	for seg, next := range o.next {
		n.step(seg).merge(next, depth)
	}
}

// merge adds up what is known of two operations. What it takes in stays as it is.
func (op *operation) merge(o *operation, depth int) {
	op.success += o.success
	op.other += o.other
	for c := range o.clients {
		op.clients.add(c)
	}
	for status, n := range o.statuses {
		op.statuses[status] += n
	}
	for i, n := range o.auth {
		op.auth[i] += n
	}
	for word, x := range o.names {
		to := op.names[word]
		if to == nil {
			to = &name{}
			op.names[word] = to
		}
		to.seen += x.seen
		to.kinds |= x.kinds
		to.often = to.often || x.often
		for c := range x.clients {
			to.clients.add(c)
		}
	}
	if len(op.segments) < len(o.segments) {
		op.segments = append(op.segments, make([]kind, len(o.segments)-len(op.segments))...)
	}
	for i, k := range o.segments {
		op.segments[i] |= k
	}
	if depth < len(op.segments) {
		op.segments[depth] |= isText
	}
}

// each calls do for all operations.
func (n *node) each(route string, do func(route, method string, op *operation)) {
	for method, op := range n.ops {
		do(route, method, op)
	}
	for seg, next := range n.next {
		next.each(route+"/"+seg, do)
	}
}
