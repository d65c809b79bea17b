package kibana

import (
	"fmt"
	"strings"
)

// packageVersion is raised with every change of what the package holds.
const packageVersion = "1.0.0"

// packageFolder is where an export puts the Fleet package.
const packageFolder = "fleet/portcullis-" + packageVersion + "/"

// Package is a package of Fleet with the same objects. It brings no data streams: their
// templates are those of "portcullis index install".
func Package() ([]File, error) {
	objects, err := Objects()
	if err != nil {
		return nil, err
	}
	var out []File
	add := func(path string, v any) error {
		data, err := indented(v)
		out = append(out, File{packageFolder + path, data})
		return err
	}
	for _, o := range objects {
		folder := strings.ReplaceAll(o.Type, "-", "_")
		if err := add("kibana/"+folder+"/"+o.ID+".json", o); err != nil {
			return nil, err
		}
	}
	for _, r := range DetectionRules() {
		id := r["rule_id"].(string)
		attributes := object{}
		for k, v := range r {
			if k != "immutable" && k != "enabled" { // Fleet sets these
				attributes[k] = v
			}
		}
		if err := add("kibana/security_rule/"+id+".json", object{"id": id, "type": "security-rule", "attributes": attributes}); err != nil {
			return nil, err
		}
	}
	text := map[string]string{"manifest.yml": manifest, "changelog.yml": changes, "docs/README.md": readme(), "img/portcullis.svg": icon}
	for _, name := range []string{"manifest.yml", "changelog.yml", "docs/README.md", "img/portcullis.svg"} {
		out = append(out, File{packageFolder + name, []byte(text[name])})
	}
	return out, nil
}

const manifest = `format_version: 3.5.4
name: portcullis
title: Portcullis
version: ` + packageVersion + `
description: Dashboards, searches and detection rules over the findings, decisions and traffic that Portcullis writes.
type: integration
categories:
  - security
  - web
conditions:
  kibana:
    version: "^8.9.0 || ^9.0.0"
  elastic:
    subscription: basic
    capabilities:
      - security
icons:
  - src: /img/portcullis.svg
    title: Portcullis
    size: 32x32
    type: image/svg+xml
owner:
  github: portcullis/portcullis
  type: community
`

const changes = `- version: ` + packageVersion + `
  changes:
    - description: Dashboards, data views, saved searches and detection rules.
      type: enhancement
      link: https://github.com/portcullis/portcullis/pull/1
`

const icon = `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32" viewBox="0 0 32 32"><path fill="none" stroke="#2f6f9f" stroke-width="3" d="M4 30V13a12 12 0 0 1 24 0v17M10 8v22M16 4v26M22 8v22M4 16h24M4 24h24"/></svg>
`

func readme() string {
	var b strings.Builder
	b.WriteString("# Portcullis\n\nPortcullis reads the access log of an API gateway, finds attackers, has the gateway block them, and checks in the log that the block holds. ")
	b.WriteString("It writes findings, decisions, its audit trail, traffic and requests to Elasticsearch by itself; this package brings what Kibana shows of them.\n\n")
	b.WriteString("| dashboard | shows |\n|---|---|\n")
	for _, board := range Boards() {
		fmt.Fprintf(&b, "| %s | %s |\n", board.Title, board.About)
	}
	b.WriteString("\nTemplates and retention are those of `portcullis index install`. The detection rules come switched off.\n")
	return b.String()
}
