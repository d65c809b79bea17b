package rule

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("key-shared", detect.Spec{
		Doc:     "an API key, token or session that had a settled use is used by turns from a network and with a program that it never was used with, or from many networks at once: it leaked, was stolen, or is passed around",
		Family:  detect.Credential,
		Version: 2,
		Tags:    []string{"owasp:api2:2023", "attack:T1550.001", "attack:T1528", "attack:T1539"},
		Needs:   "an API key, a bearer token or a session id (of which only pseudonyms are kept), client address; user agent; autonomous systems (enrich.asn) make it surer",
		Fields:  []ingest.Fields{ingest.FieldKey | ingest.FieldToken | ingest.FieldSession, ingest.FieldAgent},
		Helps:   ingest.FieldTarget | ingest.FieldASN,
		State:   "per key, token or session in use: 200 bytes, and 72 for each of the last 16 places it was used from",
		Evasion: "silent for a thief who uses the owner's network, for one who imitates its user agent and asks for fewer than twice routes new routes, for more of those that the owner asks for, or not while the owner does, for keys that are used from many networks anyway, and until settle has passed",
		By:      detect.ByIdentity,
		Concern: detect.Any,
		Config:  func() any { return new(KeySharedConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &keyShared{env: env, cfg: cfg.(*KeySharedConfig)}
			env.Shape("places2")
			r.state = detect.NewSparse(env, (*holders).code)
			return r, nil
		},
	})
}

// KeySharedConfig is the "key-shared" section of the config file.
type KeySharedConfig struct {
	Settle   time.Duration `yaml:"settle" default:"15m" doc:"how long a key must have been in use, with at least 20 requests, before a place can be strange to it"`
	Meetings int           `yaml:"meetings" default:"2" doc:"times that a strange place and an old one must have used it by turns: who moves does not come back (reasoning, not measured)"`
	Routes   int           `yaml:"routes" default:"2" doc:"routes that a strange place asks and no other ever did, that make a finding at once, where the key has been in use for two hours (reasoning, not measured)"`
	Networks int           `yaml:"networks" default:"6" doc:"networks within ten minutes that make a finding at least; besides they must be four times as many as is usual for the key"`
}

// Check implements validation for the config loader.
func (c *KeySharedConfig) Check(report func(key, message string)) {
	if c.Settle < time.Minute {
		report("settle", "must be at least 1m")
	}
	if c.Meetings < 1 {
		report("meetings", "must be at least 1")
	}
	if c.Routes < 1 {
		report("routes", "must be at least 1")
	}
	if c.Networks < 3 || c.Networks > mostPlaces {
		report("networks", fmt.Sprintf("must be between 3 and %d", mostPlaces))
	}
}

// holders is the state of one key.
type holders struct {
	whereabouts
	stretch int64  // number of the present ten minutes
	most    uint32 // networks in one bucket's look back, in this stretch
	usual   uint32 // the most of earlier stretches
	full    uint32 // stretches with a use
}

const (
	holdersStretch = 600      // seconds
	longSettled    = 2 * hour // in use for so long, a key's routes are known
	holdersTurns   = 300      // seconds between uses by turns of a place whose network alone is strange
	keyUses        = 20
)

// doors is how many routes are asked from a strange place and from no other, at least.
func (h *holders) doors(p *place) int { return bits.OnesCount64(p.routes &^ h.routes) }

func (h *holders) code(k *window.Codec) {
	h.whereabouts.code(k)
	k.I64(&h.stretch)
	k.U32(&h.most)
	k.U32(&h.usual)
	k.U32(&h.full)
}

type keyShared struct {
	env   *detect.Env
	cfg   *KeySharedConfig
	state *detect.Sparse[holders]
}

// Observe implements detect.Rule: what it needs comes by Use.
func (r *keyShared) Observe(*ingest.Event, detect.Slot) {}

// Use implements detect.User.
func (r *keyShared) Use(u *detect.Use, slot detect.Slot) {
	switch r.env.Subject(slot).Kind {
	case "key", "session":
		r.state.At(slot).use(r.env, u, slot)
	}
}

// Explain implements detect.Explainer.
func (r *keyShared) Explain(ev *ingest.Event) (bool, string) {
	if ev.Key == "" && ev.Token == "" && ev.Session == "" {
		return false, "the line has no key, token or session"
	}
	return true, fmt.Sprintf("a place where it is used; a finding if that is strange to it, %d times by turns with others, or %d networks at once", r.cfg.Meetings, r.cfg.Networks)
}

// Close implements detect.Rule.
func (r *keyShared) Close(slot detect.Slot, sec int64) {
	h := r.state.Get(slot)
	if h == nil {
		return
	}
	if h.close(r.env, slot, sec, func(sec int64, p *stop, known *place) { r.take(h, slot, sec, p, known) }) {
		r.state.Drop(slot)
	} else if h.first == 0 {
		*h = holders{whereabouts: h.whereabouts}
	}
}

