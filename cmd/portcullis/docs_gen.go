package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/internal/config"
)

// rootStateDir is the state folder of a service that runs as root.
const rootStateDir = "/var/lib/portcullis"

const settingsHead = `# Settings

Written by ` + "`portcullis config reference`" + `; ` + "`portcullis config example`" + ` prints the same as a YAML file, and
` + "`portcullis config schema`" + ` as JSON Schema.

Settings come from the defaults, then the YAML file, then the variables named here; the later
one wins. An unknown key or variable is a mistake, and all mistakes are reported at once
(` + "`portcullis config check`" + `). SIGHUP makes a running service read them anew. A duration is a
number with s, m, h or d; in a variable, a list is written with commas.

`

// settingsPage is docs/configuration.md. It does not depend on who asks for it:
// where the state lies by default is said for root, and for others in words.
func settingsPage() ([]byte, error) {
	body, err := config.Reference(&Settings{StateDir: rootStateDir, Detectors: sections()})
	if err != nil {
		return nil, err
	}
	return append([]byte(settingsHead), append(bytes.TrimRight(body, "\n"), '\n')...), nil
}

const detectorsHead = `# Detectors

Written by ` + "`portcullis rules --markdown`" + ` from what each detector says of itself.

A detector flags a subject in a window of event time. One rule gives one finding for a subject
in a clock hour of the log: what follows in that hour adds to it and may raise its severity.
While Portcullis runs, a rule may fire before its second is complete; the finding has the same
id then, and is corrected when the second closes. An IPv6 client is its /64.

"People" are distinct users and user agents with successful requests from the same client in the last
24 hours, at whole half days: an estimate of who shares an address. Agents, which a client writes itself, count for
eight people at most.

`

// detectorsPage is docs/detectors.md.
func detectorsPage() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(detectorsHead)
	b.WriteString("| detector | family | flags |\n|---|---|---|\n")
	for _, name := range detect.Rules() {
		r := ruleOf(name)
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", name, name, r.Family, r.Flags)
	}
	b.WriteByte('\n')
	for _, name := range detect.Rules() {
		if err := detectorPart(&b, name); err != nil {
			return nil, err
		}
	}
	owaspPart(&b)
	return b.Bytes(), nil
}

// detectorPart writes all of one detector.
func detectorPart(b *bytes.Buffer, name string) error {
	r := ruleOf(name)
	fmt.Fprintf(b, "## %s\n\nFlags: %s.\n\n| | |\n|---|---|\n", name, r.Flags)
	for _, row := range [][2]string{
		{"family", string(r.Family)}, {"tags", "`" + strings.Join(r.Tags, "` `") + "`"}, {"judges", "one " + r.By},
		{"needs", r.Needs}, {"fields", r.sight()}, {"keeps", r.State}, {"stays invisible", r.Evasion}, {"version", fmt.Sprint(r.Version)},
	} {
		fmt.Fprintf(b, "| %s | %s |\n", row[0], strings.ReplaceAll(row[1], "|", `\|`))
	}
	b.WriteByte('\n')
	spec, _ := detect.SpecOf(name)
	only := struct {
		Detectors config.Sections `yaml:"detectors"`
	}{config.Sections{{Name: name, Doc: spec.Doc, Value: spec.Config()}}}
	text, err := config.Reference(&only)
	if err != nil {
		return err
	}
	if i := bytes.Index(text, []byte("| key |")); i >= 0 { // without the headings
		b.Write(bytes.TrimRight(text[i:], "\n"))
		b.WriteString("\n\n")
	}
	return nil
}

// owaspItem is one entry of the OWASP API Security Top 10 of 2023.
type owaspItem struct {
	name   string
	unseen string // what no access log shows of it
}

var owaspAPI = [...]owaspItem{
	{"Broken Object Level Authorization", "whose object it is: a stranger's order answered with 200 looks like one's own. Only walks over many ids and refusals at many can be seen"},
	{"Broken Authentication", "a guess answered with 200, a stolen token that works, how passwords and tokens are made and kept"},
	{"Broken Object Property Level Authorization", "which fields were read or written: bodies are not in the log"},
	{"Unrestricted Resource Consumption", "memory, e-mails and third-party costs behind a request; only requests, bytes and time are logged"},
	{"Broken Function Level Authorization", "which role a caller has. Refused tries at administrative functions can be seen, by names known from administration; one that succeeds at once looks like any other request"},
	{"Unrestricted Access to Sensitive Business Flows", "what a flow is worth, and whether a person or a program walks it"},
	{"Server Side Request Forgery", "which requests the service then makes, and targets in a body that is not logged. A target in the query is looked at by injection (class ssrf), whose tags do not say so"},
	{"Security Misconfiguration", "headers, TLS settings, verbose errors, open storage: only attempts to use them"},
	{"Improper Inventory Management", "which hosts and versions exist that no request has reached"},
	{"Unsafe Consumption of APIs", "what the services fetch from others: that traffic does not pass this gateway. What others send to it as requests is inspected"},
}

// owaspPart writes which detector covers which entry, as their tags say.
func owaspPart(b *bytes.Buffer) {
	b.WriteString("## OWASP API Security Top 10 (2023)\n\nA detector stands beside an entry when it carries its tag. It sees signs of that entry in a log, and never the whole of it.\n\n")
	b.WriteString("| entry | seen today by | what no access log shows |\n|---|---|---|\n")
	for i, item := range owaspAPI {
		tag := fmt.Sprintf("owasp:api%d:2023", i+1)
		var by []string
		for _, name := range detect.Rules() {
			if slices.Contains(ruleOf(name).Tags, tag) {
				by = append(by, name)
			}
		}
		seen := strings.Join(by, ", ")
		if seen == "" {
			seen = "nothing yet"
		}
		fmt.Fprintf(b, "| API%d %s | %s | %s |\n", i+1, item.name, seen, item.unseen)
	}
}
