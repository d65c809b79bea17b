package main

import (
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/internal/cliout"
)

// RulesCmd is "portcullis rules".
type RulesCmd struct {
	Markdown bool `name:"markdown" help:"Print docs/detectors.md: all of every detector, its settings with their source, and what OWASP's list asks for."`
}

// Help implements kong.HelpProvider.
func (*RulesCmd) Help() string {
	return `A detector that the settings switch off is listed too.

Examples:

  portcullis rules
  portcullis rules --output jsonl | jq -r '.rule + ": " + .evasion'`
}

// ruleObject is a detector in --output jsonl.
type ruleObject struct {
	Rule    string        `json:"rule"`
	Version int           `json:"version"`
	Family  detect.Family `json:"family"`
	Flags   string        `json:"flags"`
	Tags    []string      `json:"tags"`
	By      string        `json:"by"` // whose behaviour is judged
	Needs   string        `json:"needs"`
	Fields  [][]string    `json:"fields"` // of each set the log must have one, else it is blind
	Helps   []string      `json:"helps"`  // without each of these it sees less
	State   string        `json:"state"`
	Evasion string        `json:"evasion"`
}

func ruleOf(name string) ruleObject {
	spec, _ := detect.SpecOf(name)
	fields := [][]string{}
	for _, set := range spec.Fields {
		fields = append(fields, set.Names())
	}
	by := spec.By.String()
	if spec.Serves != nil {
		by = "subject of the kind that its settings name"
	}
	return ruleObject{Rule: name, Version: spec.Version, Family: spec.Family, Flags: spec.Doc, Tags: spec.Tags,
		By: by, Needs: spec.Needs, Fields: fields, Helps: spec.Helps.Names(), State: spec.State, Evasion: spec.Evasion}
}

// sight says without which fields it is blind, and half blind.
func (r *ruleObject) sight() string {
	if len(r.Fields)+len(r.Helps) == 0 {
		return "none: client and time are enough"
	}
	var sets []string
	for _, set := range r.Fields {
		sets = append(sets, "`"+strings.Join(set, "` or `")+"`")
	}
	text := strings.Join(sets, ", and ")
	if len(r.Helps) > 0 {
		if text != "" {
			text += "; "
		}
		text += "sees more with `" + strings.Join(r.Helps, "`, `") + "`"
	}
	return text
}

// Run implements the command. It reads no settings: detectors are part of the binary.
func (c *RulesCmd) Run(app *App) error {
	if c.Markdown {
		return app.print(detectorsPage())
	}
	if app.JSONL() {
		out := cliout.NewJSONL(app.Out)
		for _, name := range detect.Rules() {
			if err := out.Write(ruleOf(name)); err != nil {
				return err
			}
		}
		return out.Flush()
	}
	t := app.Table(cliout.Column{Title: "RULE", Keep: true}, cliout.Column{Title: "FAMILY", Keep: true},
		cliout.Column{Title: "TAGS"}, cliout.Column{Title: "FLAGS"})
	for _, name := range detect.Rules() {
		r := ruleOf(name)
		t.Row(r.Rule, string(r.Family), strings.Join(r.Tags, " "), r.Flags)
	}
	return t.Flush()
}
