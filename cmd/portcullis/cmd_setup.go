package main

import (
	"context"

	"github.com/portcullis/portcullis/enforce/gateway"
)

// SetupCmd is "portcullis setup".
type SetupCmd struct {
	Nginx SetupNginxCmd `cmd:"" help:"NGINX: the two include lines that let decisions in."`
}

// SetupNginxCmd is "portcullis setup nginx".
type SetupNginxCmd struct {
	Install bool   `name:"install" help:"Put the lines into the configuration, after a backup; nginx -t must agree, else all is put back."`
	Conf    string `name:"conf" placeholder:"FILE" help:"Main configuration file, instead of the settings' gateways.nginx.conf."`
	Dir     string `name:"dir" placeholder:"DIR" help:"Folder of the generated files, instead of gateways.nginx.dir."`
	Binary  string `name:"binary" placeholder:"PROGRAM" help:"The nginx program, instead of gateways.nginx.binary."`
}

// Help implements kong.HelpProvider.
func (*SetupNginxCmd) Help() string {
	return `Without --install nothing is changed: it prints what to write where.

Examples:
  portcullis setup nginx
  portcullis setup nginx --install --conf /etc/nginx/nginx.conf`
}

// Run implements the command.
func (c *SetupNginxCmd) Run(ctx context.Context, app *App) error {
	s, err := app.Settings()
	if err != nil {
		return err
	}
	cfg := s.Gateways.Nginx.NginxConfig
	for _, o := range []struct {
		to   *string
		from string
	}{{&cfg.Conf, c.Conf}, {&cfg.Dir, c.Dir}, {&cfg.Binary, c.Binary}} {
		if o.from != "" {
			*o.to = o.from
		}
	}
	return gateway.SetupNginx(ctx, app.Out, cfg, c.Install)
}
