package enforcetest

import (
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// revoked: whose key is taken away gets 401, nobody else does, and once the decision is over
// everything is as before, also when another Portcullis goes on in between.
func revoked(h *harness) {
	for _, kind := range []string{"consumer", "key"} {
		e := revocation(kind, "alice")
		asked := slices.Contains(h.probe.Revocable, kind)
		switch can := h.can(e); {
		case can && !asked:
			h.Errorf("it says that it can revoke a %s, and its probe does not show it: see Revocable", kind)
		case !can && asked:
			h.Errorf("it cannot revoke a %s: %v", kind, enforce.Holds(h.gw, e.Target(), e.Action))
		case can:
			h.revokes(e, kind)
		}
	}
	if len(h.probe.Revocable) == 0 {
		h.Log("does not apply: the gateway can revoke nothing")
		return
	}
	h.revokesBoth()
}

func revocation(kind, value string) enforce.Entry {
	e := named(kind, value)
	e.Action = enforce.Revoke
	return e
}

// revokes takes one away and gives it back, with an address blocked beside it.
func (h *harness) revokes(e enforce.Entry, kind string) {
	h.Helper()
	before := h.credentials()
	h.wantAs(200, kind, "alice", "/")
	if got := h.apply(e, entry("192.0.2.1")); got.Changed == 0 {
		h.Errorf("Applied.Changed is 0 after a %s was revoked", kind)
	}
	h.wantAs(401, kind, "alice", "/")
	h.wantAs(200, kind, "bob", "/")
	h.want(403, "192.0.2.1")
	if got := h.apply(entry("192.0.2.1"), e); got.Changed != 0 {
		h.Errorf("Applied.Changed is %d when the same %s is revoked again", got.Changed, kind)
	}
	h.again()
	if got := h.apply(e, entry("192.0.2.1")); got.Changed != 0 && h.probe.Remembers {
		h.Errorf("Applied.Changed is %d when another Portcullis revokes the same %s", got.Changed, kind)
	}
	h.wantAs(401, kind, "alice", "/")
	if h.probe.Restart != nil { // with a database of before, such as from a backup
		h.probe.Restart(h)
		h.apply(e, entry("192.0.2.1"))
		h.wantAs(401, kind, "alice", "/")
	}
	h.again()
	h.apply(entry("192.0.2.1"))
	h.wantAs(200, kind, "alice", "/")
	h.want(403, "192.0.2.1")
	h.apply()
	if after := h.credentials(); after != before {
		h.Errorf("credentials before it was revoked, and once that is over:\n%s\n%s", before, after)
	}
}

// revokesBoth: what is revoked stays so while another one comes and goes, and after a failure.
func (h *harness) revokesBoth() {
	h.Helper()
	kind := h.probe.Revocable[0]
	a, b := revocation(kind, "alice"), revocation(kind, "bob")
	before := h.credentials()
	h.apply(a)
	h.apply(a, b)
	h.wantAs(401, kind, "bob", "/")
	h.apply(b)
	h.wantAs(200, kind, "alice", "/")
	h.wantAs(401, kind, "bob", "/")
	if h.probe.Break != nil {
		mend := h.probe.Break(h)
		if _, err := h.gw.Apply(h.Context(), nil); err == nil {
			h.Error("Apply succeeded though the gateway was broken")
		}
		mend()
		h.wantAs(401, kind, "bob", "/")
	}
	h.apply(revocation(kind, "nobody-of-that-name"))
	h.wantAs(200, kind, "bob", "/")
	h.apply()
	if after := h.credentials(); after != before {
		h.Errorf("credentials before and after:\n%s\n%s", before, after)
	}
}

// credentials is what the gateway has of them, "" where it keeps none.
func (h *harness) credentials() string {
	if h.probe.Credentials == nil {
		return ""
	}
	return h.probe.Credentials(h)
}

// again has another Portcullis go on, as after a restart of ours.
func (h *harness) again() {
	if h.probe.Again != nil {
		h.gw = h.probe.Again(h)
	}
}

// takenOver: what one Portcullis pushed the next one knows, and takes away.
func takenOver(h *harness) {
	if h.probe.Again == nil {
		h.Log("does not apply: the probe has no Again")
		return
	}
	set := []enforce.Entry{entry("192.0.2.1")}
	slow := throttled("203.0.113.5", 1, 3)
	if h.can(slow) {
		set = append(set, slow)
	}
	for _, kind := range h.probe.Kinds {
		value, _ := h.probe.value(kind)
		set = append(set, named(kind, value))
	}
	h.apply(set...)
	h.again()
	if got := h.apply(set...); got.Changed != 0 && h.probe.Remembers {
		h.Errorf("Applied.Changed is %d when another Portcullis applies the same", got.Changed)
	}
	h.want(403, "192.0.2.1")
	h.again()
	h.apply()
	h.want(200, "192.0.2.1", "203.0.113.5")
	for _, kind := range h.probe.Kinds {
		value, _ := h.probe.value(kind)
		h.wantAsk(200, Ask{Client: elsewhere, As: detect.Subject{Kind: kind, Value: value}, Path: "/"})
	}
}
