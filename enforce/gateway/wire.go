package gateway

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// wireEntry is an entry as programs of others read it: in a file, a hook's input, a
// webhook's body. It holds no reason, which an attacker could have written; value and
// route may hold anything that a client sent, as JSON text.
type wireEntry struct {
	ID     string  `json:"id,omitempty"` // of the decision
	Kind   string  `json:"kind"`         // ip, cidr, consumer, key, …
	Value  string  `json:"value"`
	Route  string  `json:"route,omitempty"` // confined to this route template
	Action string  `json:"action"`
	Rate   float64 `json:"rate,omitempty"`  // requests a second
	Burst  int     `json:"burst,omitempty"` // requests above the rate at once
	Until  string  `json:"until,omitempty"` // RFC 3339
}

func wireOf(e *enforce.Entry) wireEntry {
	s := e.Target().Of()
	w := wireEntry{Kind: s.Kind, Value: s.Value, Route: e.Route, Action: string(e.Action)}
	if e.Action == enforce.Throttle {
		w.Rate, w.Burst = e.Rate, e.Burst
	}
	if e.Decision != "" && strings.Trim(e.Decision, "0123456789abcdef") == "" {
		w.ID = e.Decision
	}
	if e.Until != 0 {
		w.Until = time.Unix(0, e.Until).UTC().Format(time.RFC3339)
	}
	return w
}

// wireChange is what a hook or a webhook is told.
type wireChange struct {
	Version int         `json:"version"` // 1
	Whole   bool        `json:"whole"`   // entries is all there is to be; what was before is to be forgotten
	Entries []wireEntry `json:"entries,omitempty"`
	Added   []wireEntry `json:"added,omitempty"` // also those that changed
	Removed []wireEntry `json:"removed,omitempty"`
}

// changeTo is the difference between what is known to hold (nil = nothing is known) and
// what is wanted.
func changeTo(was map[enforce.Target]wireEntry, list []enforce.Entry) (c wireChange, now map[enforce.Target]wireEntry, changed int) {
	c.Version = 1
	now = make(map[enforce.Target]wireEntry, len(list))
	for i := range list {
		t, w := list[i].Target(), wireOf(&list[i])
		now[t] = w
		if old, ok := was[t]; !ok || old != w {
			c.Added = append(c.Added, w)
		}
	}
	for t, w := range was {
		if _, stays := now[t]; !stays {
			c.Removed = append(c.Removed, w)
		}
	}
	slices.SortFunc(c.Removed, func(a, b wireEntry) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	changed = len(c.Added) + len(c.Removed)
	if was == nil {
		c.Whole, c.Entries, c.Added = true, c.Added, nil
	}
	return c, now, changed
}

// OwnKinds are the settings of gateways whose abilities only the person
// knows who has written them.
type OwnKinds struct {
	Kinds   []string `yaml:"kinds" default:"ip,cidr" enum:"ip,cidr,consumer,account,key,session,fingerprint,asn,country,route" doc:"Subjects that it can hold: ip, cidr, consumer, account, key, session, fingerprint, asn, country, route."`
	Actions []string `yaml:"actions" default:"block,throttle" enum:"block,throttle,challenge,tarpit,revoke" doc:"What it can do: block, throttle, challenge, tarpit, revoke."`
	Routes  bool     `yaml:"routes" default:"false" doc:"Whether it can confine an entry to a route."`
}

// ability makes a Holder of the settings.
func (o OwnKinds) ability(name string) ownAbility {
	a := ownAbility{ability: ability{name: name, refuse: "\x00", kinds: map[string]string{}, routes: o.Routes || slices.Contains(o.Kinds, "route")}}
	for _, k := range o.Kinds {
		a.kinds[k] = "its own"
	}
	for _, act := range o.Actions {
		a.actions = append(a.actions, enforce.Action(act))
	}
	return a
}

// ownAbility also minds whether addresses can be held at all.
type ownAbility struct{ ability }

// Holds implements enforce.Holder.
func (a ownAbility) Holds(t enforce.Target, act enforce.Action) error {
	if s := t.Of(); t.Prefix.IsValid() && a.kinds[s.Kind] == "" {
		return fmt.Errorf("gateway %s: it cannot hold a subject of kind %.32q: see kinds in its settings", a.name, s.Kind)
	}
	return a.ability.Holds(t, act)
}

// normal is ability.normal with the same question.
func (a ownAbility) normal(want []enforce.Entry) ([]enforce.Entry, error) {
	if err := heldAll(a, want); err != nil {
		return nil, err
	}
	return a.ability.normal(want)
}
