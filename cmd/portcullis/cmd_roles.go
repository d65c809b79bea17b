package main

import "context"

// CollectCmd is "portcullis collect".
type CollectCmd struct{ roleFlags }

// DetectCmd is "portcullis detect".
type DetectCmd struct{}

// EnforceCmd is "portcullis enforce".
type EnforceCmd struct{}

// ConsoleCmd is "portcullis console".
type ConsoleCmd struct{}

// roleFlags are those of what reads logs.
type roleFlags struct {
	Source []string `name:"source" short:"s" placeholder:"FILE" help:"Follow this log too, with the format found by itself. - is standard input."`
}

const rolesHelp = `It is one of the four parts of "portcullis run", for an installation of several machines: it needs kafka.enabled and kafka.brokers in the settings. All machines of one installation need the same installation.key, identity and engine settings. SIGHUP reads the settings anew, SIGTERM saves and ends.

`

// Help implements kong.HelpProvider.
func (*CollectCmd) Help() string {
	return rolesHelp + `Runs beside each gateway: follows the logs of the settings and hands their lines on. What is acknowledged is remembered in state_dir.

Example:
  portcullis collect -c /etc/portcullis/portcullis.yaml`
}

// Run implements the command.
func (c *CollectCmd) Run(ctx context.Context, app *App) error {
	return (&RunCmd{Source: c.Source}).serve(ctx, app, roles{roleCollect})
}

// Help implements kong.HelpProvider.
func (*DetectCmd) Help() string {
	return rolesHelp + `Start as many as you have cores for: they share the partitions, and take over from one that ends. Their state is in Kafka; where elasticsearch.enabled is set they also write what was found there.

Example:
  portcullis detect -c /etc/portcullis/portcullis.yaml`
}

// Run implements the command.
func (*DetectCmd) Run(ctx context.Context, app *App) error {
	return (&RunCmd{}).serve(ctx, app, roles{roleDetect})
}

// Help implements kong.HelpProvider.
func (*EnforceCmd) Help() string {
	return rolesHelp + `Decides, pushes to the gateways and watches whether it holds. One is active, the others stand by with the same ledger.

Example:
  portcullis enforce -c /etc/portcullis/portcullis.yaml`
}

// Run implements the command.
func (*EnforceCmd) Run(ctx context.Context, app *App) error {
	return (&RunCmd{}).serve(ctx, app, roles{roleEnforce})
}

// Help implements kong.HelpProvider.
func (*ConsoleCmd) Help() string {
	return rolesHelp + `Serves the web page and the API on its own copy of findings and decisions, or on Elasticsearch's where that is the store.

Example:
  portcullis console -c /etc/portcullis/portcullis.yaml`
}

// Run implements the command.
func (*ConsoleCmd) Run(ctx context.Context, app *App) error {
	return (&RunCmd{}).serve(ctx, app, roles{roleConsole})
}
