package alert

import (
	"cmp"
	"slices"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/campaign"
)

// keyOver is the alert that the findings of others are added to while too many are open.
const keyOver = "over"

// group puts findings into alerts. Campaigns come first, so that what belongs to them is
// not an alert of its own.
func (e *Engine) group(found map[string]detect.Finding, now time.Time) {
	list := make([]*detect.Finding, 0, len(found))
	for id := range found {
		f := found[id]
		if e.wanted(&f, now) {
			list = append(list, &f)
		}
	}
	slices.SortFunc(list, func(a, b *detect.Finding) int {
		return cmp.Or(campaignsFirst(a.Rule == campaign.Rule, b.Rule == campaign.Rule), cmp.Compare(a.FiredAt, b.FiredAt), cmp.Compare(a.ID, b.ID))
	})
	changed := map[string]bool{}
	for _, f := range list {
		if id := e.add(f, now); id != "" {
			changed[id] = true
		}
	}
	for id := range changed {
		if a, t := e.alerts[id], e.tallies[id]; a != nil && t != nil {
			t.sum(a)
			e.touch(kindAlert, id)
		}
	}
	if len(list) > 0 {
		e.touch(kindEngine, "place")
	}
}

func campaignsFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// wanted reports whether a finding is to be told of at all.
func (e *Engine) wanted(f *detect.Finding, now time.Time) bool {
	e.place.Seen, e.place.At = max(e.place.Seen, f.LastSeen), now.UnixNano()
	switch {
	case f.Severity < e.Config.minSeverity():
		return false
	case now.Sub(time.Unix(0, f.LastSeen)) > e.Config.MaxAge:
		e.stats.Old++
		return false
	}
	return true
}

// add puts a finding into its alert and returns the id of that, "" if it was there.
func (e *Engine) add(f *detect.Finding, now time.Time) string {
	if f.Rule == campaign.Rule {
		return e.addCampaign(f, now)
	}
	anchor := ""
	if f.Severity >= detect.Medium {
		anchor = campaign.Name(f)
	}
	key := ruleKey(f)
	if a := e.alerts[e.where[f.ID]]; a != nil && a.State == Open {
		key = a.Key // also where its route is another one by now
	} else if anchor != "" && e.open[campaignKey(anchor)] != nil {
		key = campaignKey(anchor)
	} else if e.told(f, key) || anchor != "" && e.told(f, campaignKey(anchor)) {
		return ""
	}
	a := e.alertOf(f, key, now)
	t := e.tallies[a.ID]
	fresh, full := t.take(f, anchor, len(t.parts) < partsMost && len(e.where) < partsMostEver)
	if !fresh {
		return ""
	}
	a.AtLeast = a.AtLeast || full
	if !full {
		e.where[f.ID] = a.ID
	}
	e.join(a, f, now)
	return a.ID
}

// addCampaign takes in what a campaign says of itself, and the findings that were alerts
// of their own until now.
func (e *Engine) addCampaign(f *detect.Finding, now time.Time) string {
	key := campaignKey(f.Subject.Value)
	if e.told(f, key) {
		return ""
	}
	a := e.alertOf(f, key, now)
	t := e.tallies[a.ID]
	if a.Why == f.Why && a.Last >= f.LastSeen && t.members == int64(len(f.MemberList())) && a.Campaign != "" && len(t.parts) > 0 {
		return ""
	}
	a.Campaign, a.Why, a.Route = f.Subject.Value, f.Why, f.Route
	t.members = max(t.members, int64(len(f.MemberList())))
	e.join(a, f, now)
	for _, o := range e.open {
		if o != a && o.Campaign == "" {
			e.fold(o, a, f.Subject.Value, now)
		}
	}
	return a.ID
}

