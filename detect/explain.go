package detect

import "github.com/portcullis/portcullis/ingest"

// Thought is what one detector makes of one event by itself.
type Thought struct {
	Rule    string `json:"rule"`
	Family  Family `json:"family"`
	Counts  bool   `json:"counts"`  // the event adds to the detector's state
	Because string `json:"because"` // why, and how much it takes to make a finding
}

// Explainer is a Rule that can say what it makes of one event, for people.
type Explainer interface {
	// Explain returns whether the event, which the Spec's Concern admits, counts, and
	// why. It changes nothing.
	Explain(ev *ingest.Event) (counts bool, because string)
}

// Explain asks every detector what it makes of one event. It changes no state and
// is for an engine that is not fed at the same time. Detectors of level two are
// asked where it is here.
func (e *Engine) Explain(ev *ingest.Event) []Thought {
	w := e.workers[0]
	w.equip()
	w.sh = w.shard(w.number)
	w.probed, w.inspected = w.prober.look(ev), false
	w.request = w.prober.request(ev, w.probed.AgentHash)
	need := w.concerns(ev) | Held
	var out []Thought
	for i, r := range w.rules {
		out = append(out, thought(r, w.live[i], ev, need, ""))
	}
	if e.wide == nil {
		return out
	}
	for _, l := range e.wide.levels[ByClient+1:] {
		for i, r := range l.rules {
			out = append(out, thought(r, l.live[i], ev, need, l.by.missing(ev)))
		}
	}
	return out
}

func thought(c RuleConfig, r Rule, ev *ingest.Event, need Concern, missing string) Thought {
	t := Thought{Rule: c.Name, Family: c.Spec.Family}
	switch {
	case need&c.Spec.Concern == 0:
		t.Because = unconcerned(c.Spec.Concern)
	case missing != "":
		t.Because = missing
	default:
		t.Counts, t.Because = true, c.Spec.Doc
		if x, ok := r.(Explainer); ok {
			t.Counts, t.Because = x.Explain(ev)
		}
	}
	return t
}

// unconcerned says why an event has none of the properties a detector asks for.
func unconcerned(c Concern) string {
	switch {
	case c&Refused != 0:
		return "no credentials were refused: that is status 401, or 400, 403 or 422 on a login or token route"
	case c&Suspicious != 0:
		return "the first pass of the inspection proves it harmless"
	case c&Leaking != 0:
		return "no parameter of the target names a credential"
	case c&(ClientError|Probing) != 0:
		return "neither a client error nor a path or agent known from scanners"
	}
	return "not what it looks for"
}
