package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/portcullis/portcullis/internal/config"
)

// RunCmd is "portcullis run".
type RunCmd struct {
	Source []string `name:"source" short:"s" placeholder:"FILE" help:"Follow this log too, with the format found by itself; enough to look around without settings."`
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
	s, err := c.settings(app)
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		log, err := app.Logger(s.Log.Level, s.Log.Format)
		if err != nil {
			return err
		}
		p, err := openPipeline(ctx, s, log)
		if err != nil {
			return err
		}
		turn, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- p.run(turn) }()
		next := (*Settings)(nil)
		for next == nil {
			select {
			case err := <-ended:
				stop()
				return err
			case <-hup:
				if next, err = c.settings(app); err != nil {
					next = nil
					var problems config.Problems
					if errors.As(err, &problems) {
						for _, x := range problems {
							log.Error("settings refused, the old ones stay in force", "problem", config.Problems{x}.Error())
						}
					} else {
						log.Error("settings refused, the old ones stay in force", "error", err)
					}
				}
			}
		}
		log.Info("settings read anew")
		stop()
		if err := <-ended; err != nil {
			return err
		}
		s = next
	}
}

func (c *RunCmd) settings(app *App) (*Settings, error) {
	s, err := app.Settings()
	if err != nil {
		return nil, err
	}
	for _, path := range c.Source {
		src := SourceSettings{Format: "auto"}
		src.Path = path
		s.Sources = append(s.Sources, src)
	}
	return s, nil
}
