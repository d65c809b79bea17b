// Package output sends what was found, decided and asked to the places where others keep
// their logs: Splunk, syslog, OpenTelemetry, Loki, files. What is sent are the documents
// that Elasticsearch gets, under the same ids.
//
// Loss policy: a document is sent until the other side has confirmed it, and only then is
// noted how far its feed was sent. So after a crash some come again, with the same id, and
// none is missing. What the other side refuses for good is handed to Rejected, with the
// reason. What waits for one output holds up neither detection nor other outputs: it waits
// where it came from, the database, a topic or a spool on the disk.
package output

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/internal/hook"
)

// Batch is what is sent at once: documents of one feed, in its order.
type Batch struct {
	Feed string // letters, digits and dashes
	From string // place in the feed behind which it begins, also letters, digits and dashes
	// Again says that what is behind From may have been sent before, in batches that
	// began and ended elsewhere.
	Again bool
	Docs  []elastic.Doc
}

// Sink is where documents go.
type Sink interface {
	// Send returns nil once all documents are safe on the other side. A *Refusal says
	// what the other side answered; any other error, that it did not. Then all are sent
	// again. It ends soon after ctx does, and may be called by several goroutines, but
	// for one feed by one at a time.
	Send(ctx context.Context, b *Batch) error
}

// Refusal is an answer that is no success; a final one means that one of the documents is
// the reason.
type Refusal = hook.Refusal

// Spec describes a kind of output.
type Spec struct {
	Doc    string // one sentence
	Tested string // with which version of the real one, or how else
	Whole  bool   // a batch is not cut: it is one file
	// Batch and Interval are those of the settings where they say nothing; 0: 1 MiB, 1 s.
	Batch    int64
	Interval time.Duration
	Config   func() any // pointer to a fresh settings struct, with config tags
	// Open makes the sink from a pointer as Config returns it.
	Open func(config any, common Common) (Sink, error)
}

// Common is what sinks are told beside their own settings.
type Common struct {
	Name    string // of the output
	Version string // of the program
	Host    string // name of this machine
}

// specs fills at init and is only read afterwards.
var specs = map[string]Spec{}

// Register adds a kind of output; a second one of the same name panics.
func Register(name string, s Spec) {
	if _, twice := specs[name]; twice {
		panic("output: " + name + " registered twice")
	}
	specs[name] = s
}

// Kinds lists the kinds of outputs, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(specs)) }

// Lookup finds a kind of output; its error lists what there is.
func Lookup(kind string) (Spec, error) {
	s, ok := specs[kind]
	if !ok {
		return Spec{}, fmt.Errorf("output: no output of type %.64q: there are %s", kind, strings.Join(Kinds(), ", "))
	}
	return s, nil
}
