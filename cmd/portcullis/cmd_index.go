package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/internal/cliout"
)

// IndexCmd is "portcullis index".
type IndexCmd struct {
	Install IndexInstallCmd `cmd:"" group:"sub" help:"Make the templates in Elasticsearch, and what else is missing there."`
	Check   IndexCheckCmd   `cmd:"" group:"sub" help:"Say what is missing or wrong in Elasticsearch, and how to mend it."`
}

// IndexInstallCmd is "portcullis index install".
type IndexInstallCmd struct{}

// IndexCheckCmd is "portcullis index check".
type IndexCheckCmd struct{}

// Help implements kong.HelpProvider.
func (*IndexInstallCmd) Help() string {
	return `The service does it by itself when it starts; this is for those who want to look first, or whose service may write documents and not templates. Doing it twice changes nothing.

Example:
  portcullis index install -c portcullis.yaml`
}

// Help implements kong.HelpProvider.
func (*IndexCheckCmd) Help() string {
	return `Looks at templates, indices and privileges. Ends with status 1 if something has to be mended.

Example:
  portcullis index check -c portcullis.yaml`
}

// elasticOf opens the Elasticsearch of the settings.
func (a *App) elasticOf() (*elastic.Store, error) {
	s, err := a.Settings()
	if err != nil {
		return nil, err
	}
	if !s.Elasticsearch.Enabled {
		return nil, errors.New("elasticsearch.enabled is not set: name the nodes under elasticsearch.urls, and enable it")
	}
	log, err := a.Logger(s.Log.Level, s.Log.Format)
	if err != nil {
		return nil, err
	}
	return elastic.New(s.Elasticsearch, elastic.Options{Log: log})
}

// Run implements the command.
func (*IndexInstallCmd) Run(ctx context.Context, app *App) error {
	es, err := app.elasticOf()
	if err != nil {
		return err
	}
	defer es.Close()
	made, err := es.Install(ctx)
	if err != nil {
		return err
	}
	if app.JSONL() {
		return app.object(map[string][]string{"made": append([]string{}, made...)})
	}
	if len(made) == 0 {
		_, err = fmt.Fprintln(app.Out, "all is there already")
		return err
	}
	for _, m := range made {
		if _, err := fmt.Fprintln(app.Out, "made "+cliout.Safe(m, 0)); err != nil {
			return err
		}
	}
	return nil
}

// problemObject is something to be mended.
type problemObject struct {
	What string `json:"what"`
	Why  string `json:"why"`
	Mend string `json:"mend"`
}

// Run implements the command.
func (*IndexCheckCmd) Run(ctx context.Context, app *App) error {
	es, err := app.elasticOf()
	if err != nil {
		return err
	}
	defer es.Close()
	problems, err := es.Check(ctx)
	if err != nil {
		return err
	}
	for _, p := range problems {
		if app.JSONL() {
			err = app.object(problemObject{p.What, p.Why, p.Mend})
		} else {
			_, err = fmt.Fprintln(app.Out, cliout.Safe(p.String(), 0))
		}
		if err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s to be mended in Elasticsearch", plural(len(problems), "thing"))
	}
	if app.JSONL() {
		return nil
	}
	_, err = fmt.Fprintln(app.Out, "all is in order")
	return err
}
