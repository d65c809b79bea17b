package enforce

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
)

const (
	minute = int64(time.Minute)
	hour   = int64(time.Hour)
	day    = 24 * hour
)

// fact is a finding in short: at is minutes.
func fact(id string, fam detect.Family, sev detect.Severity, conf float64, at int64) detect.Finding {
	return detect.Finding{ID: id, Rule: "rule-" + string(fam), Family: fam, Severity: sev, Confidence: conf,
		Subject: detect.Subject{Kind: "ip", Value: "192.0.2.7"}, FiredAt: at * minute, LastSeen: at * minute}
}

func enforcing(change func(*PolicyConfig)) *Policy {
	cfg := DefaultConfig().Policy
	cfg.Families = FamilyModes{"enforce", "enforce", "enforce", "enforce", "enforce"}
	if change != nil {
		change(&cfg)
	}
	p, err := NewPolicy(cfg)
	if err != nil {
		panic(err)
	}
	return p
}

// strict wants more than one medium finding for a block.
func strict(c *PolicyConfig) { c.Block = 7 }

var ladderCases = map[string]struct {
	facts   []detect.Finding
	rec     Record
	live    *Decision
	change  func(*PolicyConfig)
	action  Action
	enforce bool
	code    string
	span    time.Duration
}{
	"one high blocks":                {facts: []detect.Finding{fact("a", detect.Credential, detect.High, 0.8, 1)}, action: Block, enforce: true, span: 10 * time.Minute},
	"one medium blocks":              {facts: []detect.Finding{fact("a", detect.Injection, detect.Medium, 0.9, 1)}, action: Block, enforce: true, span: 10 * time.Minute},
	"one medium throttles, if asked": {facts: []detect.Finding{fact("a", detect.Injection, detect.Medium, 0.9, 1)}, change: strict, action: Throttle, enforce: true, span: 10 * time.Minute},
	"two mediums block":              {facts: []detect.Finding{fact("a", detect.Recon, detect.Medium, 0.9, 1), fact("b", detect.Injection, detect.Medium, 0.9, 2)}, change: strict, action: Block, enforce: true, span: 10 * time.Minute},
	"two mediums a day apart do not": {facts: []detect.Finding{fact("a", detect.Recon, detect.Medium, 0.9, 1), fact("b", detect.Injection, detect.Medium, 0.9, 1441)}, change: strict, action: Throttle, enforce: true, span: 10 * time.Minute},
	"a low does nothing":             {facts: []detect.Finding{fact("a", detect.Credential, detect.Low, 1, 1)}},
	"info weighs nothing":            {facts: []detect.Finding{fact("a", detect.Credential, detect.Info, 1, 1)}},
	"confidence may be nonsense":     {facts: []detect.Finding{fact("a", detect.Credential, detect.Critical, math.NaN(), 1)}},
	"severity may be nonsense":       {facts: []detect.Finding{fact("a", detect.Credential, 99, 7, 1)}, action: Block, enforce: true, span: 10 * time.Minute},
	"a flood is throttled first":     {facts: []detect.Finding{fact("a", detect.Rate, detect.Critical, 1, 1)}, action: Throttle, enforce: true, span: 10 * time.Minute},
	"a flood again is blocked": {facts: []detect.Finding{fact("a", detect.Rate, detect.Critical, 1, 100)}, rec: Record{Offences: 1, Offended: 50 * minute},
		action: Block, enforce: true, span: time.Hour},
	"a flood that goes on under its throttle is blocked": {facts: []detect.Finding{fact("a", detect.Rate, detect.High, 1, 10)},
		live: &Decision{Action: Throttle, Offence: 1, Trigger: 8 * minute}, action: Block, enforce: true, span: time.Hour},
	"the same flood in the next window is not another": {facts: []detect.Finding{fact("a", detect.Rate, detect.High, 1, 10)},
		live: &Decision{Action: Throttle, Offence: 1, Trigger: 10*minute - 30e9}},
	"a block in force is enough": {facts: []detect.Finding{fact("a", detect.Credential, detect.Critical, 1, 10)}, live: &Decision{Action: Block, Offence: 1}},
	"worse abuse replaces a throttle, as the same offence": {facts: []detect.Finding{fact("a", detect.Credential, detect.High, 1, 10)},
		live: &Decision{Action: Throttle, Offence: 1, Trigger: 10*minute - 30e9}, action: Block, enforce: true, span: 10 * time.Minute},
	"third offence": {facts: []detect.Finding{fact("a", detect.Credential, detect.High, 1, 100)}, rec: Record{Offences: 2, Offended: minute}, action: Block, enforce: true, span: 24 * time.Hour},
	"ninth offence": {facts: []detect.Finding{fact("a", detect.Credential, detect.High, 1, 100)}, rec: Record{Offences: 8, Offended: minute}, action: Block, enforce: true, span: 168 * time.Hour},
	"offences are forgotten": {facts: []detect.Finding{fact("a", detect.Credential, detect.High, 1, 31*1440)}, rec: Record{Offences: 8, Offended: minute},
		action: Block, enforce: true, span: 10 * time.Minute},
	"observed by default": {facts: []detect.Finding{fact("a", detect.Credential, detect.High, 0.9, 1)}, change: func(c *PolicyConfig) { c.Families.Credential = "observe" },
		action: Block, code: CodeObserve, span: 10 * time.Minute},
	"near certain is enforced even so": {facts: []detect.Finding{fact("a", detect.Credential, detect.High, 0.95, 1)}, change: func(c *PolicyConfig) { c.Families.Credential = "observe" },
		action: Block, enforce: true, span: 10 * time.Minute},
	"observed findings do not help to enforce": {facts: []detect.Finding{fact("a", detect.Credential, detect.High, 0.9, 1), fact("b", detect.Recon, detect.Low, 1, 1)},
		change: func(c *PolicyConfig) { c.Families.Credential = "observe" }, action: Block, code: CodeObserve, span: 10 * time.Minute},
	"off counts nothing": {facts: []detect.Finding{fact("a", detect.Credential, detect.Critical, 1, 1)}, change: func(c *PolicyConfig) { c.Families.Credential = "off" }},
	"simulation of all": {facts: []detect.Finding{fact("a", detect.Credential, detect.High, 1, 1)}, change: func(c *PolicyConfig) { c.Simulate.All = true },
		action: Block, code: CodeSimulate, span: 10 * time.Minute},
	"simulation of a rule": {facts: []detect.Finding{fact("a", detect.Credential, detect.High, 1, 1)}, change: func(c *PolicyConfig) { c.Simulate.Rules = []string{"rule-credential"} },
		action: Block, code: CodeSimulate, span: 10 * time.Minute},
	"simulation of a subject": {facts: []detect.Finding{fact("a", detect.Credential, detect.High, 1, 1)}, change: func(c *PolicyConfig) { c.Simulate.Subjects = []string{"192.0.2.0/24"} },
		action: Block, code: CodeSimulate, span: 10 * time.Minute},
}

