package rule

import (
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// keeper keeps a few lines of each client for ten minutes, as evidence for a rule that
// learns later whether there is a finding. They are kept as they are, most are forgotten
// unseen; what is shown or saved is without its secrets.
type keeper struct {
	env  *detect.Env
	span span
	list *detect.Sparse[window.Samples]
}

func newKeeper(env *detect.Env) *keeper {
	k := &keeper{env: env, span: newSpan(600)}
	k.list = detect.NewSparse(env, func(s *window.Samples, c *window.Codec) {
		if !c.Reading() {
			s.Rewrite(env.Redact)
		}
		s.Code(c)
	}).Ordinary()
	return k
}

// pick keeps the line if it is one in 2 to the n, by where it stands and the
// installation's secret.
func (k *keeper) pick(ev *ingest.Event, slot detect.Slot, n uint) {
	if _, asked := detect.Rank(k.env.Seed(), &ev.Pos, n); asked {
		k.keep(ev, slot)
	}
}

func (k *keeper) keep(ev *ingest.Event, slot detect.Slot) {
	lines := k.list.At(slot)
	if lines.Empty() {
		k.env.Wake(slot, k.due(ev.Time/1e9))
	}
	if lines.Wants(ev.Time, ev.Pos, k.span.bucket) {
		lines.Add(k.env.RawSample(ev), k.span.bucket)
	}
}

// from is where the evidence of what began at a second starts, in nanoseconds.
func (k *keeper) from(first, sec int64) int64 { return max(first, sec-k.span.secs) * 1e9 }

// show takes the lines of the seconds that closed since into the evidence.
func (k *keeper) show(e *episode, slot detect.Slot, sec int64) {
	if lines := k.list.Get(slot); lines != nil {
		e.showRaw(k.env, lines, sec)
	}
}

// forget drops what is too old, when the oldest is twice as old as it need be.
func (k *keeper) forget(slot detect.Slot, sec int64) {
	if sec%60 != 0 {
		return // asked by somebody else
	}
	lines := k.list.Get(slot)
	if lines == nil || sec < k.due(lines.First()/1e9) {
		return
	}
	if lines.Forget((sec-k.span.secs)*1e9, k.span.bucket); lines.Empty() {
		k.list.Drop(slot)
		return
	}
	k.env.Wake(slot, k.due(lines.First()/1e9))
}

// due is the full minute in which a line of a second is looked at to be forgotten.
func (k *keeper) due(sec int64) int64 { return (sec+2*k.span.secs)/60*60 + 60 }