func (r *keyShared) take(h *holders, slot detect.Slot, sec int64, p *stop, known *place) {
	settled := h.settled(sec, int64(r.cfg.Settle/time.Second), keyUses)
	if known.fresh(p) && settled && h.strange(known, sec) {
		known.odd = uint32(sec)
	}
	networks := h.count(sec)
	needed := max(uint32(r.cfg.Networks), 4*h.usual+2)
	fires := h.full >= 3 && networks >= needed
	if met := h.meet(p, known, sec, func(*place, *place) bool { return true }); met != nil && int(met.met) >= r.cfg.Meetings {
		e := h.fire(sec, int64(met.first), p)
		e.level = max(e.level, int64(met.met))
		e.told = max(e.told, int64(h.doors(met)))
		h.list(met)
		r.env.Report(slot, r.judge(h))
	} else if known.odd != 0 && h.doors(known) >= r.cfg.Routes && int64(known.odd)-int64(h.first) >= longSettled {
		e := h.fire(sec, int64(known.first), p)
		e.told = max(e.told, int64(h.doors(known)))
		h.list(known)
		r.env.Report(slot, r.judge(h))
	} else if h.mingles(p, known, sec, settled) >= 5*r.cfg.Meetings && h.doors(known) >= max(2*r.cfg.Routes, bits.OnesCount64(known.routes)/2+1) && int64(known.alien)-int64(h.first) >= longSettled {
		e := h.fire(sec, int64(known.first), p)
		e.told, e.times = max(e.told, int64(h.doors(known))), max(e.times, float64(known.met))
		h.list(known)
		r.env.Report(slot, r.judge(h))
	}
	if fires {
		e := h.fire(sec, sec, p)
		e.shown = max(e.shown, int64(networks))
		for i := range h.places {
			if q := &h.places[i]; int64(q.last) > sec-holdersStretch {
				h.list(q)
			}
		}
		r.env.Report(slot, r.judge(h))
	}
}

// mingles counts the buckets in which a place whose network alone is strange was in use by
// turns with others, within minutes. A telephone on the road leaves one behind.
func (h *holders) mingles(p *stop, known *place, sec int64, settled bool) int {
	if known.fresh(p) && settled && known.odd == 0 && h.stranded(known) {
		known.alien = uint32(sec)
	}
	if known.alien == 0 {
		return 0
	}
	for i := range h.places {
		if q := &h.places[i]; q.odd == 0 && q.alien == 0 && q.last > known.first && sec-int64(q.last) < holdersTurns {
			known.met++
			break
		}
	}
	return int(known.met)
}

// stranded reports whether neither the network nor the autonomous system of a place was
// known, which must be known itself.
func (h *holders) stranded(p *place) bool {
	if p.asn == 0 || len(h.places) > mostPlaces/2 {
		return false
	}
	for i := range h.places {
		if q := &h.places[i]; !q.same(p) && (q.asn == p.asn || q.asn == 0 || q.who.network() == p.who.network()) {
			return false
		}
	}
	return len(h.places) > 1
}

// count is from how many networks the key was used within a stretch, and keeps what is
// usual.
func (h *holders) count(sec int64) uint32 {
	if n := sec / holdersStretch; n != h.stretch {
		if h.most > 0 {
			h.usual, h.full = max(h.usual, h.most), h.full+1
		}
		h.stretch, h.most = n, 0
	}
	n := uint32(0)
	for i := range h.places {
		q := &h.places[i]
		if int64(q.last) <= sec-holdersStretch {
			continue
		}
		n++
		for j := range i {
			if x := &h.places[j]; int64(x.last) > sec-holdersStretch && x.who.network() == q.who.network() {
				n--
				break
			}
		}
	}
	if h.now == nil {
		h.most = max(h.most, n)
	}
	return n
}

func (r *keyShared) judge(h *holders) detect.Finding {
	e := h.now
	f := e.finding()
	f.Severity, f.Confidence = detect.Medium, 0.75
	if e.level > 0 && e.told != 0 || e.level >= 10 || len(h.listed) >= 3 {
		f.Severity, f.Confidence = detect.High, 0.85
	}
	f.Members = h.members()
	switch {
	case e.level == 0 && e.times > 0:
		f.Why = fmt.Sprintf("used since %s from an autonomous system that is strange to it, %d times by turns with where it was used before, and for %d routes that it never was used for",
			detect.FormatTime(e.first*1e9), int64(e.times), e.told)
	case e.level > 0 || e.told > 0:
		f.Why = fmt.Sprintf("used since %s from a network and with a program that are strange to it, %d times by turns with where it was used before, and for %d routes that it never was used for",
			detect.FormatTime(e.first*1e9), e.level, e.told)
	default:
		f.Why = fmt.Sprintf("used from %d networks within ten minutes; usual are %d", e.shown, h.usual)
	}
	return f
}
