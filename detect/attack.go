package detect

import (
	"fmt"

	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// Attack is what the inspection found in a request, for level two. Only requests that
// score as much as inspect.threshold, and whose answer is large or late enough to tell
// something, are handed on as suspicious.
type Attack struct {
	What string // class, field and the fragment, decoded and redacted
	Sure bool   // near certain, or the answer took as long as it asks for
}

// TellingBytes and TellingNanos: an answer that is neither so large nor so late tells
// nothing about an attack, however small and fast a route's answers are. A page of memory;
// the least that a payload can ask SLEEP or WAITFOR to wait in practice.
const (
	TellingBytes = 4096
	TellingNanos = 1e9
)

func telling(ev *ingest.Event) bool {
	return ev.BytesOut >= TellingBytes || ev.Duration >= TellingNanos
}

// look is the full inspection of the event at hand, once.
func (w *worker) look(ev *ingest.Event) *inspect.Verdict {
	if !w.inspected {
		w.equip()
		w.verdict = w.inspector.Look(ev, w.parts)
		w.inspected = true
	}
	return &w.verdict
}

// attacks reports whether the event carries an attack that is more than reconnaissance.
func (w *worker) attacks(ev *ingest.Event) bool {
	v := w.look(ev)
	return v.Score >= w.inspector.Threshold() && !v.Recon()
}

// attack describes it.
func (w *worker) attack(ev *ingest.Event) Attack {
	v := w.look(ev)
	what := fmt.Sprintf("%s in %s: %s", v.Class, v.Field, v.Matched)
	return Attack{
		What: what[:min(len(what), longestTarget)],
		Sure: v.NearCertain || v.Delay > 0 && ev.Duration >= int64(v.Delay)*1e9,
	}
}

func (a *Attack) code(k *window.Codec) {
	k.String(&a.What)
	k.Bool(&a.Sure)
}
