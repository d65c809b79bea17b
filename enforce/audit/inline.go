package audit

import (
	"slices"

	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// Asked says that a gateway asks a decision service before it forwards requests of a
// route. The zero Asked asks nobody.
type Asked struct {
	At         doc.Place
	Address    string // host:port, as the gateway has it; "" where it is not told
	Portcullis bool   // by its path or its name
}

// Inline is what Portcullis' own settings say of its decision service: what a gateway
// leaves to it cannot be told from the gateway's configuration.
type Inline struct {
	Addresses []string // on which it listens
	Limits    []InlineLimit
	// Needs reports whether requests of a path need credentials; nil: none do.
	Needs func(path string) bool
	// Inspects says that it looks for attacks, or holds requests against a document.
	Inspects bool
}

// InlineLimit is a standing limit of the decision service. It counts each client, or what
// it shows, by itself, and answers 429.
type InlineLimit struct {
	Route string  // "" = all
	Rate  float64 // requests a second
}

// inline puts in what Portcullis does for routes whose gateway asks it.
func (c *Config) inline() {
	for _, r := range c.Routes {
		in, a := c.options.Inline, r.Asks
		if a.At.File == nil || !a.Portcullis && (in == nil || !slices.Contains(in.Addresses, a.Address)) {
			continue
		}
		if in == nil {
			c.Blinded("%s:%d asks Portcullis: what that limits and asks for stands in its settings, which -c names", a.At.Name(), a.At.Line())
			if r.Limit.State == Bad {
				r.Limit = Limit{}
			}
			continue
		}
		in.judge(r)
	}
}

// judge states what the decision service does for a route.
func (in *Inline) judge(r *Route) {
	if r.Limit.State == Bad {
		for _, l := range in.Limits {
			if (l.Route == "" || l.Route == r.Path) && (r.Limit.State == Bad || l.Rate < r.Limit.Rate) {
				r.Limit = Limit{State: Good, At: r.Asks.At, Rate: l.Rate, Status: 429}
			}
		}
	}
	if r.Auth.State == Good && r.Auth.At == r.Asks.At && (in.Needs == nil || !in.Needs(r.Path)) {
		r.Auth = Fact{State: Bad, At: r.Asks.At, Saw: "Portcullis is asked, and its settings (authz) need no credentials here"}
		r.KeyInURL = Fact{}
	}
	if r.Inspects.State == Good && r.Inspects.At == r.Asks.At && !in.Inspects {
		r.Inspects = Fact{State: Bad, At: r.Asks.At, Saw: "Portcullis is asked, and its settings (authz) have it look at no request"}
	}
}
