// Package lapi speaks the part of the CrowdSec local API that bouncers use, so that
// existing bouncers (firewall, NGINX, Traefik, Caddy, HAProxy, PHP, custom …) enforce
// Portcullis' decisions without a change.
//
// Bouncers come for changes at their own interval. What was told to whom is kept for
// each key, address and user agent apart, so that several bouncers with one key each
// get every change; an answer whose delivery is in doubt is told again.
package lapi

import (
	"github.com/portcullis/portcullis/ingest/source/serve"
)

// Config is the "lapi" section of the config file.
type Config struct {
	Listen   string `yaml:"listen" default:"" doc:"address for bouncers and for others who read the list, such as 127.0.0.1:8080; empty = off"`
	Throttle string `yaml:"throttle_as" default:"" enum:",throttle,captcha,ban" doc:"the type by which bouncers are told of a throttle; empty = they are not told of any, since most would ban for a type that they do not know"`
	Origin   string `yaml:"origin" default:"portcullis" doc:"the origin of decisions, for bouncers that are told to take only some"`

	Access serve.Access `yaml:",inline"`
}

// Enabled reports whether it listens.
func (c *Config) Enabled() bool { return c.Listen != "" }

// Check reports what is wrong with the settings, by key.
func (c *Config) Check(report func(key, message string)) {
	if c.Listen != "" {
		c.Access.CheckFor(report, "listen", c.Listen)
	}
	if len(c.Origin) > 64 {
		report("origin", "is longer than 64 bytes")
	}
	switch c.Throttle {
	case "", "throttle", typeCaptcha, typeBan:
	default:
		report("throttle_as", "is none of throttle, captcha, ban, or empty")
	}
}
