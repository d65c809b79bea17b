// Package exchange hands the active list to others, and takes in theirs: it keeps the
// book of what is in force with every change of it, serves it as text, JSON, STIX 2.1
// and TAXII 2.1, and pulls third-party lists.
//
// The book is an enforce.Gateway: whoever reads it (bouncers by way of enforce/lapi,
// other programs) is one more place that decisions are pushed to.
package exchange

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// Item is one entry of the book.
type Item struct {
	Key     string         // names it for ever: a decision's id, or list and prefix
	Prefix  netip.Prefix   // masked
	Action  enforce.Action // of a list of others: Block
	List    string         // name of the list of others; "" = a decision of ours
	Rule    string         // what the decision is for
	Since   int64          // Unix nanoseconds, like all times here
	Expires int64
	Ended   int64 // when it went, for one that is gone

	seq uint64 // of its last change
}

// Number is a stable number of the item, from 1 to 2^48.
func (i *Item) Number() int64 {
	sum := sha256.Sum256([]byte(i.Key))
	return int64(binary.BigEndian.Uint64(sum[:8])>>16) + 1
}

// UUID is a stable identifier of the item (RFC 9562, version 8).
func (i *Item) UUID() string { return uuidOf("item", i.Key) }

func uuidOf(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// spot is what readers tell entries by: most of them know one of each.
type spot struct {
	prefix netip.Prefix
	action enforce.Action
}

func (i *Item) spot() spot { return spot{i.Prefix, i.Action} }

// Config is what the book needs to know.
type Config struct {
	Throttles bool // throttles are listed too; else the book holds none
	// Decisions reads decisions by id; those that are not there are left out.
	Decisions func(ctx context.Context, ids []string) ([]enforce.Decision, error)
	// Released reads the decisions that were released before their time was over, for
	// readers that still hold them from before a restart. It is asked once.
	Released func(ctx context.Context) ([]enforce.Decision, error)
	Now      func() time.Time // nil: time.Now
}

// What is remembered of entries that are gone: for that long, and that many, the oldest
// are forgotten first. A reader that was away for longer begins anew.
const (
	goneFor  = 2 * time.Hour
	goneMost = 1 << 17
	// refresh is how often the expiries of decisions are read anew: they may be extended.
	refresh = 30 * time.Second
)

// Book is the list that others read. All methods may be called from any goroutine.
type Book struct {
	cfg Config
	now func() time.Time

	mu      sync.RWMutex
	seq     uint64           // of the newest change
	forgot  uint64           // changes up to this one may be missing from gone
	items   map[string]*Item // by Key; never changed, only replaced
	at      map[spot]int     // items on a spot
	gone    []*Item          // in the order they went
	read    time.Time        // when expiries were read
	looked  bool             // Released was asked
	ready   bool
	foreign map[string]*Item
}

// NewBook makes an empty book.
func NewBook(cfg Config) *Book {
	b := &Book{cfg: cfg, now: cfg.Now, items: map[string]*Item{}, at: map[spot]int{}}
	if b.now == nil {
		b.now = time.Now
	}
	return b
}

// Name implements enforce.Gateway.
func (b *Book) Name() string { return "lapi" }

// Holds implements enforce.Holder.
func (b *Book) Holds(t enforce.Target, a enforce.Action) error {
	switch {
	case !t.Prefix.IsValid():
		return fmt.Errorf("gateway lapi: bouncers are told addresses, and no subject of kind %.32q", t.Subject.Kind)
	case t.Route != "":
		return errors.New("gateway lapi: bouncers cannot tell routes apart")
	case a == enforce.Throttle && !b.cfg.Throttles:
		return errors.New("gateway lapi: bouncers are not told of throttles: set lapi.throttle_as")
	case a != enforce.Block && a != enforce.Challenge && a != enforce.Throttle:
		return fmt.Errorf("gateway lapi: bouncers cannot %.32q", string(a))
	}
	return nil
}

// Check implements enforce.Gateway.
func (b *Book) Check(context.Context) error { return nil }

// Apply implements enforce.Gateway. Readers come for the change at their own pace.
func (b *Book) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	start := time.Now()
	now := b.now()
	b.mu.RLock()
	due := now.Sub(b.read) >= refresh
	var ids []string
	for i := range want {
		if _, known := b.items[want[i].Decision]; due || !known {
			ids = append(ids, want[i].Decision)
		}
	}
	looked := b.looked
	b.mu.RUnlock()
	known, released, err := b.lookUp(ctx, ids, looked)
	if err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway lapi: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ready, b.looked = true, true
	if due {
		b.read = now
	}
	wanted := make(map[string]*Item, len(want))
	for i := range want {
		e := &want[i]
		if err := b.Holds(e.Target(), e.Action); err != nil {
			return enforce.Applied{}, fmt.Errorf("decision %.64q: %w", e.Decision, err)
		}
		if it := b.itemOf(e, known, now); it != nil {
			wanted[it.Key] = it
		}
	}
	for _, d := range released {
		b.bury(d, now)
	}
	held := len(wanted)
	changed := b.replace(wanted, now)
	return enforce.Applied{Entries: held, Changed: changed, Took: time.Since(start), At: time.Now()}, nil
}

// lookUp reads what the entries do not say.
func (b *Book) lookUp(ctx context.Context, ids []string, looked bool) (known map[string]*enforce.Decision, released []enforce.Decision, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	known = make(map[string]*enforce.Decision, len(ids))
	if len(ids) > 0 && b.cfg.Decisions != nil {
		list, err := b.cfg.Decisions(ctx, ids)
		if err != nil {
			return nil, nil, err
		}
		for i := range list {
			known[list[i].ID] = &list[i]
		}
	}
	if !looked && b.cfg.Released != nil {
		released, err = b.cfg.Released(ctx)
	}
	return known, released, err
}

