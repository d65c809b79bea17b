package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/enforce"
)

// apisixRestriction are the settings of the plugin ip-restriction.
type apisixRestriction struct {
	Blacklist    []string `json:"blacklist"`
	ResponseCode int      `json:"response_code"`
}

// apisixFlow are the settings of the plugin workflow: the first case that is met counts.
type apisixFlow struct {
	Rules []apisixCase `json:"rules"`
}

// apisixCase limits whom a condition tells.
type apisixCase struct {
	Case    []any `json:"case"`
	Actions []any `json:"actions"`
}

// apisixWindow is a throttle as the plugin limit-count has it: so many requests in a window of
// so many seconds.
func apisixWindow(rate float64) (count, seconds int) {
	seconds = 10
	if rate*float64(seconds) < 1 {
		seconds = int(min(math.Ceil(1/rate), 3600))
	}
	return perSpan(rate, seconds), seconds
}

// apisixLimit are the settings of limit-count; what counts together has the same key.
func apisixLimit(rate float64, keyType, key string) object {
	count, seconds := apisixWindow(rate)
	return object{"count": count, "time_window": seconds, "key_type": keyType, "key": key, "rejected_code": 429, "policy": "local"}
}

// apisixRule renders the plugins of our global rule, and what they hold.
func apisixRule(list []enforce.Entry) (plugins object, holds held) {
	plugins, holds = object{}, held{}
	restriction := apisixRestriction{Blacklist: []string{}, ResponseCode: 403}
	var slow []*enforce.Entry
	for i := range list {
		switch e := &list[i]; {
		case !e.Prefix.IsValid():
		case e.Action == enforce.Throttle:
			slow = append(slow, e)
		default:
			text := cloudText(e.Prefix)
			restriction.Blacklist = append(restriction.Blacklist, text)
			holds[text] = "block"
		}
	}
	slices.SortStableFunc(slow, func(a, b *enforce.Entry) int { return cmp.Compare(b.Prefix.Bits(), a.Prefix.Bits()) }) // the narrowest first
	flow := apisixFlow{}
	for _, e := range slow {
		limit := apisixLimit(e.Rate, "constant", "portcullis-"+targetLabel(e.Target()))
		flow.Rules = append(flow.Rules, apisixCase{Case: []any{[]any{"remote_addr", "ipmatch", []string{e.Prefix.String()}}}, Actions: []any{[]any{"limit-count", limit}}})
		holds[e.Prefix.String()] = fmt.Sprint("throttle ", limit["count"], limit["time_window"])
	}
	if len(restriction.Blacklist) > 0 {
		plugins["ip-restriction"] = restriction
	}
	if len(flow.Rules) > 0 {
		plugins["workflow"] = flow
	}
	return plugins, holds
}

// apisixHolds reads what a rule holds; what is not like ours holds nothing that is known.
func apisixHolds(plugins map[string]json.RawMessage) held {
	h := held{}
	var restriction apisixRestriction
	if json.Unmarshal(plugins["ip-restriction"], &restriction) == nil {
		for _, a := range restriction.Blacklist {
			h[a] = "block"
		}
	}
	var flow struct {
		Rules []struct {
			Case    [][]json.RawMessage `json:"case"`
			Actions [][]json.RawMessage `json:"actions"`
		} `json:"rules"`
	}
	_ = json.Unmarshal(plugins["workflow"], &flow)
	for i, r := range flow.Rules {
		var of []string
		var limit struct {
			Count  int `json:"count"`
			Window int `json:"time_window"`
		}
		key := fmt.Sprint("rule ", i)
		if len(r.Case) == 1 && len(r.Case[0]) == 3 && json.Unmarshal(r.Case[0][2], &of) == nil && len(of) == 1 {
			if p, err := netip.ParsePrefix(of[0]); err == nil {
				key = p.String()
			}
		}
		if len(r.Actions) == 1 && len(r.Actions[0]) == 2 {
			_ = json.Unmarshal(r.Actions[0][1], &limit) // else it is none of ours, and differs
		}
		h[key] = fmt.Sprint("throttle ", limit.Count, limit.Window)
	}
	return h
}

// covers tells whether JSON that was read has all that is wanted, and maybe defaults beside.
func covers(read, wanted any) bool {
	switch w := wanted.(type) {
	case map[string]any:
		r, ok := read.(map[string]any)
		for key, value := range w {
			if !ok || !covers(r[key], value) {
				return false
			}
		}
		return ok
	case []any:
		r, ok := read.([]any)
		if !ok || len(r) != len(w) {
			return false
		}
		for i := range w {
			if !covers(r[i], w[i]) {
				return false
			}
		}
		return true
	}
	return read == wanted
}

// apisixBody is the most that the Admin API reads of a request.
const apisixBody = 3 << 19

func (g *APISIX) rulePath() string { return "/apisix/admin/global_rules/" + g.cfg.Rule }

// become makes our global rule the one that is wanted, in one step.
func (g *APISIX) become(ctx context.Context, list []enforce.Entry) (changed int, err error) {
	have, there, err := g.rule(ctx)
	if err != nil {
		return 0, err
	}
	plugins, now := apisixRule(list)
	text, err := json.Marshal(object{"plugins": plugins})
	if err != nil {
		return 0, err
	}
	if len(text) > apisixBody {
		return 0, fmt.Errorf("%d addresses make a rule of %d bytes, and the Admin API takes %d: the last state stays; decide on networks, or on fewer", len(now), len(text), apisixBody)
	}
	changed = now.changed(apisixHolds(have))
	if len(plugins) == 0 {
		if !there {
			return 0, nil
		}
		if _, err := g.api.call(ctx, "DELETE", g.rulePath(), nil, nil); err != nil && !refusedWith(err, 404) {
			return 0, err
		}
		return max(changed, 1), nil
	}
	if changed == 0 && len(have) == len(plugins) && coversRule(have, text) {
		return 0, nil
	}
	_, err = g.api.call(ctx, "PUT", g.rulePath(), json.RawMessage(text), nil)
	return max(changed, 1), err
}

// coversRule tells whether the plugins of a rule are those of a rule that would be written,
// but for the order of addresses.
func coversRule(have map[string]json.RawMessage, text []byte) bool {
	var want struct {
		Plugins map[string]any `json:"plugins"`
	}
	if json.Unmarshal(text, &want) != nil {
		return false
	}
	for name, w := range want.Plugins {
		var read any
		if json.Unmarshal(have[name], &read) != nil {
			return false
		}
		if name == "ip-restriction" {
			delete(w.(map[string]any), "blacklist") // compared as a set before
		}
		if !covers(read, w) {
			return false
		}
	}
	return true
}

// rule reads the plugins of our rule.
func (g *APISIX) rule(ctx context.Context) (plugins map[string]json.RawMessage, there bool, err error) {
	var got struct {
		Value struct {
			Plugins map[string]json.RawMessage `json:"plugins"`
		} `json:"value"`
	}
	_, err = g.api.call(ctx, "GET", g.rulePath(), nil, &got)
	switch {
	case refusedWith(err, 404):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	return got.Value.Plugins, true, nil
}