// fold moves the findings of a campaign from another alert to the campaign's.
func (e *Engine) fold(from, to *Alert, anchor string, now time.Time) {
	t := e.tallies[from.ID]
	moved := t.drop(anchor)
	if len(moved) == 0 {
		return
	}
	into := e.tallies[to.ID]
	for id, p := range moved {
		into.parts[id], e.where[id] = p, to.ID
		into.requests[p.subject] += p.count
		to.Severity = max(to.Severity, p.severity)
	}
	to.First, to.Last = min(to.First, from.First), max(to.Last, from.Last)
	to.AtLeast = to.AtLeast || from.AtLeast
	e.touch(kindAlert, from.ID)
	if len(t.parts) > 0 || t.base.findings > 0 {
		t.sum(from)
		return
	}
	from.Into = to.ID
	e.close(from, now)
	if !from.everTold() { // nobody has heard of it
		e.forget(from)
	}
}

// told reports whether an alert that is resolved has told of the finding.
func (e *Engine) told(f *detect.Finding, key string) bool {
	a := e.recent[key]
	return a != nil && a.Into == "" && f.LastSeen <= a.Last && e.open[key] == nil
}

// alertOf is the open alert with a key; where there is none it begins.
func (e *Engine) alertOf(f *detect.Finding, key string, now time.Time) *Alert {
	if a := e.open[key]; a != nil {
		return a
	}
	if len(e.open) >= openMost {
		if key = keyOver; e.open[key] != nil {
			return e.open[key]
		}
	}
	a := &Alert{Key: key, Rule: f.Rule, Family: f.Family, Opened: now.UnixNano(), State: Open, First: f.FirstSeen, Last: f.LastSeen, Told: map[string]*Delivery{}}
	if key == keyOver {
		a.Rule, a.Why = "many", "more alerts are open than are kept apart; these findings belong to others"
	}
	a.ID = alertID(key, a.Opened)
	e.alerts[a.ID] = a
	e.list(a)
	e.stats.Opened++
	e.touch(kindAlert, a.ID)
	if e.Tags != nil {
		a.Tags = e.Tags(f.Rule)
	}
	return a
}

// join takes over what is gravest and widest.
func (e *Engine) join(a *Alert, f *detect.Finding, now time.Time) {
	if !e.anew || a.Heard == 0 || f.LastSeen > a.Last { // else it was heard of before the restart
		a.Heard = now.UnixNano()
	}
	a.First, a.Last = min(a.First, f.FirstSeen), max(a.Last, f.LastSeen)
	if f.Severity >= a.Severity && a.Campaign == "" && a.Key != keyOver && (f.Severity > a.Severity || f.Confidence >= a.Confidence) {
		a.Why = f.Why
	}
	if a.Route == "" {
		a.Route = f.Route
	}
	a.Severity, a.Confidence = max(a.Severity, f.Severity), max(a.Confidence, f.Confidence)
}

// ruleKey is what findings that are no campaign share: the rule, and the route or whom
// they are about.
func ruleKey(f *detect.Finding) string {
	if f.Route != "" {
		return "rule\x00" + f.Rule + "\x00route\x00" + f.Route
	}
	return "rule\x00" + f.Rule + "\x00" + f.Subject.Kind + "\x00" + f.Subject.Value
}

func campaignKey(name string) string { return "campaign\x00" + name }

// close ends an alert.
func (e *Engine) close(a *Alert, now time.Time) {
	a.State, a.Closed = Closed, now.UnixNano()
	delete(e.open, a.Key)
	if t := e.tallies[a.ID]; t != nil {
		delete(e.tallies, a.ID)
		for id := range t.parts {
			delete(e.where, id)
		}
	}
	e.list(a)
	e.touch(kindAlert, a.ID)
}

// forget removes an alert.
func (e *Engine) forget(a *Alert) {
	delete(e.alerts, a.ID)
	if e.recent[a.Key] == a {
		delete(e.recent, a.Key)
	}
	e.touch(kindAlert, a.ID)
	if e.acks[a.ID] != nil {
		delete(e.acks, a.ID)
		e.touch(kindAck, a.ID)
	}
}

// everTold reports whether a channel took a notice of it, or one is on its way.
func (a *Alert) everTold() bool {
	for _, d := range a.Told {
		if d.Count > 0 || d.Trying != "" {
			return true
		}
	}
	return false
}
