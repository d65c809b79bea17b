package enforce

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect"
)

// targetOf is whom a decision hits. The error says that the subject is none that a
// gateway could look up.
func targetOf(s detect.Subject, route string) (Target, error) {
	switch s.Kind {
	case "ip", "cidr":
		p, err := Prefix(s)
		return Target{Prefix: p, Route: route}, err
	case "class":
		if _, ok := detect.ParseClass(s); !ok {
			return Target{}, fmt.Errorf("enforce: %s is no class: want a route and a quoted user agent", quoted(s.Value))
		}
		return Target{Subject: s}, nil
	case "consumer", "account", "key", "session", "fingerprint", "asn", "country", "route":
		if s.Value == "" {
			return Target{}, fmt.Errorf("enforce: a subject of kind %s has no value", quoted(s.Kind))
		}
		if s.Kind == "route" { // whoever asks for it
			return Target{Subject: s}, nil
		}
		return Target{Subject: s, Route: route}, nil
	}
	return Target{}, fmt.Errorf("enforce: no gateway can tell a subject of kind %s by a request", quoted(s.Kind))
}

// entries is what the gateways should hold: one entry a target, the strongest; of equally
// strong ones the first. Classes spare those prefixes.
func entries(live []*Decision, spare string) []Entry {
	all := make([]Entry, 0, len(live))
	order := make([]int32, 0, len(live))
	for _, d := range live {
		if e, ok := entryOf(d, spare); ok {
			order = append(order, int32(len(all)))
			all = append(all, e)
		}
	}
	slices.SortFunc(order, func(i, j int32) int {
		a, b := &all[i], &all[j]
		c := compareTargets(a.Target(), b.Target())
		switch {
		case c != 0:
			return c
		case stronger(a.Action, b.Action):
			return -1
		case stronger(b.Action, a.Action):
			return 1
		}
		return cmp.Compare(i, j)
	})
	out := make([]Entry, 0, len(all))
	for _, i := range order {
		if n := len(out); n == 0 || out[n-1].Target() != all[i].Target() {
			out = append(out, all[i])
		}
	}
	return out
}

func compareTargets(a, b Target) int {
	if c := a.Prefix.Addr().Compare(b.Prefix.Addr()); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()),
		strings.Compare(a.Subject.Kind, b.Subject.Kind), strings.Compare(a.Subject.Value, b.Subject.Value), strings.Compare(a.Route, b.Route))
}

// fitting is what of the wanted entries one gateway holds; the same memory where that is
// all of them.
func fitting(gw Gateway, want []Entry) []Entry {
	n := 0
	for n < len(want) && fit(gw, want[n].Target(), want[n].Action) == want[n].Action {
		n++
	}
	if n == len(want) {
		return want
	}
	out := append(make([]Entry, 0, len(want)), want[:n]...)
	for _, e := range want[n:] {
		if a := fit(gw, e.Target(), e.Action); a != "" {
			e.Action = a
			out = append(out, e)
		}
	}
	return out
}

// fit is the action by which a gateway holds a decision: a gateway that cannot keep
// an attacker waiting refuses him at once. "" means that it holds nothing of it.
func fit(gw Gateway, t Target, a Action) Action {
	switch {
	case Holds(gw, t, a) == nil:
		return a
	case a == Tarpit && Holds(gw, t, Block) == nil:
		return Block
	}
	return ""
}

// can asks whether any of the gateways takes such a decision. Without any, all that
// a gateway lists by address is made, for the day that there is one.
func (e *Enforcer) can(s detect.Subject, route string, a Action) error {
	t, err := targetOf(s, route)
	if err != nil {
		return err
	}
	if len(e.pushers) == 0 {
		return Holds(noGateway{}, t, a)
	}
	for _, p := range e.pushers {
		if fit(p.gw, t, a) != "" {
			return nil
		}
		if err == nil {
			err = Holds(p.gw, t, a)
		}
	}
	return err
}

// holders names the gateways that hold a decision.
func (e *Enforcer) holders(d *Decision) (names []string) {
	t, err := targetOf(d.Subject, d.Route)
	if err != nil {
		return nil
	}
	for _, p := range e.pushers {
		if fit(p.gw, t, d.Action) != "" {
			names = append(names, p.gw.Name())
		}
	}
	return names
}

// noGateway stands for gateways to come.
type noGateway struct{ Gateway }

// Name implements Gateway.
func (noGateway) Name() string { return "none" }
