package enforcetest

import (
	"context"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// Saboteur is what may happen to a gateway behind the back of whoever pushes to it. Where a
// field is nil, that cannot happen to it, or the probe cannot do it.
type Saboteur struct {
	// Edit has somebody else put 198.51.100.9 in the place of 192.0.2.1 in the list that
	// the gateway goes by, and the gateway take notice.
	Edit func(t testing.TB)
	// Corrupt breaks by hand what the gateway was given: a file overwritten, a rule deleted.
	Corrupt func(t testing.TB)
	// Hang has whatever an Apply speaks to take connections, or start, and never answer.
	Hang func(t testing.TB) (undo func())
	// Kill ends the gateway as kill -9 does, and returns what starts it again on what it
	// finds.
	Kill func(t testing.TB) (start func())
	// Honest asks as ordinary clients until stopped, and counts answers that are not theirs.
	Honest func(t testing.TB) (stop func() (wrong, all int64))
}

// sabotage: what was done behind our back is mended by the next Apply, what is not in force
// is not said to be, and whoever is not listed gets answers all the while.
func sabotage(h *harness) {
	s := h.probe.Sabotage
	stop := func() (int64, int64) { return 0, 1 }
	if s.Honest != nil {
		stop = s.Honest(h)
	}
	want := []enforce.Entry{entry("192.0.2.1"), entry("192.0.2.3")}
	h.apply(want...)
	h.want(403, "192.0.2.1", "192.0.2.3")
	mended := func() {
		h.Helper()
		h.apply(want...)
		h.want(403, "192.0.2.1", "192.0.2.3")
		h.want(200, "198.51.100.9", "203.0.113.9")
		if again := h.apply(want...); again.Changed != 0 {
			h.Errorf("Applied.Changed is %d once it is mended", again.Changed)
		}
	}
	if s.Edit != nil {
		s.Edit(h)
		h.want(403, "198.51.100.9")
		mended()
	}
	if s.Corrupt != nil {
		s.Corrupt(h)
		h.want(200, "203.0.113.9")
		mended()
	}
	if s.Hang != nil {
		hangs(h, want)
	}
	if wrong, all := stop(); wrong > 0 || all == 0 {
		h.Errorf("%d of %d honest requests got no answer of theirs meanwhile", wrong, all)
	}
	if s.Kill != nil {
		killed(h)
	}
}

// hangs: who never answers costs no more than the time that was given, and changes nothing.
func hangs(h *harness, want []enforce.Entry) {
	undo := h.probe.Sabotage.Hang(h)
	ctx, cancel := context.WithTimeout(h.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := h.gw.Apply(ctx, []enforce.Entry{entry("192.0.2.9")}); err == nil {
		h.Error("Apply succeeded though nobody answered")
	}
	undo()
	h.want(403, "192.0.2.1")
	h.want(200, "192.0.2.9")
	h.apply(want[1:]...)
	h.want(200, "192.0.2.1")
	h.want(403, "192.0.2.3")
}

// killed: with a dead gateway Apply fails, or what it said to hold holds once it is back.
func killed(h *harness) {
	h.apply(entry("192.0.2.1"))
	start := h.probe.Sabotage.Kill(h)
	ctx, cancel := context.WithTimeout(h.Context(), 5*time.Second)
	defer cancel()
	_, err := h.gw.Apply(ctx, []enforce.Entry{entry("192.0.2.4")})
	start()
	if err == nil {
		h.want(403, "192.0.2.4")
		h.want(200, "192.0.2.1")
	}
	h.apply(entry("192.0.2.4"))
	h.want(403, "192.0.2.4")
	h.want(200, "192.0.2.1", "203.0.113.9")
}
