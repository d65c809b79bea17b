package main

import (
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/internal/cliout"
)

// FormatsCmd is "portcullis formats".
type FormatsCmd struct{}

// Help implements kong.HelpProvider.
func (*FormatsCmd) Help() string {
	return `What "format" of a source and --format take: a name, for many with something behind a colon, such as a gateway's own format string. "auto" finds those that need nothing behind the colon.

Examples:

  portcullis formats
  portcullis formats --output jsonl | jq -r '.example'`
}

// formatObject is a format in --output jsonl.
type formatObject struct {
	Format  string `json:"format"`
	Reads   string `json:"reads"`
	Example string `json:"example"` // a line, or for a format that needs one, a whole name with its argument
}

// Run implements the command. It reads no settings: formats are part of the binary.
func (*FormatsCmd) Run(app *App) error {
	out := cliout.NewJSONL(app.Out)
	t := app.Table(cliout.Column{Title: "FORMAT", Keep: true}, cliout.Column{Title: "READS"})
	for _, name := range format.Names() {
		spec, ok := format.Lookup(name)
		if !ok {
			spec.Doc = "whichever of the others reads most of the first lines; it says which, and why"
		}
		if app.JSONL() {
			if err := out.Write(&formatObject{name, spec.Doc, spec.Example}); err != nil {
				return err
			}
			continue
		}
		t.Row(name, spec.Doc)
	}
	if app.JSONL() {
		return out.Flush()
	}
	return t.Flush()
}
