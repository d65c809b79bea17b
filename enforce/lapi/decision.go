package lapi

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/exchange"
)

// The words of the API.
const (
	typeBan     = "ban"
	typeCaptcha = "captcha"
	scopeIP     = "Ip"
	scopeRange  = "Range"
	originLists = "lists"
)

// decision is one as the API has it. The order of the fields is that of the recording.
type decision struct {
	Duration string `json:"duration"` // time left; negative for one that is over
	ID       int64  `json:"id"`
	Origin   string `json:"origin"`
	Scenario string `json:"scenario"`
	Scope    string `json:"scope"`
	Type     string `json:"type"`
	UUID     string `json:"uuid,omitempty"` // in streams only
	Value    string `json:"value"`
}

// render puts an item into words; ok is false for one that bouncers are not told of.
func (s *Server) render(it *exchange.Item, now time.Time, uuid bool) (d decision, ok bool) {
	d = decision{ID: it.Number(), Origin: s.cfg.Origin, Scenario: it.Rule, Scope: scopeRange, Value: it.Prefix.String()}
	switch it.Action {
	case enforce.Block:
		d.Type = typeBan
	case enforce.Challenge:
		d.Type = typeCaptcha
	case enforce.Throttle:
		d.Type = s.cfg.Throttle
	}
	if d.Type == "" {
		return d, false
	}
	if it.Prefix.IsSingleIP() {
		d.Scope, d.Value = scopeIP, it.Prefix.Addr().String()
	}
	if it.List != "" {
		d.Origin = originLists
	}
	if d.Scenario == "" {
		d.Scenario = "portcullis"
	}
	if uuid {
		d.UUID = it.UUID()
	}
	until := it.Expires
	if it.Ended != 0 {
		until = min(until, it.Ended-int64(time.Second)) // over, and told so
	}
	d.Duration = time.Unix(0, until).Sub(now).Round(time.Second).String()
	return d, true
}

// filter is what a request asks for; the zero value is all.
type filter struct {
	scopes, origins, types []string
	containing, not        []string
	value                  string
	at                     netip.Prefix // of ip and range
	inside                 bool         // what lies within at, not what contains it
}

// filterOf reads a query. stream asks for addresses and ranges alone where it names no
// scopes. Parameters that are not known are let be.
func filterOf(q url.Values, stream bool) (f filter, err error) {
	f.scopes = words(q, "scopes", "scope")
	if stream && len(f.scopes) == 0 {
		f.scopes = []string{scopeIP, scopeRange}
	}
	f.origins, f.types = words(q, "origins"), words(q, "type")
	f.containing, f.not = words(q, "scenarios_containing"), words(q, "scenarios_not_containing")
	f.value = q.Get("value")
	f.inside = strings.EqualFold(q.Get("contains"), "false")
	if v := q.Get("ip"); v != "" {
		a, err := netip.ParseAddr(v)
		if err != nil {
			return f, fmt.Errorf("invalid ip address %.64q: want one such as 192.0.2.1 or 2001:db8::1", v)
		}
		a = a.Unmap().WithZone("")
		f.at = netip.PrefixFrom(a, a.BitLen())
	}
	if v := q.Get("range"); v != "" {
		p, err := netip.ParsePrefix(v)
		if err != nil || p.Addr().Is4In6() {
			return f, fmt.Errorf("invalid range %.64q: want one such as 192.0.2.0/24", v)
		}
		f.at = p.Masked()
	}
	return f, nil
}

// words are the values of a parameter, separated by commas.
func words(q url.Values, names ...string) (out []string) {
	for _, name := range names {
		for _, v := range q[name] {
			for w := range strings.SplitSeq(v, ",") {
				if w = strings.TrimSpace(w); w != "" && len(out) < 64 {
					out = append(out, w)
				}
			}
		}
	}
	return out
}

func (f *filter) fits(d *decision, p netip.Prefix) bool {
	switch {
	case len(f.scopes) > 0 && !has(f.scopes, d.Scope, strings.EqualFold),
		len(f.origins) > 0 && !has(f.origins, d.Origin, strings.EqualFold),
		len(f.types) > 0 && !has(f.types, d.Type, strings.EqualFold),
		len(f.containing) > 0 && !has(f.containing, d.Scenario, within),
		len(f.not) > 0 && has(f.not, d.Scenario, within),
		f.value != "" && f.value != d.Value:
		return false
	case !f.at.IsValid():
		return true
	case f.inside:
		return f.at.Bits() <= p.Bits() && f.at.Contains(p.Addr())
	}
	return p.Bits() <= f.at.Bits() && p.Contains(f.at.Addr())
}

func has(words []string, of string, match func(of, word string) bool) bool {
	for _, w := range words {
		if match(of, w) {
			return true
		}
	}
	return false
}

func within(of, word string) bool {
	return strings.Contains(strings.ToLower(of), strings.ToLower(word))
}
