package main

import (
	"bytes"
	_ "embed" // the part of the page that is written by hand
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
)

//go:embed docs_audit.md
var auditHead string

// auditPage is docs/audit.md: what is written by hand, then what readers and checks
// say of themselves.
func auditPage() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(auditHead)
	b.WriteString("\n## Gateways\n\n| `--gateway` | reads |\n|---|---|\n")
	for _, r := range audit.Readers() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.Name, r.Doc)
	}
	b.WriteString("\n## Checks\n\nA check that begins with `seen` is about a log (`--log`).\n")
	for _, p := range audit.Practices() {
		fmt.Fprintf(&b, "\n### %s\n\n| check | severity | wrong when | what to do | rests on |\n|---|---|---|---|---|\n", strings.ToUpper(string(p[:1]))+string(p[1:]))
		for _, c := range audit.Checks() {
			if c.Practice != p {
				continue
			}
			var refs []string
			for _, r := range c.Refs {
				refs = append(refs, fmt.Sprintf("[%s](%s)", r.Name, r.URL))
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", c.ID, c.Severity, c.Title, c.Fix, strings.Join(refs, ", "))
		}
	}
	return b.Bytes(), nil
}
