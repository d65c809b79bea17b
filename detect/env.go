package detect

import (
	"strings"
	"unsafe"

	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func sizeOf[T any]() uintptr { return unsafe.Sizeof(*new(T)) }

// Env is what the engine offers one detector. State is that of the shard at work.
type Env struct {
	w     *worker
	rule  uint8
	name  string
	spec  Spec
	shape string
	state []container
}

func (e *Env) adopt(c container) { e.state = append(e.state, c) }

// Shape names the layout of the rule's state as its config makes it. A snapshot
// with another shape is not loaded for this rule.
func (e *Env) Shape(s string) { e.shape = s }

func (e *Env) suspect(s Slot, d int) {
	c := &e.w.sh.clients[s]
	switch {
	case d > 0 && c.suspects < 255:
		c.suspects++
	case d < 0 && c.suspects > 0:
		c.suspects--
	}
}

// LateBound is the late bound in seconds: state must reach that far ahead of
// the second being closed.
func (e *Env) LateBound() int64 { return e.w.cfg.LateSeconds }

// IdleBound is how many seconds a subject is remembered without a sign of it. When after
// so long it comes back, a rule must not know it any more: the engine may have
// forgotten it by then, or not yet.
func (e *Env) IdleBound() int64 { return e.w.cfg.IdleSeconds }

// Live reports whether findings may fire before their second is closed.
func (e *Env) Live() bool { return e.w.cfg.Live }

// Wake asks for Close(slot, sec). A second that is closed already is taken as
// the next one to close.
func (e *Env) Wake(slot Slot, sec int64) {
	e.w.sh.wake(max(sec, e.w.closed+1), wake{slot, e.rule})
}

// Standing is what was known for good of the client in the minutes that were
// complete when sec began: it is the same early and late.
func (e *Env) Standing(slot Slot, sec int64) Standing {
	return e.w.sh.clients[slot].standing(sec, e.w.cfg.LateSeconds, e.w.granule)
}

// Seed is the secret of this installation, by which a rule picks what it samples.
func (e *Env) Seed() uint64 { return e.w.cfg.Seed }

// By says what the slots stand for, for a rule that serves several.
func (e *Env) By() By { return e.w.by }

// Subject is whom a slot stands for.
func (e *Env) Subject(slot Slot) Subject { return e.w.sh.subject(slot) }

// Known is, at level two and during Observe, what was known for good of the event's
// client, as Standing says it; Since is 0 in its first minute. It is the same in any
// order.
func (e *Env) Known() Standing { return e.w.known }

// Sample copies the event's line for evidence, capped and with its secrets
// replaced.
func (e *Env) Sample(ev *ingest.Event, note string) window.Sample {
	return window.Sample{Time: ev.Time, Pos: ev.Pos, Line: e.Redact(capLine(ev.Line)), Agent: e.agent(ev), Note: note}
}

// RawSample copies the event's line as it is, for a rule that keeps many lines
// and shows few: it must Redact what it shows or saves.
func (e *Env) RawSample(ev *ingest.Event) window.Sample {
	return window.Sample{Time: ev.Time, Pos: ev.Pos, Line: strings.Clone(capLine(ev.Line)), Agent: e.agent(ev)}
}

// agent is the user agent of a line that is kept, capped and without secrets.
func (e *Env) agent(ev *ingest.Event) string {
	return strings.Clone(e.w.cfg.Redact(ev.Agent[:min(len(ev.Agent), AgentBytes)]))
}

// Redact replaces the secrets of a line by pseudonyms; doing it twice changes
// nothing.
func (e *Env) Redact(line string) string { return capLine(e.w.cfg.Redact(line)) }

func capLine(line string) string {
	if len(line) > EvidenceBytes {
		return line[:EvidenceBytes]
	}
	return line
}

// Inspect is the full payload inspection of the event; asked for several times
// it is done once.
func (e *Env) Inspect(ev *ingest.Event) *inspect.Verdict {
	return e.w.look(ev)
}

// Attack is, at level two and during Observe of a suspicious event, what level one found
// in it.
func (e *Env) Attack() *Attack { return &e.w.attempt }

// Probe says what is known of the event's path and agent from scanners.
func (e *Env) Probe() Probe { return e.w.probed }

// Administrative reports whether the event's route names a function that only
// administrators use.
func (e *Env) Administrative(ev *ingest.Event) bool {
	e.w.equip()
	return e.w.prober.administrative(ev)
}

// Object is the id in the event's path: what stands for the last place of its route's
// template that may hold anything, "" where there is none. It is borrowed like the event.
func (e *Env) Object(ev *ingest.Event) string {
	e.w.equip()
	return e.w.prober.object(ev)
}

// Request is what is held of the event for a Digester.
func (e *Env) Request() *Request { return &e.w.request }

// Closed is the last second that was closed: every event up to it is in.
func (e *Env) Closed() int64 { return e.w.closed }

// Early hands over a finding before its second is closed, in live mode. The
// engine keeps the first; Report then corrects it.
func (e *Env) Early(slot Slot, f Finding) {
	if e.w.cfg.Live {
		e.w.sh.report(e, slot, f, true)
	}
}

// Report hands over the present state of a finding: same window, same id. The
// rule fills Severity, Confidence, Window, FirstSeen, LastSeen, FiredAt, Count,
// Why, Route and Evidence; the engine the rest.
func (e *Env) Report(slot Slot, f Finding) { e.w.sh.report(e, slot, f, false) }
