package rule

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
)

// LimitConfig is the "limit" section of the config file.
type LimitConfig struct {
	Limits     []Limit `yaml:"limits" doc:"limits as you set them, in the words of authz.limits; what goes beyond one is a finding"`
	HighFactor float64 `yaml:"high_factor" default:"10" doc:"so many times what a limit lets pass is a high finding; less is medium, and throttled"`
}

// Limit is one absolute limit.
type Limit struct {
	Name   string  `yaml:"name" doc:"its name in findings"`
	Route  string  `yaml:"route" default:"" doc:"route template that it is for, as findings show it: /login, /orders/{id}; empty = all requests together, with per: route every route by itself. Not with network, asn and global"`
	Method string  `yaml:"method" default:"" doc:"method that it is for; empty = any. With per: client only"`
	Per    string  `yaml:"per" default:"client" enum:"client,consumer,key,session,account,network,asn,route,global" doc:"whose requests are counted together: client (an IPv4 address, an IPv6 /64), consumer, key (API key or token), session, account (a user who got in), network (/24, /48), asn, route, or global"`
	Rate   float64 `yaml:"rate" doc:"requests in the time that every says"`
	Every  string  `yaml:"every" default:"second" enum:"second,minute,hour" doc:"second, minute or hour"`
	Burst  int     `yaml:"burst" default:"0" doc:"requests above the rate that pass at once"`
}

// limitMost is how many limits there may be: every request is counted for each that fits it.
const limitMost = 64

// limitLevels say by what the requests of a limit are counted together.
var limitLevels = map[string]detect.By{"": detect.ByClient, "client": detect.ByClient, "consumer": detect.ByIdentity, "key": detect.ByIdentity,
	"session": detect.ByIdentity, "account": detect.ByIdentity, "network": detect.ByNetwork, "asn": detect.ByASN, "route": detect.ByRoute, "global": detect.ByGlobal}

var limitSeconds = map[string]float64{"": 1, "second": 1, "minute": 60, "hour": 3600}

// Check implements validation for the config loader.
func (c *LimitConfig) Check(report func(key, message string)) {
	if len(c.Limits) > limitMost {
		report("limits", fmt.Sprintf("are more than %d", limitMost))
	}
	names := map[string]bool{}
	for i := range c.Limits {
		l := &c.Limits[i]
		l.check(func(key, message string) { report(fmt.Sprintf("limits[%d].%s", i, key), message) })
		if names[l.Name] {
			report(fmt.Sprintf("limits[%d].name", i), fmt.Sprintf("%.40q is the name of another limit", l.Name))
		}
		names[l.Name] = true
	}
	if c.HighFactor <= 1 {
		report("high_factor", "must be above 1")
	}
}

func (l *Limit) check(report func(key, message string)) {
	if l.Name == "" || len(l.Name) > 40 {
		report("name", "must be 1 to 40 bytes: findings show it")
	}
	by, known := limitLevels[l.Per]
	if !known {
		report("per", fmt.Sprintf("%.40q is none of client, consumer, key, session, account, network, asn, route, global", l.Per))
	}
	switch {
	case l.Route == "":
	case !strings.HasPrefix(l.Route, "/"):
		report("route", "is no route template: it begins with /")
	case by == detect.ByNetwork || by == detect.ByASN || by == detect.ByGlobal:
		report("route", "is only for per: client, consumer, key, session, account and route: leave it out, or write per: route")
	}
	if l.Method != "" && by != detect.ByClient {
		report("method", "is only for per: client: leave it out")
	}
	if limitSeconds[l.Every] == 0 {
		report("every", fmt.Sprintf("%.40q is none of second, minute, hour", l.Every))
		return
	}
	if !(l.Rate > 0) || l.Rate > 1e9 {
		report("rate", "must be above 0 and at most 1e9")
		return
	}
	if l.Burst < 0 || l.Burst > 1e9 {
		report("burst", "must be from 0 to 1e9")
		return
	}
	if l.pace().Window() > 12*3600 {
		report("burst", "takes longer than 12 hours to come back at this rate: nobody is remembered so long")
	}
}

func (l *Limit) pace() window.Pace {
	return window.NewPace(l.Rate/limitSeconds[l.Every], l.Burst)
}

// String says what passes.
func (l *Limit) String() string {
	every := l.Every
	if every == "" {
		every = "second"
	}
	text := fmt.Sprintf("%g a %s", l.Rate, every)
	if l.Burst > 0 {
		text += fmt.Sprintf(" and %d at once", l.Burst)
	}
	return text
}
