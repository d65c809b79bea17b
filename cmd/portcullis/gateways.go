package main

import (
	"fmt"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/gateway"
	"github.com/portcullis/portcullis/ingest/identity"
	"github.com/portcullis/portcullis/internal/config"
)

// GatewaySettings is one gateway that decisions are pushed to: its kind, and that
// kind's own section.
type GatewaySettings struct {
	Type  string          `yaml:"type" doc:"what it is: the name of one of the sections beside it, of which it reads that one; docs/gateways.md lists them"`
	Name  string          `yaml:"name" doc:"what it is called in decisions, metrics and messages; needed where there are several of a type"`
	Keys  string          `yaml:"keys_file" doc:"file of API keys and tokens, one a line, that this gateway may be told: findings know them by pseudonyms only. Without it a gateway is told the pseudonym, for those that compute it"`
	Kinds config.Sections `yaml:",inline"`
}

// Start implements config.Starter.
func (g *GatewaySettings) Start() {
	for _, name := range gateway.Names() {
		spec, err := gateway.Lookup(name)
		if err != nil {
			continue // Names lists what there is
		}
		g.Kinds = append(g.Kinds, config.Section{Name: name, Doc: "type " + name + ": " + spec.Doc, Value: spec.Config()})
	}
}

// Unused implements config.Chooser.
func (g *GatewaySettings) Unused(section string) bool { return section != g.Type }

// newGatewaySettings is a gateway of a kind with its defaults.
func newGatewaySettings(kind string) (GatewaySettings, error) {
	if _, err := gateway.Lookup(kind); err != nil {
		return GatewaySettings{}, err
	}
	var one struct {
		List []GatewaySettings `yaml:"list"`
	}
	err := config.Load("defaults", []byte("list: [{type: "+kind+"}]"), nil, &one)
	if err != nil && len(one.List) == 0 {
		return GatewaySettings{}, err
	}
	return one.List[0], nil // what has to be given is said by who needs it
}

// section is the settings of the gateway's own kind.
func (g *GatewaySettings) section() any {
	for _, s := range g.Kinds {
		if s.Name == g.Type {
			return s.Value
		}
	}
	return nil
}

// open makes the gateway; digits gives those of a key's pseudonyms.
func (g *GatewaySettings) open(digits func(secret string) []string) (enforce.Gateway, error) {
	gw, err := gateway.Open(g.Type, g.Name, g.section())
	if err != nil || g.Keys == "" {
		return gw, err
	}
	keys, err := gateway.ReadKeys(g.Keys, digits)
	if err != nil {
		return nil, err
	}
	return gateway.WithKeys(gw, keys), nil
}

// digits finds the pseudonyms of keys by the installation's own.
func (s *Settings) digits() (func(secret string) []string, error) {
	ring, err := ringOf(s.StateDir, false)
	if err != nil {
		return nil, err
	}
	cfg := s.Identity
	ring.Apply(&cfg, now())
	return func(secret string) []string {
		out := []string{identity.Digits(cfg.Key, secret)}
		for _, older := range cfg.Older {
			out = append(out, identity.Digits(older, secret))
		}
		return out
	}, nil
}

func (g *GatewaySettings) name() string {
	if g.Name != "" {
		return g.Name
	}
	return g.Type
}

func (s *Settings) checkGateways(report func(key, message string)) {
	list := config.Entries{Noun: "gateway", Kinds: gateway.Names()}
	for i := range s.Gateways {
		g := &s.Gateways[i]
		_, err := gateway.Lookup(g.Type)
		list.Check(report, fmt.Sprintf("gateways[%d].", i), g.Type, err, g.Name, g.name())
	}
}

// gateways names the gateways that take part.
func (s *Settings) gateways() []string {
	names := []string{}
	for i := range s.Gateways {
		names = append(names, s.Gateways[i].name())
	}
	return names
}

// openGateways makes all of them.
func (s *Settings) openGateways() ([]enforce.Gateway, error) {
	var list []enforce.Gateway
	digits, err := s.digits()
	if err != nil {
		return nil, err
	}
	for i := range s.Gateways {
		gw, err := s.Gateways[i].open(digits)
		if err != nil {
			return nil, err
		}
		list = append(list, gw)
	}
	return list, nil
}