func TestPolicyLadder(t *testing.T) {
	for name, c := range ladderCases {
		t.Run(name, func(t *testing.T) {
			p, rec := enforcing(c.change), c.rec
			var v Verdict
			for i := range c.facts {
				if p.Count(&rec, &c.facts[i]) {
					v = p.Judge(&rec, &c.facts[i], when(&c.facts[i]), c.live)
				}
			}
			if v.Action != c.action || v.Enforce != c.enforce || v.Code != c.code || v.For != c.span {
				t.Errorf("got %q enforce=%v code=%q for %s, want %q %v %q %s", v.Action, v.Enforce, v.Code, v.For, c.action, c.enforce, c.code, c.span)
			}
			if (v.Code != "") != (v.Reason != "") {
				t.Errorf("code %q with the reason %q", v.Code, v.Reason)
			}
		})
	}
}

func TestPolicyCountsOnlyWhatGrew(t *testing.T) {
	p := enforcing(nil)
	var r Record
	f := fact("a", detect.Credential, detect.Medium, 1, 0)
	score := func() float64 { _, hard := p.Score(&r, f.LastSeen); return hard }
	if !p.Count(&r, &f) || score() != 4 {
		t.Fatalf("first: %g", score())
	}
	for range 3 {
		if p.Count(&r, &f) || score() != 4 {
			t.Fatalf("the same again counts: %g", score())
		}
	}
	f.LastSeen = hour // an hour on it has become high: 4 halved, and 6 more
	f.Severity = detect.High
	if !p.Count(&r, &f) || math.Abs(score()-8) > 1e-9 {
		t.Fatalf("grown: %g, want 8", score())
	}
	f.Severity = detect.Low
	if p.Count(&r, &f) || math.Abs(score()-8) > 1e-9 {
		t.Fatalf("a smaller copy changes the score: %g", score())
	}
	p.Forgive(&r)
	f.Severity = detect.High
	if p.Count(&r, &f) || score() != 0 {
		t.Fatalf("a forgiven finding counts again: %g", score())
	}
}

const adviceRule = "advice-of-a-test"

func init() {
	detect.Register(adviceRule, detect.Spec{Family: detect.API, Concern: detect.Any, Advice: true,
		Config: func() any { return new(struct{}) }, New: func(*detect.Env, any) (detect.Rule, error) { return nil, nil }})
}

