package main

import (
	"fmt"
	"io"
	"os"

	"github.com/portcullis/portcullis/internal/config"
)

// ConfigCmd is "portcullis config".
type ConfigCmd struct {
	Check     ConfigCheckCmd     `cmd:"" group:"sub" help:"Report every mistake of a settings file at once, with its place."`
	Schema    ConfigSchemaCmd    `cmd:"" group:"sub" help:"Print the JSON Schema of the settings, for editors and pipelines."`
	Example   ConfigExampleCmd   `cmd:"" group:"sub" help:"Print a settings file with every key at its default."`
	Reference ConfigReferenceCmd `cmd:"" group:"sub" help:"Print all keys as Markdown tables."`
}

// Help implements kong.HelpProvider.
func (*ConfigCmd) Help() string {
	return `Settings come from the defaults, the YAML file and variables such as PORTCULLIS_STATE_DIR, in this order.

Examples:

  portcullis config example > portcullis.yaml
  portcullis config check portcullis.yaml
  portcullis config schema > portcullis.schema.json`
}

// ConfigCheckCmd is "portcullis config check".
type ConfigCheckCmd struct {
	File string `arg:"" optional:"" help:"The file; - is standard input. Without it, the one that run would read."`
}

// Run implements the command.
func (c *ConfigCheckCmd) Run(app *App) error {
	name, data, err := c.read(app)
	if err != nil {
		return err
	}
	s := app.newSettings()
	if err := config.Load(name, data, app.Environ, s); err != nil {
		return err
	}
	api, err := s.described()
	if err != nil {
		return err
	}
	if api != nil {
		for _, w := range api.Warnings {
			fmt.Fprintln(app.Err, w)
		}
	}
	rules, err := s.inlineRules()
	if err != nil {
		return err
	}
	if rules != nil {
		for _, w := range rules.Warnings {
			fmt.Fprintln(app.Err, w)
		}
	}
	if name == "" {
		name = "no settings file; the defaults and the environment"
	}
	_, err = fmt.Fprintf(app.Out, "%s: fine\n", name)
	return err
}

// read returns the file to check.
func (c *ConfigCheckCmd) read(app *App) (string, []byte, error) {
	name := c.File
	if name == "" {
		name = app.configPath()
	}
	var data []byte
	var err error
	switch name {
	case "":
	case "-":
		name = "standard input"
		data, err = io.ReadAll(app.In)
	default:
		data, err = os.ReadFile(name)
	}
	if err != nil {
		return "", nil, fmt.Errorf("read the settings: %w", err)
	}
	return name, data, nil
}

// ConfigSchemaCmd is "portcullis config schema".
type ConfigSchemaCmd struct{}

// Run implements the command.
func (*ConfigSchemaCmd) Run(app *App) error {
	return app.print(config.Schema(app.newSettings(), "Settings of Portcullis"))
}

// ConfigExampleCmd is "portcullis config example".
type ConfigExampleCmd struct{}

// Run implements the command.
func (*ConfigExampleCmd) Run(app *App) error { return app.print(config.Example(app.newSettings())) }

// ConfigReferenceCmd is "portcullis config reference".
type ConfigReferenceCmd struct{}

// Run implements the command.
func (*ConfigReferenceCmd) Run(app *App) error { return app.print(settingsPage()) }

// print writes a document that was made, or the error that kept it from being.
func (a *App) print(document []byte, err error) error {
	if err != nil {
		return err
	}
	_, err = a.Out.Write(document)
	return err
}
