package authz

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/enforce/authz/schema"
	"github.com/portcullis/portcullis/ingest/openapi"
	"github.com/portcullis/portcullis/ingest/source/serve"
)

// Validate is the "authz.validate" section: requests are held against the API's documents.
type Validate struct {
	Mode       string             `yaml:"mode" default:"off" enum:"off,observe,enforce" doc:"off; observe: what is not as described is counted and told in the log; enforce: it is refused"`
	Documents  []openapi.Document `yaml:"documents" doc:"OpenAPI documents, instead of those under openapi"`
	Unknown    string             `yaml:"unknown" default:"refuse" enum:"refuse,pass" doc:"paths and methods that no document has, below what the documents cover: refuse (404, 405) or pass"`
	Parameters string             `yaml:"parameters" default:"refuse" enum:"refuse,pass" doc:"query parameters, and bodies, of an operation that has none such: refuse (400) or pass"`
	Spelling   string             `yaml:"spelling" default:"refuse" enum:"refuse,pass" doc:"paths that servers read differently (dot segments, escaped slashes, double escapes): refuse (400), or pass where an API takes them"`
	MaxDepth   int                `yaml:"max_depth" default:"32" doc:"how deep a body in JSON may be nested"`
}

// Inspect is the "authz.inspect" section: requests are looked at for attacks.
type Inspect struct {
	Mode  string `yaml:"mode" default:"off" enum:"off,observe,enforce" doc:"off; observe: attacks are counted and told in the log; enforce: they are refused with 403"`
	Score int    `yaml:"score" default:"80" doc:"score from 50 to 100 at which a request is refused, beside those that are near certain; 50 is what counts as an attack in the log"`
}

// The modes.
const (
	modeObserve = "observe"
	modeEnforce = "enforce"
	pass        = "pass"
)

// maxBody bounds authz.max_body.
const maxBody = 1 << 20

// checkScreen reports what is wrong with the settings of both.
func (c *Config) checkScreen(report func(key, message string)) {
	if c.MaxBody != 0 && (c.MaxBody < 1024 || c.MaxBody > maxBody) {
		report("max_body", fmt.Sprintf("must be from 1024 to %d bytes", maxBody))
	}
	if d := c.Validate.MaxDepth; d != 0 && (d < 2 || d > 200) {
		report("validate.max_depth", "must be from 2 to 200")
	}
	if s := c.Inspect.Score; s != 0 && (s < 50 || s > 100) {
		report("inspect.score", "must be from 50 to 100: what scores less is no attack")
	}
	for i := range c.Validate.Documents {
		c.Validate.Documents[i].Check(func(key, message string) { report(fmt.Sprintf("validate.documents[%d].%s", i, key), message) })
	}
}

// Validates reports whether requests are held against documents.
func (c *Config) Validates() bool { return c.Enabled() && on(c.Validate.Mode) }

func on(mode string) bool { return mode == modeObserve || mode == modeEnforce }

// Rules reads the documents: those of the section, or else the ones given. Where requests are
// not held against any it returns nil.
func (c *Config) Rules(documents []openapi.Document) (*schema.Rules, error) {
	if !c.Validates() {
		return nil, nil
	}
	if len(c.Validate.Documents) > 0 {
		documents = c.Validate.Documents
	}
	if len(documents) == 0 {
		return nil, fmt.Errorf("authz.validate: no document to hold requests against: name one under openapi, or in authz.validate.documents")
	}
	v := c.Validate
	return schema.Open(documents, schema.Options{PassUnknown: v.Unknown == pass, PassParameters: v.Parameters == pass, PassSpelling: v.Spelling == pass,
		MaxBody: c.MaxBody, MaxDepth: v.MaxDepth})
}

// The kinds of faulty requests, beside those of schema.
const (
	kindInjection = "injection"
	kindError     = "error" // it could not be looked at, and passed
)

// Faulty is a kind of requests that are not as they should be, and whether they are refused.
type Faulty struct {
	Kind    string
	Refused bool
}

// Done is what was done about them.
func (f Faulty) Done() string {
	if f.Refused {
		return "refused"
	}
	return "observed"
}

// FaultyKinds lists the kinds.
func FaultyKinds() []string {
	var out []string
	for _, k := range schema.Kinds() {
		out = append(out, string(k))
	}
	return append(out, kindInjection, kindError)
}

// screening is what looks at requests themselves. It is safe for concurrent use.
type screening struct {
	validate, inspect string // their modes
	rules             *schema.Rules
	how               inspect.Config
	log               *slog.Logger
	now               func() time.Time
	kinds             []string
	counts            []atomic.Int64 // of each kind: observed, refused
	said              []atomic.Int64 // when each kind was told, Unix nanoseconds
}

// sayEvery is how often a kind of faulty requests is told in the log.
const sayEvery = 10 * time.Second

// headerBytes is how much of target and header is inspected beside the body: more than
// gateways let pass by default.
const headerBytes = 64 << 10

func (l *screening) open(cfg Config, deps Deps) error {
	if on(cfg.Validate.Mode) {
		if l.validate, l.rules = cfg.Validate.Mode, deps.Rules; l.rules == nil {
			return fmt.Errorf("authz: validate needs rules")
		}
	}
	if on(cfg.Inspect.Mode) {
		l.inspect, l.how = cfg.Inspect.Mode, deps.Inspect
		l.how.Threshold = cfg.Inspect.Score
		serve.Default(&l.how.Threshold, 80)
		l.how.MaxBytes = max(l.how.MaxBytes, cfg.MaxBody+headerBytes) // padding must hide nothing
	}
	if l.log, l.now = deps.Log, deps.Now; l.log == nil {
		l.log = slog.Default()
	}
	if l.now == nil {
		l.now = time.Now
	}
	l.kinds = FaultyKinds()
	l.counts, l.said = make([]atomic.Int64, 2*len(l.kinds)), make([]atomic.Int64, len(l.kinds))
	return nil
}

// equip gives a worker what it looks with.
func (l *screening) equip(w *worker) *worker {
	if l.rules != nil {
		w.checker = l.rules.Checker()
	}
	if l.inspect != "" {
		w.inspect = inspect.New(l.how)
	}
	return w
}

// stats returns the counts.
func (l *screening) stats() map[Faulty]int64 {
	out := map[Faulty]int64{}
	for i, k := range l.kinds {
		out[Faulty{k, false}], out[Faulty{k, true}] = l.counts[2*i].Load(), l.counts[2*i+1].Load()
	}
	delete(out, Faulty{kindError, true})
	return out
}

// note counts a faulty request, and tells of one of a kind now and then. What is told holds
// no word of the request but names that are plain.
func (l *screening) note(kind string, refuse bool, attrs ...any) {
	for i, k := range l.kinds {
		if k != kind {
			continue
		}
		at := 2 * i
		if refuse {
			at++
		}
		n, now := l.counts[at].Add(1), l.now().UnixNano()
		if last := l.said[i].Load(); (last == 0 || now-last >= int64(sayEvery)) && l.said[i].CompareAndSwap(last, now) {
			l.log.Warn("authz: a request is not as it should be", append([]any{"kind", kind, "refused", refuse, "so_far", n}, attrs...)...)
		}
		return
	}
}
