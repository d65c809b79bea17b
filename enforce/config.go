package enforce

import (
	"errors"
	"fmt"
	"time"
)

// Config is the "enforce" section of the config file.
type Config struct {
	Policy PolicyConfig `yaml:"policy" doc:"what findings lead to"`
	Guard  GuardConfig  `yaml:"guard" doc:"whom enforcement never hits, and how far it may go"`
	Verify VerifyConfig `yaml:"verify" doc:"how a decision is seen to hold"`
	Push   PushConfig   `yaml:"push" doc:"how decisions reach the gateways"`

	Queue int           `yaml:"queue" default:"16384" doc:"findings waiting to be judged (about 1 KB each); one above it is taken from the store later"`
	Keep  time.Duration `yaml:"keep" default:"2160h" doc:"how long ended decisions and their history are kept (90 days)"`
}

// PushConfig says when gateways are called.
type PushConfig struct {
	Debounce  time.Duration `yaml:"debounce" default:"100ms" doc:"changes within this time go in one push; a reload of NGINX closes idle connections, so fewer are better"`
	Timeout   time.Duration `yaml:"timeout" default:"15s" doc:"how long one push may take (100 000 entries in NGINX: 1.3 s measured)"`
	RetryMin  time.Duration `yaml:"retry_min" default:"500ms" doc:"first pause after a failed push; it doubles, with 50% jitter"`
	RetryMax  time.Duration `yaml:"retry_max" default:"30s" doc:"longest pause after failed pushes"`
	Reconcile time.Duration `yaml:"reconcile" default:"1m" doc:"how often the whole state is pushed anew, in case a gateway lost it"`
	Poll      time.Duration `yaml:"poll" default:"200ms" doc:"how often commands of other processes and expiries are looked for"`
}

// PolicyConfig is what findings lead to.
type PolicyConfig struct {
	Families    FamilyModes    `yaml:"families" doc:"observe: decisions are only proposed; enforce: they are pushed; off: findings do not count"`
	NearCertain float64        `yaml:"near_certain" default:"0.95" doc:"a finding of at least this confidence is enforced in a family that is only observed; above 1 = never"`
	Simulate    SimulateConfig `yaml:"simulate" doc:"decide, but never push"`
	HalfLife    time.Duration  `yaml:"half_life" default:"1h" doc:"a subject's score halves in this time, by the log's clock"`
	Throttle    float64        `yaml:"throttle" default:"3" doc:"score from which a subject is acted on; a medium finding of confidence 0.75 reaches it alone. Abuse by volume is throttled first"`
	Block       float64        `yaml:"block" default:"3" doc:"score from which it is blocked, for families other than rate: a guesser or scanner that is only slowed goes on; 7 asks for a high finding, or two mediums, and throttles below"`
	Weights     WeightConfig   `yaml:"weights" doc:"score of a finding of full confidence, by severity"`
	Expiry      ExpiryConfig   `yaml:"expiry" doc:"how long a decision lasts, by the subject's number of offences"`
	Forget      time.Duration  `yaml:"forget" default:"720h" doc:"offences count from one again after this time without any (30 days)"`
	Repeat      time.Duration  `yaml:"repeat" default:"1m" doc:"a finding this long after a decision is a repetition; earlier ones belong to the same offence"`
	Rate        float64        `yaml:"rate" default:"2" doc:"requests a second that a throttled subject keeps"`
	Burst       int            `yaml:"burst" default:"10" doc:"requests above the rate that it may send at once"`
	Tarpit      bool           `yaml:"tarpit" default:"false" doc:"keep requests of a blocked subject waiting before they are refused, where a gateway can"`
	Revoke      int            `yaml:"revoke" default:"0" doc:"offence from which it is proposed to revoke an API key or a token instead of blocking it; a person approves; 0 = never"`
}

// FamilyModes are the modes of the rule families.
type FamilyModes struct {
	Credential string `yaml:"credential" default:"observe" doc:"observe, enforce or off"`
	Rate       string `yaml:"rate" default:"observe" doc:"observe, enforce or off"`
	Injection  string `yaml:"injection" default:"observe" doc:"observe, enforce or off"`
	Recon      string `yaml:"recon" default:"observe" doc:"observe, enforce or off"`
	API        string `yaml:"api" default:"observe" doc:"observe, enforce or off"`
}

