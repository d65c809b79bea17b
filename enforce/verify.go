package enforce

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// Holding is what the log says of one decision.
type Holding struct {
	State State // Verified or NotEnforced; "" = nothing seen that tells
	Code  string
	Why   string
	At    int64 // log time of the request that told, Unix nanoseconds
}

// keysMax bounds the (route, source) pairs told apart per decision and window;
// further ones share one.
const keysMax = 16

// track follows one decision. It is pure: time is the log's. It counts in
// windows and looks at two of them, the running one and the one before, so that
// an old leak is forgotten once the decision holds again.
type track struct {
	cfg     *VerifyConfig
	d       followed
	held    bool  // a denial was seen at any time
	epoch   int64 // number of the running window
	now     tally
	before  tally
	holding Holding
	seen    int64 // log time of the newest request that counted

	subject detect.Subject
	prefix  netip.Prefix // invalid where the subject is no address
	next    *track       // of another decision that hits the same
}

// followed is what counts of a decision.
type followed struct {
	id, route         string
	action            Action
	rate              float64
	burst             int
	pushedAt, expires int64
	trigger           int64
}

func followedOf(d *Decision) followed {
	return followed{id: d.ID, route: d.Route, action: d.Action, rate: d.Rate, burst: d.Burst, pushedAt: d.PushedAt, expires: d.Expires, trigger: d.Trigger}
}

// among puts a track into those that hit the same, of which the first counts: that of the
// greatest id. It returns the first.
func (t *track) among(first *track) *track {
	if first == nil || t.d.id > first.d.id {
		t.next = first
		return t
	}
	first.next = t.among(first.next)
	return first
}

// without takes it out, and returns the first of the rest.
func (t *track) without(first *track) *track {
	switch first {
	case nil:
		return nil
	case t:
		return t.next
	}
	first.next = t.without(first.next)
	return first
}

// deny is the status with which a gateway answers by this action.
func deny(a Action) uint16 {
	switch a {
	case Throttle:
		return 429
	case Revoke: // RFC 6750, section 3.1
		return 401
	}
	return 403
}

// see takes in requests of the subject, all of one second and alike, and
// reports whether the verdict on the decision changed by them.
func (t *track) see(s detect.Sightings) bool {
	denied := s.Status == deny(t.d.action)
	switch {
	case denied && s.Time < t.d.trigger-int64(time.Second): // before the decision: the service itself denied it
		return false
	case !denied && (t.d.pushedAt == 0 || s.First < t.d.pushedAt+int64(t.cfg.Grace)):
		return false // too early to tell
	case !denied && t.d.expires != 0 && s.Time >= t.d.expires-int64(time.Second):
		return false // it was over, by a gateway's own clock perhaps, and a log may have whole seconds: the last may be as late as expires
	}
	epoch := s.Time / int64(t.cfg.Window)
	if epoch < t.epoch-1 {
		return false // too late to tell
	}
	ended := t.turn(epoch)
	defer func() { t.seen = max(t.seen, s.Time) }()
	into := &t.now
	if epoch < t.epoch {
		into = &t.before
	}
	into.add(s, denied)
	t.held = t.held || denied
	if t.settled(ended) {
		return false
	}
	h := t.judge(ended)
	h.At = s.Time
	if h.State == "" {
		return false
	}
	changed := h.State != t.holding.State || h.Code != t.holding.Code
	if !changed {
		h.Why = t.holding.Why
	}
	t.holding = h
	return changed
}

// settled reports whether one more request cannot change that the decision
// holds, so that a flood of denied requests costs next to nothing.
func (t *track) settled(ended bool) bool {
	if t.holding.State != Verified || ended {
		return false
	}
	if t.d.action == Throttle {
		return float64(t.now.let.n) <= t.most()
	}
	return t.now.let.n == 0 && t.before.let.n == 0
}

// turn goes on to a later window and reports whether the one before it is
// complete, that is, requests were seen in it.
func (t *track) turn(epoch int64) bool {
	if epoch <= t.epoch {
		return false
	}
	adjacent := epoch == t.epoch+1
	t.before, t.now = t.now, tally{}
	if !adjacent {
		t.before = tally{}
	}
	t.epoch = epoch
	return adjacent && len(t.before.keys) > 0
}

func (t *track) judge(ended bool) Holding {
	if t.d.action == Throttle {
		return t.judgeRate(ended)
	}
	return t.judgeDenied()
}

