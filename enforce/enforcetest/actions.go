package enforcetest

import "github.com/portcullis/portcullis/enforce"

// otherActions: a tarpit and a challenge, where the gateway says that it can, keep the client
// from what it asked for, and nobody else; where it cannot, it does not take them.
func otherActions(h *harness) {
	for _, a := range []enforce.Action{enforce.Tarpit, enforce.Challenge} {
		e := entry("203.0.113.5")
		e.Action = a
		if !h.can(e) {
			h.refuses(e)
			continue
		}
		if got := h.apply(e); got.Changed == 0 {
			h.Errorf("Applied.Changed is 0 after a %s", a)
		}
		h.want(403, "203.0.113.5")
		h.want(200, "203.0.113.6")
		if got := h.apply(e); got.Changed != 0 {
			h.Errorf("Applied.Changed is %d when the same %s is applied again", got.Changed, a)
		}
		h.apply()
		h.want(200, "203.0.113.5")
	}
	for _, a := range []enforce.Action{"", "shout"} {
		e := entry("203.0.113.5")
		if e.Action = a; h.can(e) {
			h.Errorf("it says that it can %q", a)
		}
		h.refuses(e)
	}
}
