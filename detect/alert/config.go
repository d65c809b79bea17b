package alert

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/internal/config"
)

// Config is the "alerts" section of the config file.
type Config struct {
	MinSeverity string          `yaml:"min_severity" default:"medium" enum:"info,low,medium,high,critical" doc:"findings below this severity make no alert"`
	Wait        time.Duration   `yaml:"wait" default:"15s" min:"0s" max:"10m" doc:"how long a new alert gathers findings before it is told: a campaign takes in what belongs to it meanwhile"`
	Interval    time.Duration   `yaml:"interval" default:"5m" min:"10s" doc:"how often a channel is told at the most that an alert grew; it is only told where the findings doubled. A higher severity is told at once"`
	Repeat      time.Duration   `yaml:"repeat" default:"4h" min:"0s" doc:"how often a channel is reminded of an alert that is open and that nobody acknowledged; 0 = never"`
	Resolve     time.Duration   `yaml:"resolve" default:"15m" min:"10s" doc:"an alert is resolved when nothing new was found for this long"`
	MaxAge      time.Duration   `yaml:"max_age" default:"6h" min:"1m" doc:"findings whose last request is older make no alert: a log that is read from its beginning wakes nobody"`
	Keep        time.Duration   `yaml:"keep" default:"720h" min:"1h" doc:"how long alerts that are resolved, silences that are over and the record of who did what are kept (30 days)"`
	ConsoleURL  string          `yaml:"console_url" doc:"where people find the console, such as https://portcullis.example.org: notices then link to it"`
	Channels    []ChannelConfig `yaml:"channels" doc:"whom to tell: any kinds, several of a kind"`
	Routes      []RouteConfig   `yaml:"routes" doc:"which alerts go where; each that matches counts. Without any, every channel is told of every alert"`
	Inhibit     []InhibitConfig `yaml:"inhibit" doc:"which alerts say nothing while a graver one is open"`
}

// ChannelConfig is one channel: its kind, and that kind's own section.
type ChannelConfig struct {
	Type     string          `yaml:"type" doc:"what it is: the name of one of the sections beside it, of which it reads that one; docs/alerts.md lists them"`
	Name     string          `yaml:"name" doc:"what it is called in routes, metrics and messages; needed where there are several of a type"`
	Redact   string          `yaml:"redact" default:"auto" enum:"auto,yes,no" doc:"leave addresses, names and paths out: yes, no, or auto, which is yes for services of others. An alert's id and the link lead to them"`
	Resolved bool            `yaml:"resolved" default:"true" doc:"tell also that an alert is resolved"`
	Rate     int             `yaml:"rate" default:"20" min:"0" doc:"how many notices at the most in the time of per; what is held back comes as one digest where people read it, else later one by one. 0 = no limit"`
	Per      time.Duration   `yaml:"per" default:"10m" min:"1s" doc:"the time that rate is for"`
	Timeout  time.Duration   `yaml:"timeout" default:"15s" min:"100ms" max:"5m" doc:"how long an answer may take"`
	GiveUp   time.Duration   `yaml:"give_up" default:"24h" min:"1m" doc:"how long a notice is tried that the channel does not take"`
	Title    string          `yaml:"title" doc:"template of the title, by text/template; docs/alerts.md lists the fields"`
	Text     string          `yaml:"text" doc:"template of the text"`
	Kinds    config.Sections `yaml:",inline"`
}

// Start implements config.Starter.
func (c *ChannelConfig) Start() {
	for _, name := range Kinds() {
		spec := specs[name]
		c.Kinds = append(c.Kinds, config.Section{Name: name, Doc: "type " + name + ": " + spec.Doc, Value: spec.Config()})
	}
}

// Unused implements config.Chooser.
func (c *ChannelConfig) Unused(section string) bool { return section != c.Type }

// ID is what the channel is called.
func (c *ChannelConfig) ID() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Type
}

// section is the settings of the channel's own kind.
func (c *ChannelConfig) section() any {
	for _, s := range c.Kinds {
		if s.Name == c.Type {
			return s.Value
		}
	}
	return nil
}

// Check implements validation for the config loader.
func (c *ChannelConfig) Check(report func(key, message string)) {
	if _, err := parseTemplate("title", c.Title); err != nil {
		report("title", err.Error())
	}
	if _, err := parseTemplate("text", c.Text); err != nil {
		report("text", err.Error())
	}
}

// RouteConfig sends alerts to channels.
type RouteConfig struct {
	Match    []string     `yaml:"match" doc:"conditions that must all hold: KEY=VALUE, KEY!=VALUE, severity>=VALUE; the keys are rule, family, severity, route, subject, campaign. None = every alert"`
	Channels []string     `yaml:"channels" doc:"names of the channels that are told"`
	Quiet    QuietConfig  `yaml:"quiet" doc:"hours in which only grave alerts are told; the others come when they end"`
	Escalate []StepConfig `yaml:"escalate" doc:"who is told next when nobody acknowledges"`
}

// StepConfig is a step of an escalation.
type StepConfig struct {
	After    time.Duration `yaml:"after" default:"15m" min:"10s" doc:"how long after the alert was due nobody acknowledged it"`
	Channels []string      `yaml:"channels" doc:"names of the channels that are told then"`
}

