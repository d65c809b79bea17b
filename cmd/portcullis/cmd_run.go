package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/portcullis/portcullis/internal/config"
)

// RunCmd is "portcullis run".
type RunCmd struct {
	Source []string `name:"source" short:"s" placeholder:"FILE" help:"Follow this log too, with the format found by itself; enough to look around without settings. - is standard input."`
	Roles  []string `name:"roles" placeholder:"ROLE,..." help:"Only these parts: collect, detect, enforce, console. Less than all needs Kafka between them (kafka.enabled)."`
}

// Help implements kong.HelpProvider.
func (*RunCmd) Help() string {
	return `Follows the logs of the settings, detects, decides, pushes to the gateways, and serves the console. SIGHUP reads the settings anew: the state is kept, and settings that are wrong are refused while the old ones stay in force. SIGTERM saves and ends.

Examples:
  portcullis run --source /var/log/nginx/access.log
  portcullis run -c /etc/portcullis/portcullis.yaml`
}

// Run implements the command.
func (c *RunCmd) Run(ctx context.Context, app *App) error {
	r, err := rolesOf(c.Roles)
	if err != nil {
		return err
	}
	return c.serve(ctx, app, r)
}

// daemon is what runs until its context ends.
type daemon interface {
	run(ctx context.Context) error
}

// open makes the daemon: within one process, or with Kafka between the roles.
func (r roles) open(ctx context.Context, s *Settings, log *slog.Logger) (daemon, error) {
	if s.Kafka.Enabled || !r.all() {
		return openCluster(ctx, s, r, log)
	}
	return openPipeline(ctx, s, log)
}

// serve runs the roles, and again with new settings at SIGHUP.
func (c *RunCmd) serve(ctx context.Context, app *App, r roles) error {
	s, err := c.settings(app)
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	var old *Settings // to go back to
	for {
		log, err := app.Logger(s.Log.Level, s.Log.Format)
		if err != nil {
			return err
		}
		p, err := r.open(ctx, s, log)
		if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil // it was told to stop while it started
		}
		if err != nil && old != nil {
			log.Error("the new settings cannot be worked with, the old ones are in force again", "error", err)
			s, old = old, nil
			continue
		}
		if err != nil {
			return err
		}
		s.sayDescribed(log)
		turn, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- p.run(turn) }()
		next, err := c.await(app, r, s, log, hup, ended)
		stop()
		if next == nil {
			return err
		}
		log.Info("settings read anew")
		if err := <-ended; err != nil {
			return err
		}
		s, old = next, s
	}
}

// await returns the settings to go on with, or nil with what run ended with.
func (c *RunCmd) await(app *App, r roles, s *Settings, log *slog.Logger, hup <-chan os.Signal, ended <-chan error) (*Settings, error) {
	for {
		select {
		case err := <-ended:
			return nil, err
		case <-hup:
		}
		next, err := c.settings(app)
		if err == nil {
			err = next.replaceable(s, r)
		}
		if err == nil {
			return next, nil
		}
		const refused = "settings refused, the old ones stay in force"
		var problems config.Problems
		if !errors.As(err, &problems) {
			log.Error(refused, "error", err)
		}
		for _, x := range problems {
			log.Error(refused, "problem", config.Problems{x}.Error())
		}
	}
}

func (c *RunCmd) settings(app *App) (*Settings, error) {
	s, err := app.Settings()
	if err != nil {
		return nil, err
	}
	for _, path := range c.Source {
		src := SourceSettings{Format: "auto"}
		if src.Path = path; path == "-" {
			src.Type, src.Path = kindStdin, ""
		} else {
			s.started.files = append(s.started.files, path)
		}
		s.Sources = append(s.Sources, src)
	}
	return s, nil
}