// itemOf is the item of an entry. Where the ledger does not know the decision (yet), it
// lasts until the next look.
func (b *Book) itemOf(e *enforce.Entry, known map[string]*enforce.Decision, now time.Time) *Item {
	have := b.items[e.Decision]
	it := &Item{Key: e.Decision, Prefix: e.Prefix.Masked(), Action: e.Action, Since: now.UnixNano(), Expires: now.Add(2 * refresh).UnixNano()}
	if have != nil {
		it.Since, it.Expires, it.Rule = have.Since, have.Expires, have.Rule
	}
	if d := known[e.Decision]; d != nil {
		it.Since, it.Expires, it.Rule = d.Created, d.Expires, d.Rule
	}
	return it
}

// bury notes a decision that readers may hold though it is over.
func (b *Book) bury(d enforce.Decision, now time.Time) {
	p, err := enforce.Prefix(d.Subject)
	if err != nil || d.Expires <= now.UnixNano() || b.items[d.ID] != nil {
		return
	}
	b.leave(&Item{Key: d.ID, Prefix: p, Action: d.Action, Rule: d.Rule, Since: d.Created, Expires: d.Expires}, now)
}

// SetForeign replaces what lists of others name; prefixes that a decision of ours names
// are left to it.
func (b *Book) SetForeign(list []Entry) {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	own := map[string]*Item{}
	for k, it := range b.items {
		if it.List == "" {
			own[k] = it
		}
	}
	b.foreign = make(map[string]*Item, len(list))
	for i := range list {
		e := &list[i]
		key := "list:" + e.List + ":" + e.Prefix.String()
		b.foreign[key] = &Item{Key: key, Prefix: e.Prefix, Action: enforce.Block, List: e.List, Rule: e.List, Since: e.Since, Expires: e.Expires}
	}
	b.replace(own, now)
}

// replace makes own and the lists of others the whole book.
func (b *Book) replace(own map[string]*Item, now time.Time) (changed int) {
	taken := map[spot]bool{}
	for _, it := range own {
		taken[it.spot()] = true
	}
	for k, it := range b.foreign {
		if !taken[it.spot()] {
			own[k] = it
		}
	}
	var left []*Item
	for k, it := range b.items {
		if own[k] == nil {
			left = append(left, it)
		}
	}
	for k, it := range own {
		have := b.items[k]
		if have != nil && have.Prefix == it.Prefix && have.Action == it.Action && have.Expires == it.Expires && have.Rule == it.Rule {
			continue
		}
		if have == nil || have.spot() != it.spot() {
			changed++
		}
		if have != nil {
			b.drop(have)
		}
		b.put(it)
	}
	for _, it := range left {
		b.drop(it)
		b.leave(it, now)
		changed++
	}
	b.forget(now)
	return changed
}

func (b *Book) put(it *Item) {
	b.seq++
	it.seq = b.seq
	b.items[it.Key] = it
	b.at[it.spot()]++
}

func (b *Book) drop(it *Item) {
	delete(b.items, it.Key)
	if b.at[it.spot()]--; b.at[it.spot()] == 0 {
		delete(b.at, it.spot())
	}
}

// leave notes that an item is gone.
func (b *Book) leave(it *Item, now time.Time) {
	b.seq++
	left := *it
	left.seq, left.Ended = b.seq, now.UnixNano()
	b.gone = append(b.gone, &left)
}

// forget drops what has been gone for long.
func (b *Book) forget(now time.Time) {
	n := max(0, len(b.gone)-goneMost)
	for n < len(b.gone) && b.gone[n].Ended < now.Add(-goneFor).UnixNano() {
		n++
	}
	if n > 0 {
		b.forgot = b.gone[n-1].seq
		b.gone = slices.Delete(b.gone, 0, n)
	}
}

// Delta is what changed between two looks at the book.
type Delta struct {
	New     []*Item // not to be changed
	Deleted []*Item
	Seq     uint64 // to ask from the next time
	Whole   bool   // New is all that there is
}

// Since returns what changed after a look at seq; 0, and what is too long ago, gives
// the whole book, and all that went lately. An entry that went is not told where another
// one stands on the same prefix with the same action: readers would drop both.
func (b *Book) Since(seq uint64) Delta {
	now := b.now().UnixNano()
	b.mu.RLock()
	defer b.mu.RUnlock()
	d := Delta{Seq: b.seq, Whole: seq == 0 || seq < b.forgot || seq > b.seq}
	if d.Whole {
		seq = 0
	}
	for _, it := range b.items {
		if it.seq > seq && it.Expires > now {
			d.New = append(d.New, it)
		}
	}
	told := map[spot]bool{}
	from, _ := slices.BinarySearchFunc(b.gone, seq+1, func(it *Item, s uint64) int { return cmp.Compare(it.seq, s) })
	for i := len(b.gone) - 1; i >= from; i-- { // the newest of a spot
		it := b.gone[i]
		if b.at[it.spot()] == 0 && !told[it.spot()] {
			told[it.spot()] = true
			d.Deleted = append(d.Deleted, it)
		}
	}
	byAge := func(x, y *Item) int { return cmp.Or(cmp.Compare(x.Since, y.Since), cmp.Compare(x.Key, y.Key)) }
	slices.SortFunc(d.New, byAge)
	slices.SortFunc(d.Deleted, byAge)
	return d
}

// All returns what is in force, the oldest first, and a number that changes with it.
func (b *Book) All() (items []*Item, seq uint64) {
	d := b.Since(0)
	return d.New, d.Seq
}

// Ready reports whether the book was ever given a list.
func (b *Book) Ready() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.ready
}