// InhibitConfig keeps alerts quiet while another one is open.
type InhibitConfig struct {
	While []string `yaml:"while" doc:"conditions on the alert that is open, as in routes"`
	Mute  []string `yaml:"mute" doc:"conditions on the alerts that then say nothing"`
	Equal []string `yaml:"equal" doc:"what both must share: route, family, rule, subject" enum:"route,family,rule,subject"`
}

// Enabled reports whether anybody is told anything.
func (c *Config) Enabled() bool { return len(c.Channels) > 0 }

// Check implements validation for the config loader.
func (c *Config) Check(report func(key, message string)) {
	list := config.Entries{Noun: "channel", Kinds: Kinds()}
	var known []string
	for i := range c.Channels {
		ch := &c.Channels[i]
		_, err := Lookup(ch.Type)
		list.Check(report, fmt.Sprintf("channels[%d].", i), ch.Type, err, ch.Name, ch.ID())
		known = append(known, ch.ID())
	}
	channels := func(at string, list []string) {
		if len(list) == 0 {
			report(at, "names no channel")
		}
		for i, n := range list {
			if slices.Contains(known, n) {
				continue
			}
			hint := ""
			if near, ok := config.Nearest(n, known); ok {
				hint = fmt.Sprintf("; did you mean %s?", near)
			}
			report(fmt.Sprintf("%s[%d]", at, i), fmt.Sprintf("there is no channel %.64q%s", n, hint))
		}
	}
	conditions := func(at string, list []string) {
		for i, text := range list {
			if _, err := ParseMatcher(text); err != nil {
				report(fmt.Sprintf("%s[%d]", at, i), err.Error())
			}
		}
	}
	for i := range c.Routes {
		r, at := &c.Routes[i], fmt.Sprintf("routes[%d].", i)
		channels(at+"channels", r.Channels)
		conditions(at+"match", r.Match)
		for j := range r.Escalate {
			channels(fmt.Sprintf("%sescalate[%d].channels", at, j), r.Escalate[j].Channels)
		}
	}
	for i := range c.Inhibit {
		at := fmt.Sprintf("inhibit[%d].", i)
		conditions(at+"while", c.Inhibit[i].While)
		conditions(at+"mute", c.Inhibit[i].Mute)
	}
	if c.Keep < c.MaxAge {
		report("keep", "must be at least max_age: what was told of would be told again")
	}
	if c.ConsoleURL != "" && !strings.HasPrefix(c.ConsoleURL, "https://") && !strings.HasPrefix(c.ConsoleURL, "http://") {
		report("console_url", fmt.Sprintf("%.100q is no address: want https://HOST", c.ConsoleURL))
	}
}

// parseTemplate reads a template, and tries it.
func parseTemplate(name, text string) (*template.Template, error) {
	if text == "" {
		return nil, nil
	}
	t, err := template.New(name).Option("missingkey=error").Funcs(templateFuncs).Parse(text)
	if err != nil {
		return nil, err
	}
	var b capped
	if err := t.Execute(&b, exampleNotice(Firing, false)); err != nil && !b.full {
		return nil, err
	}
	return t, nil
}

// parsed is what routes and inhibitions are once their conditions are read, which Check
// has seen to be well.
type parsed struct {
	routes  []route
	inhibit []inhibition
}

type route struct {
	match Matchers
	*RouteConfig
}

type inhibition struct {
	while, mute Matchers
	equal       []string
}

func (c *Config) parse() (p parsed, err error) {
	for i := range c.Routes {
		r := route{RouteConfig: &c.Routes[i]}
		if r.match, err = ParseMatchers(r.Match); err != nil {
			return p, fmt.Errorf("alert: routes[%d]: %w", i, err)
		}
		p.routes = append(p.routes, r)
	}
	if len(p.routes) == 0 && c.Enabled() {
		all := &RouteConfig{}
		for i := range c.Channels {
			all.Channels = append(all.Channels, c.Channels[i].ID())
		}
		p.routes = []route{{RouteConfig: all}}
	}
	for i := range c.Inhibit {
		x := inhibition{equal: c.Inhibit[i].Equal}
		if x.while, err = ParseMatchers(c.Inhibit[i].While); err != nil {
			return p, fmt.Errorf("alert: inhibit[%d]: %w", i, err)
		}
		if x.mute, err = ParseMatchers(c.Inhibit[i].Mute); err != nil {
			return p, fmt.Errorf("alert: inhibit[%d]: %w", i, err)
		}
		p.inhibit = append(p.inhibit, x)
	}
	return p, nil
}

func (c *Config) minSeverity() detect.Severity {
	s, _ := detect.ParseSeverity(c.MinSeverity)
	return s
}

// settled reports the first thing that is wrong with the settings of a channel's kind.
func settled(kind string, section any) error {
	checker, ok := section.(interface {
		Check(report func(key, message string))
	})
	if !ok || reflect.ValueOf(section).IsNil() {
		return nil
	}
	var err error
	checker.Check(func(key, message string) {
		if err == nil {
			err = fmt.Errorf("alert: channel %s: %s: %s", kind, key, message)
		}
	})
	return err
}