// SimulateConfig says what is decided without being pushed.
type SimulateConfig struct {
	All      bool     `yaml:"all" default:"false" doc:"simulate everything"`
	Rules    []string `yaml:"rules" doc:"names of rules to simulate"`
	Subjects []string `yaml:"subjects" doc:"addresses, prefixes or kind:value of subjects to simulate"`
}

// WeightConfig is the score of a finding of full confidence.
type WeightConfig struct {
	Info     float64 `yaml:"info" default:"0" doc:"score of an info finding"`
	Low      float64 `yaml:"low" default:"1" doc:"score of a low finding"`
	Medium   float64 `yaml:"medium" default:"4" doc:"score of a medium finding"`
	High     float64 `yaml:"high" default:"10" doc:"score of a high finding"`
	Critical float64 `yaml:"critical" default:"20" doc:"score of a critical finding"`
}

// ExpiryConfig is how long decisions last.
type ExpiryConfig struct {
	First  time.Duration `yaml:"first" default:"10m" doc:"first offence"`
	Second time.Duration `yaml:"second" default:"1h" doc:"second offence"`
	Third  time.Duration `yaml:"third" default:"24h" doc:"third offence"`
	Later  time.Duration `yaml:"later" default:"168h" doc:"every later one (7 days)"`
}

// GuardConfig is whom enforcement never hits, and how far it may go.
type GuardConfig struct {
	Allow          []string      `yaml:"allow" doc:"addresses, prefixes or kind:value (consumer:alice) never acted on"`
	Untouchable    []string      `yaml:"untouchable" doc:"addresses and prefixes of load balancers and of the gateway itself; the trusted hops of ingest are added"`
	EnforcePrivate bool          `yaml:"enforce_private" default:"false" doc:"act on private ranges too (RFC 1918, RFC 4193, RFC 6598, link-local, loopback)"`
	WidestV4       int           `yaml:"widest_v4" default:"24" doc:"shortest IPv4 prefix that is acted on"`
	WidestV6       int           `yaml:"widest_v6" default:"56" doc:"shortest IPv6 prefix that is acted on"`
	People         int           `yaml:"people" default:"3" doc:"people with successful requests in 24 h behind a subject that may be blocked; above it a block becomes a throttle"`
	Challenge      bool          `yaml:"challenge" default:"false" doc:"a block that is too much for the people behind a subject becomes a challenge instead of a throttle, where a gateway can"`
	PeopleWait     int           `yaml:"people_wait" default:"50" doc:"above this many people any action waits for a person"`
	Successes      int64         `yaml:"successes" default:"0" doc:"successful requests in 24 h above which a subject shared by at least two people is throttled instead of blocked; 0 = no bound"`
	PerMinute      int           `yaml:"per_minute" default:"60" doc:"new decisions a minute; further ones wait for a person"`
	Live           int           `yaml:"live" default:"10000" doc:"decisions in force at once; further ones wait for a person"`
	GoodShare      float64       `yaml:"good_share" default:"0.1" doc:"share of all successful requests that shared subjects under decisions may stand for; further ones wait for a person"`
	MaxExpiry      time.Duration `yaml:"max_expiry" default:"720h" doc:"no decision lasts longer (30 days)"`
	MaxLag         time.Duration `yaml:"max_lag" default:"5m" doc:"nothing new is enforced while detection is further behind than this"`
}

// VerifyConfig is how a decision is seen to hold.
type VerifyConfig struct {
	Grace  time.Duration `yaml:"grace" default:"2s" doc:"requests let through this long after a push do not count, by the log's clock; logs have whole seconds"`
	Window time.Duration `yaml:"window" default:"10s" doc:"span over which denied and let-through requests are compared, and a throttle's rate is measured"`
}

// DefaultConfig is the configuration with every default in place.
func DefaultConfig() Config {
	observe := "observe"
	return Config{
		Policy: PolicyConfig{
			Families:    FamilyModes{observe, observe, observe, observe, observe},
			NearCertain: 0.95, HalfLife: time.Hour, Throttle: 3, Block: 3,
			Weights: WeightConfig{Low: 1, Medium: 4, High: 10, Critical: 20},
			Expiry:  ExpiryConfig{10 * time.Minute, time.Hour, 24 * time.Hour, 168 * time.Hour},
			Forget:  720 * time.Hour, Repeat: time.Minute, Rate: 2, Burst: 10,
		},
		Guard: GuardConfig{
			WidestV4: 24, WidestV6: 56, People: 3, PeopleWait: 50, PerMinute: 60, Live: 10000, GoodShare: 0.1,
			MaxExpiry: 720 * time.Hour, MaxLag: 5 * time.Minute,
		},
		Verify: VerifyConfig{Grace: 2 * time.Second, Window: 10 * time.Second},
		Push: PushConfig{
			Debounce: 100 * time.Millisecond, Timeout: 15 * time.Second, RetryMin: 500 * time.Millisecond,
			RetryMax: 30 * time.Second, Reconcile: time.Minute, Poll: 200 * time.Millisecond,
		},
		Queue: 16384, Keep: 2160 * time.Hour,
	}
}

