package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/portcullis/portcullis/enforce/gateway"
	"github.com/portcullis/portcullis/internal/cliout"
	"github.com/portcullis/portcullis/internal/config"
)

// SetupCmd is "portcullis setup".
type SetupCmd struct {
	Gateway string            `arg:"" optional:"" help:"The kind of gateway, such as nginx; without one they are listed."`
	Install bool              `name:"install" help:"Make the change instead of printing it, where that can be undone: after a backup, and only if the gateway agrees."`
	Name    string            `name:"name" placeholder:"NAME" help:"Which gateway of the settings, where there are several of the kind."`
	Set     map[string]string `name:"set" placeholder:"KEY=VALUE" help:"Instead of what the settings say of that gateway, such as conf=/etc/nginx/nginx.conf; may be repeated."`
}

// Help implements kong.HelpProvider.
func (*SetupCmd) Help() string {
	return `Without --install nothing is changed: it prints what to write where. Settings of the gateway are read from "gateways", or are the defaults.

Examples:
  portcullis setup
  portcullis setup nginx
  portcullis setup nginx --install --set conf=/etc/nginx/nginx.conf
  portcullis setup haproxy --set socket=/run/haproxy/admin.sock`
}

// Run implements the command.
func (c *SetupCmd) Run(ctx context.Context, app *App) error {
	if c.Gateway == "" {
		return listGateways(app)
	}
	spec, err := gateway.Lookup(c.Gateway)
	if err != nil {
		return usageError{err: err}
	}
	s, err := app.Settings()
	if err != nil {
		return err
	}
	g, err := c.find(s)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(c.Set)) {
		if err := config.Set(g.section(), key, c.Set[key]); err != nil {
			return usageError{err: fmt.Errorf("--set %s: %w", cliout.Safe(key, 80), err)}
		}
	}
	if err := spec.Setup(ctx, app.Out, g.section(), c.Install); err != nil {
		return err
	}
	if slices.Contains(referenced, c.Gateway) && !c.Install {
		fmt.Fprintf(app.Out, "\nA whole configuration of %s to start from, with TLS, limits, keys and a log: deploy/gateways/%[1]s in the sources.\n", c.Gateway)
	}
	return nil
}

// referenced are the gateways that deploy/gateways has a reference configuration of.
var referenced = []string{"nginx", "haproxy", "envoy", "traefik", "caddy"}

// find returns the gateway of the settings, or one with the defaults.
func (c *SetupCmd) find(s *Settings) (*GatewaySettings, error) {
	var found []*GatewaySettings
	for i := range s.Gateways {
		if g := &s.Gateways[i]; g.Type == c.Gateway && (c.Name == "" || g.name() == c.Name) {
			found = append(found, g)
		}
	}
	switch {
	case len(found) > 1:
		return nil, usageError{err: errors.New("the settings have several of that kind: say which with --name")}
	case len(found) == 1:
		return found[0], nil
	case c.Name != "":
		return nil, usageError{err: fmt.Errorf("the settings have no %s named %.64q", c.Gateway, c.Name)}
	}
	g, err := newGatewaySettings(c.Gateway)
	return &g, err
}

// gatewayObject is a kind of gateway in --output jsonl.
type gatewayObject struct {
	Gateway string   `json:"gateway"`
	Doc     string   `json:"doc"`
	Actions []string `json:"actions"`
	Holds   string   `json:"holds"`
	Tested  string   `json:"tested"`
}

// listGateways prints the kinds.
func listGateways(app *App) error {
	out := cliout.NewJSONL(app.Out)
	t := app.Table(cliout.Column{Title: "GATEWAY", Keep: true}, cliout.Column{Title: "HOW"}, cliout.Column{Title: "HOLDS"})
	for _, name := range gateway.Names() {
		spec, err := gateway.Lookup(name)
		if err != nil {
			return err
		}
		if !app.JSONL() {
			t.Row(name, spec.How, spec.Holds)
			continue
		}
		o := gatewayObject{Gateway: name, Doc: spec.Doc, Holds: spec.Holds, Tested: spec.Tested}
		for _, a := range spec.Actions {
			o.Actions = append(o.Actions, string(a))
		}
		if err := out.Write(&o); err != nil {
			return err
		}
	}
	if app.JSONL() {
		return out.Flush()
	}
	return t.Flush()
}