func (t *track) judgeDenied() Holding {
	sum := t.before.plus(&t.now)
	switch {
	case sum.let.n == 0 && sum.denied.n == 0:
		return Holding{}
	case sum.let.n == 0:
		return t.holds(&sum, "")
	case sum.denied.n > 0 && sum.let.last < sum.denied.first:
		return t.holds(&sum, fmt.Sprintf("; it took hold late, %d requests were let through after the push", sum.let.n))
	}
	return t.leaks(&sum)
}

// most is how many requests a throttle may let through in a window. The bound
// is generous (half above the rate, and the burst), since a gateway counts in
// windows of its own.
func (t *track) most() float64 {
	return t.d.rate*1.5*t.cfg.Window.Seconds() + float64(t.d.burst)
}

// judgeRate compares what got through with what the throttle lets through.
func (t *track) judgeRate(ended bool) Holding {
	most := t.most()
	sum := t.before.plus(&t.now)
	switch {
	case float64(t.now.let.n) > most, ended && float64(t.before.let.n) > most:
		return t.leaks(&sum)
	case t.now.denied.n > 0:
		return t.holds(&sum, "")
	case ended:
		return Holding{State: Verified, Why: fmt.Sprintf("holds: %d requests in %s, within the rate of %g a second",
			t.before.let.n, t.cfg.Window, t.d.rate)}
	}
	return Holding{}
}

func (t *track) holds(sum *tally, more string) Holding {
	after := time.Duration(max(sum.denied.first-t.d.trigger, 0)).Round(10 * time.Millisecond)
	return Holding{State: Verified, Why: fmt.Sprintf("holds: denied with %d%s, %s after the line that crossed the threshold (log time)%s",
		deny(t.d.action), onRoute(sum.routes(func(c count) bool { return c.denied.n > 0 })), after, more)}
}

// leaks says why requests get through though the gateway took the decision.
func (t *track) leaks(sum *tally) Holding {
	h := Holding{State: NotEnforced}
	leaky := sum.routes(func(c count) bool { return c.let.n > 0 })
	tight := sum.routes(func(c count) bool { return c.denied.n > 0 })
	switch {
	case sum.denied.n == 0 && !t.held:
		h.Code = CodeWrongKey
		h.Why = fmt.Sprintf("%d requests got through%s and none was denied: the gateway sees another address than the log, or does not read the list",
			sum.let.n, onRoute(leaky))
	case sum.denied.n == 0 || sum.denied.last < sum.let.first:
		h.Code = CodeLost
		h.Why = fmt.Sprintf("it was denied, but %d requests got through%s since: the gateway lost the list, or answers without it", sum.let.n, onRoute(leaky))
		if disjoint(leaky, tight) {
			h.Code, h.Why = CodeBypass, bypass(leaky, tight)
		}
	default:
		h.Code = CodeStale
		h.Why = fmt.Sprintf("denied and let through in turn%s: one of several gateways or workers does not have the list", onRoute(leaky))
		if disjoint(leaky, tight) {
			h.Code, h.Why = CodeBypass, bypass(leaky, tight)
		} else if from := sum.sources(func(c count) bool { return c.let.n > 0 && c.denied.n == 0 }); len(from) > 0 && len(from) < len(sum.sources(nil)) {
			h.Why = fmt.Sprintf("let through by %s, denied by others: that gateway does not have the list", strings.Join(from, ", "))
		}
	}
	return h
}

func bypass(leaky, tight []string) string {
	return fmt.Sprintf("let through%s, denied%s: those routes do not ask the list", onRoute(leaky), onRoute(tight))
}

// disjoint reports whether both lists name something, and nothing in common.
func disjoint(a, b []string) bool {
	for _, s := range a {
		if slices.Contains(b, s) {
			return false
		}
	}
	return len(a) > 0 && len(b) > 0
}

// onRoute names routes, three at most.
func onRoute(routes []string) string {
	if len(routes) == 0 {
		return ""
	}
	more := ""
	if len(routes) > 3 {
		routes, more = routes[:3], fmt.Sprintf(" and %d more", len(routes)-3)
	}
	quotedRoutes := make([]string, len(routes))
	for i, r := range routes {
		quotedRoutes[i] = clean(r)
	}
	return " on " + strings.Join(quotedRoutes, ", ") + more
}