// Check reports every setting that cannot work, by its key.
func (c Config) Check(report func(key, message string)) {
	if c.Queue < 1 {
		report("queue", "must be at least 1")
	}
	if c.Keep < c.Policy.Forget {
		report("keep", fmt.Sprintf("must be at least policy.forget (%s): offences are counted from what is kept", c.Policy.Forget))
	}
	for _, d := range []struct {
		key string
		val time.Duration
	}{{"debounce", c.Push.Debounce}, {"timeout", c.Push.Timeout}, {"retry_min", c.Push.RetryMin},
		{"retry_max", c.Push.RetryMax}, {"reconcile", c.Push.Reconcile}, {"poll", c.Push.Poll}} {
		if d.val <= 0 {
			report("push."+d.key, "must be more than 0")
		}
	}
	if c.Push.RetryMin > c.Push.RetryMax {
		report("push.retry_max", "must not be less than push.retry_min")
	}
	nested := func(section string) func(key, message string) {
		return func(key, message string) { report(section+"."+key, message) }
	}
	c.Policy.check(nested("policy"))
	c.Guard.check(nested("guard"))
	if c.Verify.Grace < 0 {
		report("verify.grace", "must not be negative")
	}
	if c.Verify.Window < time.Second {
		report("verify.window", "must be at least 1s")
	}
}

func (c PolicyConfig) check(report func(key, message string)) {
	for _, f := range c.Families.list() {
		if f.mode != "observe" && f.mode != "enforce" && f.mode != "off" {
			report("families."+string(f.family), fmt.Sprintf("%s is neither observe, enforce nor off", quoted(f.mode)))
		}
	}
	if c.NearCertain <= 0 {
		report("near_certain", "must be more than 0; above 1 means never")
	}
	if c.HalfLife <= 0 {
		report("half_life", "must be more than 0")
	}
	if c.Throttle <= 0 || c.Block < c.Throttle {
		report("block", "needs 0 < throttle <= block")
	}
	if c.Expiry.First <= 0 || c.Expiry.Second <= 0 || c.Expiry.Third <= 0 || c.Expiry.Later <= 0 {
		report("expiry", "every decision expires: all four must be more than 0")
	}
	if c.Rate <= 0 || c.Burst < 0 {
		report("rate", "needs rate > 0 and burst >= 0")
	}
	if c.Revoke < 0 {
		report("revoke", "must not be negative")
	}
	if c.Forget <= 0 || c.Repeat < 0 {
		report("forget", "needs forget > 0 and repeat >= 0")
	}
	if _, err := newSelectors(c.Simulate.Subjects); err != nil {
		report("simulate.subjects", err.Error())
	}
}

func (c GuardConfig) check(report func(key, message string)) {
	if _, err := newSelectors(c.Allow); err != nil {
		report("allow", err.Error())
	}
	if _, err := parsePrefixes(c.Untouchable); err != nil {
		report("untouchable", err.Error())
	}
	if c.WidestV4 < 8 || c.WidestV4 > 32 {
		report("widest_v4", "must be from 8 to 32")
	}
	if c.WidestV6 < 16 || c.WidestV6 > 128 {
		report("widest_v6", "must be from 16 to 128")
	}
	if c.PeopleWait < c.People {
		report("people_wait", "must not be less than people")
	}
	if c.PerMinute < 1 || c.Live < 1 {
		report("per_minute", "per_minute and live must be at least 1")
	}
	if c.MaxExpiry <= 0 || c.MaxExpiry > 720*time.Hour {
		report("max_expiry", "must be more than 0 and at most 720h")
	}
	if c.MaxLag <= 0 {
		report("max_lag", "must be more than 0")
	}
}

// problems gathers what Check reports.
func (c Config) problems() error {
	var errs []error
	c.Check(func(key, message string) { errs = append(errs, fmt.Errorf("enforce: %s: %s", key, message)) })
	return errors.Join(errs...)
}
