package rule

import (
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

// surge is what the detectors share that count one kind of request of a client within
// a span.
type surge struct {
	env     *detect.Env
	span    span
	state   *detect.Sparse[burst]
	allowed func(detect.Standing) uint32
	judge   func(*episode) detect.Finding
}

func newSurge(env *detect.Env, shape string, d time.Duration) *surge {
	s := &surge{env: env, span: newSpan(int64(d / time.Second))}
	env.Shape(shape)
	s.state = detect.NewSparse(env, (*burst).code)
	return s
}

// count takes in a request that counts.
func (r *surge) count(ev *ingest.Event, slot detect.Slot, note func() string) {
	b := r.state.At(slot)
	b.offend(r.env, ev, slot, r.span, 1, note)
	if !r.env.Live() {
		return
	}
	sec := ev.Time / 1e9
	allowed := r.allowed(r.env.Standing(slot, sec))
	if _, weight, _ := b.sum(sec, r.span); weight < allowed {
		return
	}
	if b.now.earlier(r.env, sec, b.pending(sec, r.span)/int64(allowed)) {
		e := b.preview(r.env, slot, sec, r.span)
		r.env.Early(slot, r.judge(&e))
	}
}

// Close implements detect.Rule.
func (r *surge) Close(slot detect.Slot, sec int64) {
	b := r.state.Get(slot)
	if b == nil {
		return
	}
	_, weight, _ := b.sum(sec, r.span)
	if b.close(r.env, slot, sec, r.span, weight > 0 && weight >= r.allowed(r.env.Standing(slot, sec))) {
		r.env.Report(slot, r.judge(&b.now))
	}
	if b.forget(sec, r.span) {
		r.state.Drop(slot)
	}
}

// clock writes a second as people read it.
func clock(sec int64) string { return time.Unix(sec, 0).UTC().Format(time.TimeOnly) }