// TestPolicyLeavesAdviceOut: what a detector says to whoever runs the API weighs on nobody.
func TestPolicyLeavesAdviceOut(t *testing.T) {
	p, r := enforcing(nil), &Record{}
	f := fact("a", detect.API, detect.Critical, 1, 1)
	f.Rule = adviceRule
	if p.Count(r, &f) || len(r.Counted) > 0 {
		t.Errorf("advice is counted: %+v", r.Counted)
	}
	if f.Rule = "another"; !p.Count(r, &f) {
		t.Error("what is no advice is not counted")
	}
}

func TestPolicyOrderAndBound(t *testing.T) {
	p := enforcing(nil)
	var up, down Record
	const n = 60
	for i := range int64(n) {
		a := fact(strconv.FormatInt(i, 10), detect.Recon, detect.Low, 0.5, i)
		b := fact(strconv.FormatInt(n-1-i, 10), detect.Recon, detect.Low, 0.5, n-1-i)
		p.Count(&up, &a)
		p.Count(&down, &b)
	}
	if !reflect.DeepEqual(up, down) {
		t.Error("the order of findings changes the record")
	}
	for i := range int64(1000) {
		f := fact("x"+strconv.FormatInt(i, 10), detect.Recon, detect.Low, 0.5, n+i)
		p.Count(&up, &f)
	}
	if len(up.Counted) != recordMax {
		t.Errorf("a record holds %d findings, the bound is %d", len(up.Counted), recordMax)
	}
}

func TestDecisionID(t *testing.T) {
	s := detect.Subject{Kind: "ip", Value: "192.0.2.7"}
	base := decisionID(s, Block, "", 1, "f")
	if base != decisionID(s, Block, "", 1, "f") {
		t.Error("the same decision has two ids")
	}
	for _, other := range []string{decisionID(s, Throttle, "", 1, "f"), decisionID(s, Block, "/x", 1, "f"), decisionID(s, Block, "", 2, "f"),
		decisionID(s, Block, "", 1, "g"), decisionID(detect.Subject{Kind: "ip", Value: "192.0.2.71"}, Block, "", 1, "f")} {
		if other == base {
			t.Error("two decisions have one id")
		}
	}
}

// The tags are what the documentation says; DefaultConfig is what tests and
// programs get. They must not differ.
func TestDefaultsAreTheTags(t *testing.T) {
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		for i := range v.NumField() {
			f, val := v.Type().Field(i), v.Field(i)
			key := path + f.Tag.Get("yaml")
			if f.Tag.Get("yaml") == "" || f.Tag.Get("doc") == "" {
				t.Errorf("%s%s has no key or no doc", path, f.Name)
			}
			var got string
			switch x := val.Interface().(type) {
			case time.Duration:
				want, err := time.ParseDuration(f.Tag.Get("default"))
				if err != nil || want != x {
					t.Errorf("%s: the tag says %q, DefaultConfig %s", key, f.Tag.Get("default"), x)
				}
				continue
			case string:
				got = x
			case bool:
				got = strconv.FormatBool(x)
			case int:
				got = strconv.Itoa(x)
			case int64:
				got = strconv.FormatInt(x, 10)
			case float64:
				got = strconv.FormatFloat(x, 'g', -1, 64)
			case []string:
				got = strings.Join(x, ",")
			default:
				walk(key+".", val)
				continue
			}
			if got != f.Tag.Get("default") {
				t.Errorf("%s: the tag says %q, DefaultConfig %q", key, f.Tag.Get("default"), got)
			}
		}
	}
	walk("", reflect.ValueOf(DefaultConfig()))
	if err := DefaultConfig().problems(); err != nil {
		t.Error(err)
	}
}

func TestConfigChecks(t *testing.T) {
	bad := Config{Policy: PolicyConfig{Simulate: SimulateConfig{Subjects: []string{"nobody"}}}, Guard: GuardConfig{Allow: []string{"x"}, Untouchable: []string{"y"}, MaxExpiry: time.Hour * 9000, PeopleWait: -1}, Verify: VerifyConfig{Grace: -1}}
	bad.Push.RetryMin = time.Second
	got := map[string]bool{}
	bad.Check(func(key, _ string) { got[key] = true })
	for _, key := range []string{"queue", "push.debounce", "push.retry_max", "policy.families.credential", "policy.half_life", "policy.block", "policy.expiry",
		"policy.rate", "policy.forget", "policy.near_certain", "policy.simulate.subjects", "guard.allow", "guard.untouchable", "guard.widest_v4", "guard.widest_v6",
		"guard.people_wait", "guard.per_minute", "guard.max_expiry", "guard.max_lag", "verify.grace", "verify.window"} {
		if !got[key] {
			t.Errorf("%s is not reported", key)
		}
	}
}
