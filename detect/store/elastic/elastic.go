// Package elastic keeps findings, traffic, suspicious requests, decisions and
// their audit trail in Elasticsearch, and answers the questions that detect/store
// answers from SQLite.
//
// Loss policy: Write returns when each document is durable in the cluster, was
// there before, or was handed to Rejected because no retry could ever take it.
// Everything else (no connection, 429, 5xx, a full disk, a read-only index, an
// expired key, missing templates) is tried again until ctx ends, and Health says
// what to mend. Ids depend only on what a document is about, so writing it twice
// leaves one; of a document that changes, the newest version stays, whatever the
// order in which versions arrive.
package elastic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/portcullis/portcullis/detect/store"
)

// Kind tells what a document is, and so in which data stream or index it lies.
type Kind string

// The kinds of documents.
const (
	Access   Kind = "access"   // a request
	Finding  Kind = "finding"  // a rule fired
	Decision Kind = "decision" // what is done to a subject
	Audit    Kind = "audit"    // who changed what, when and why
	Traffic  Kind = "traffic"  // a minute of a route
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Access, Finding, Decision, Audit, Traffic} }

// Doc is a document to be written.
type Doc struct {
	Kind    Kind
	ID      string
	Time    int64  // Unix nanoseconds; its UTC day names the dated index, so it must stay the same while the document changes
	Version int64  // 0 = it never changes; otherwise the highest version wins, and of equal ones the last written
	Again   bool   // it may have been written before, such as what is read again from a topic after a restart
	Source  []byte // a JSON object on one line
}

// Options is what a Store needs besides its settings.
type Options struct {
	// Rejected keeps a document that Elasticsearch refuses for good, with the
	// reason. Write does not return before it does; it may be called from several
	// goroutines. An error ends Write, so it should itself retry. nil: the document
	// is only counted and its id logged.
	Rejected func(ctx context.Context, d Doc, reason string) error

	Cloak store.Cloak  // nil: nothing is hidden, and nothing was
	Hide  bool         // whether addresses in what is written are hidden
	Log   *slog.Logger // nil: slog.Default
}

// placesKept bounds what is remembered of where changing documents lie in a data
// stream. Those that were forgotten are looked up again.
const placesKept = 1 << 16

// Store is one Elasticsearch. All methods may be called from any goroutine.
type Store struct {
	cfg  Config
	opt  Options
	web  *web
	size *sizer
	meet *health

	portable bool // only field types that every Elasticsearch has
	slots    chan struct{}
	places   *lru.Cache[string, place]

	mu   sync.Mutex
	seen map[string]bool // dated indices whose templates were looked at; see guard
}

// New prepares a Store; it connects with the first request. The settings must
// have passed their Check.
func New(cfg Config, opt Options) (*Store, error) {
	cfg = cfg.withDefaults()
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	if opt.Hide && opt.Cloak == nil {
		return nil, errors.New("elastic: addresses are to be hidden, but there is no cloak that hides them")
	}
	w, err := newWeb(cfg)
	if err != nil {
		return nil, err
	}
	places, err := lru.New[string, place](placesKept)
	if err != nil {
		return nil, fmt.Errorf("elastic: %w", err)
	}
	return &Store{
		cfg: cfg, opt: opt, web: w, places: places, seen: map[string]bool{},
		size: newSizer(int(cfg.Bulk.Bytes)), meet: newHealth(opt.Log, time.Now),
		portable: cfg.Layout == LayoutIndex,
		slots:    make(chan struct{}, cfg.Bulk.Parallel),
	}, nil
}

// Close gives idle connections back.
func (s *Store) Close() { s.web.close() }

// Login replaces the credentials from the settings, such as an API key that is
// about to expire. Requests under way end with the old ones.
func (s *Store) Login(apiKey, username, password string) { s.web.login(apiKey, username, password) }

// dataset is the kind as event.dataset and data_stream.dataset name it.
func (k Kind) dataset() string { return "portcullis." + string(k) }

// typ is the data_stream.type of a kind.
func (k Kind) typ() string {
	if k == Traffic {
		return "metrics"
	}
	return "logs"
}

// base is the name of the data stream, or what dated indices begin with.
func (s *Store) base(k Kind) string {
	name := k.dataset() + "-" + s.cfg.Namespace
	if s.cfg.Layout == LayoutDataStream {
		return k.typ() + "-" + name
	}
	return name
}

// target is what a search for documents of a kind goes to.
func (s *Store) target(k Kind) string {
	if s.cfg.Layout == LayoutDataStream {
		return s.base(k)
	}
	return s.base(k) + "-*"
}

// dayFormat dates plain indices.
const dayFormat = "2006.01.02"

// index is where a document is written.
func (s *Store) index(d *Doc) string {
	if s.cfg.Layout == LayoutDataStream {
		return s.base(d.Kind)
	}
	return s.base(d.Kind) + "-" + time.Unix(0, d.Time).UTC().Format(dayFormat)
}
