package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/portcullis/portcullis/dashboards/grafana"
	"github.com/portcullis/portcullis/dashboards/kibana"
	"github.com/portcullis/portcullis/internal/cliout"
)

// DashboardsCmd is "portcullis dashboards".
type DashboardsCmd struct {
	Install DashboardsInstallCmd `cmd:"" group:"sub" help:"Put data views, dashboards, saved searches and, if wanted, rules into a Kibana."`
	Export  DashboardsExportCmd  `cmd:"" group:"sub" help:"Write the files for Kibana, Fleet, Grafana and Prometheus into a folder."`
}

// DashboardsInstallCmd is "portcullis dashboards install".
type DashboardsInstallCmd struct {
	Kibana         string `required:"" placeholder:"URL" help:"Address of Kibana, such as https://kibana.example.org:5601."`
	Space          string `placeholder:"SPACE" help:"Space of Kibana, by the name in its address; the default space if not given."`
	APIKeyFile     string `name:"api-key-file" placeholder:"FILE" help:"File with an API key in its encoded form. Else $PORTCULLIS_KIBANA_API_KEY counts."`
	CA             string `name:"ca" placeholder:"FILE" help:"PEM file of the authorities that may sign the certificate of Kibana; those of the system if not given."`
	Overwrite      bool   `help:"Replace what is there already."`
	DryRun         bool   `help:"Only say what is there and what is missing."`
	DetectionRules bool   `help:"Import rules for Elastic Security too, switched off."`
	AlertRules     bool   `help:"Make alert rules too, switched off and without actions."`
}

// DashboardsExportCmd is "portcullis dashboards export".
type DashboardsExportCmd struct {
	Dir string `arg:"" optional:"" default:"dashboards" help:"Folder for the files; it is made if it is not there."`
}

// Help implements kong.HelpProvider.
func (*DashboardsInstallCmd) Help() string {
	return `Ids never change, so doing it twice with --overwrite brings everything up to date. Ends with status 1 if anything failed; the list says what and why.

Example:
  portcullis dashboards install --kibana https://kibana.example.org:5601 --api-key-file kibana.key`
}

// Help implements kong.HelpProvider.
func (*DashboardsExportCmd) Help() string {
	return `Without a connection to anything: saved objects and rules to import by hand, a Fleet package, dashboards for Grafana, rules for Prometheus.

Example:
  portcullis dashboards export ./dashboards`
}

// client makes the client that the flags ask for.
func (c *DashboardsInstallCmd) client(app *App) (*kibana.Client, error) {
	key := app.getenv("PORTCULLIS_KIBANA_API_KEY")
	if c.APIKeyFile != "" {
		data, err := os.ReadFile(c.APIKeyFile)
		if err != nil {
			return nil, fmt.Errorf("api key: %w", err)
		}
		key = string(data)
	}
	key = strings.TrimSpace(key)
	if strings.ContainsAny(key, " \t\r\n") {
		return nil, errors.New("api key: it has blanks in it: give its encoded form alone, as Kibana shows it")
	}
	return kibana.New(kibana.Options{URL: c.Kibana, Space: c.Space, APIKey: key, CA: c.CA})
}

// Run implements the command.
func (c *DashboardsInstallCmd) Run(ctx context.Context, app *App) error {
	client, err := c.client(app)
	if err != nil {
		return err
	}
	if _, err := client.Version(ctx); err != nil {
		return err
	}
	if c.DryRun {
		list, err := client.Look(ctx)
		return errors.Join(showOutcomes(app, list), err)
	}
	steps := []func(context.Context, bool) ([]kibana.Outcome, error){client.Install}
	if c.DetectionRules {
		steps = append(steps, client.InstallDetections)
	}
	if c.AlertRules {
		steps = append(steps, client.InstallAlerts)
	}
	var all []kibana.Outcome
	for _, step := range steps {
		var list []kibana.Outcome
		list, err = step(ctx, c.Overwrite)
		if all = append(all, list...); err != nil {
			break
		}
	}
	if shown := showOutcomes(app, all); shown != nil || err != nil {
		return errors.Join(shown, err)
	}
	failed := 0
	for _, o := range all {
		if o.Did == kibana.DidFail {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s failed", failed, plural(len(all), "object"))
	}
	return nil
}

// showOutcomes prints what became of each object.
func showOutcomes(app *App, list []kibana.Outcome) error {
	if app.JSONL() {
		for _, o := range list {
			if err := app.object(o); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		return nil
	}
	t := app.Table(cliout.Column{Title: "TYPE", Keep: true}, cliout.Column{Title: "NAME"}, cliout.Column{Title: "DID"}, cliout.Column{Title: "WHY"})
	for _, o := range list {
		t.Row(o.Type, o.Name, o.Did, o.Why)
	}
	return t.Flush()
}

// Run implements the command.
func (c *DashboardsExportCmd) Run(app *App) error {
	files, err := kibana.Files()
	if err != nil {
		return err
	}
	fleet, err := kibana.Package()
	if err != nil {
		return err
	}
	for _, f := range append(files, fleet...) {
		if err := c.write(f.Path, f.Data); err != nil {
			return err
		}
	}
	others, err := grafana.Files()
	if err != nil {
		return err
	}
	for _, f := range others {
		if err := c.write(f.Path, f.Data); err != nil {
			return err
		}
	}
	n := len(files) + len(fleet) + len(others)
	if app.JSONL() {
		return app.object(map[string]any{"folder": c.Dir, "files": n})
	}
	_, err = fmt.Fprintf(app.Out, "%s in %s\n", plural(n, "file"), cliout.Safe(c.Dir, 0))
	return err
}

func (c *DashboardsExportCmd) write(path string, data []byte) error {
	to := filepath.Join(c.Dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}
