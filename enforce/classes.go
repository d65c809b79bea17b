package enforce

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// judgeClasses decides about what a fleet's requests have in common: a throttle of the
// class holds up those of its clients, too, that nobody knows yet. It comes before its
// members are judged. Where no gateway can tell the class, nothing is decided on it, since
// the members are acted on anyway.
func (e *Enforcer) judgeClasses(ctx context.Context, b *batch, f *detect.Finding, now time.Time) error {
	for _, s := range f.SuspectList() {
		one := classFinding(f, s)
		if e.can(one.Subject, "", Throttle) != nil {
			continue
		}
		if err := e.judgeOne(ctx, b, &one, false, now); err != nil {
			return err
		}
	}
	return nil
}

// classFinding is a finding as it concerns one of its classes. Its standing is known:
// the ordinary clients of the class, and not the fleet's.
func classFinding(f *detect.Finding, s detect.Suspects) detect.Finding {
	one := *f
	one.Subject, one.Route, one.Members, one.Suspects = s.Class.Subject(), "", "", ""
	one.Standing, one.Count = s.Standing, s.Clients
	one.Why = fmt.Sprintf("%s; %d of the clients have the user agent %.80q, and hardly anybody else here", f.Why, s.Clients, s.Class.Agent)
	return one
}

// What a class keeps: ten times what its ordinary clients ask for on an average of the
// day, since they do not come evenly, but never less than one request in ten seconds, nor
// more than any other subject.
const (
	classRoom  = 10
	classLeast = 0.1
)

// pace is what a throttled subject keeps.
func (p *Policy) pace(f *detect.Finding) (rate float64, burst int) {
	rate, burst = p.cfg.Rate, p.cfg.Burst
	if f.Subject.Kind == "class" {
		day := (24 * time.Hour).Seconds()
		rate = min(rate, max(classLeast, classRoom*float64(f.Standing.Successes)/day))
	}
	return rate, burst
}

// spared are the addresses that no class may hit, in the form of Entry.Spare: who is on
// the allow-list of the configuration or of the ledger, and what is never acted on. A
// class stands for requests of anybody, so that the gateway has to look.
func (g *Guard) spared(allows []Allow, now int64) string {
	list := slices.Clone(g.untouchable)
	for _, s := range g.allow {
		list = append(list, s.prefix)
	}
	for _, a := range allows {
		if a.Expires != 0 && a.Expires <= now {
			continue
		}
		if s, err := newSelector(a.Value); err == nil {
			list = append(list, s.prefix)
		}
	}
	list = slices.DeleteFunc(list, func(p netip.Prefix) bool { return !p.IsValid() })
	slices.SortFunc(list, netip.Prefix.Compare)
	var b strings.Builder
	for i, p := range slices.Compact(list) {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// Spared are the prefixes that the entry does not hit. Words that are none are left out.
func (e *Entry) Spared() []netip.Prefix {
	var out []netip.Prefix
	for word := range strings.FieldsSeq(e.Spare) {
		if p, err := netip.ParsePrefix(word); err == nil {
			out = append(out, p)
		}
	}
	return out
}
