package channel

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/detect/alert"
)

// siemValue bounds a value, in characters.
const siemValue = 1023

// siemSeverity are the numbers that CEF (0 to 10) and LEEF (1 to 10) have in common.
var siemSeverity = map[string]int{"critical": 10, "high": 8, "medium": 5, "low": 3, "info": 1}

// pair is one key and value of an event.
type pair struct{ key, value string }

// cef is a notice in the Common Event Format, version 0:
// https://www.microfocus.com/documentation/arcsight/arcsight-smartconnectors/pdfdoc/common-event-format-v25/common-event-format-v25.pdf
func cef(n *alert.Notice) string {
	var b strings.Builder
	b.WriteString("CEF:0")
	for _, s := range []string{"Portcullis", "Portcullis", n.Version, event(n), oneLine(n.Title), strconv.Itoa(siemSeverity[n.Severity])} {
		b.WriteByte('|')
		b.WriteString(strings.NewReplacer(`\`, `\\`, `|`, `\|`).Replace(short(oneLine(s), 512)))
	}
	b.WriteByte('|')
	list := []pair{{"rt", millis(n.At.UnixMilli())}, {"externalId", n.Alert}, {"act", string(n.Kind)}, {"cat", n.Family}, {"cnt", strconv.FormatInt(n.Findings, 10)},
		{"request", n.Route}, {"msg", n.Why}}
	if !n.First.IsZero() {
		list = append(list, pair{"start", millis(n.First.UnixMilli())}, pair{"end", millis(n.Last.UnixMilli())})
	}
	list = append(list, who(n, "src", "suser")...)
	list = append(list, pair{"cn1Label", "clients"}, pair{"cn1", strconv.FormatInt(n.Clients, 10)}, pair{"cn2Label", "requests"}, pair{"cn2", strconv.FormatInt(n.Requests, 10)})
	if n.Campaign != "" {
		list = append(list, pair{"cs1Label", "campaign"}, pair{"cs1", n.Campaign})
	}
	if n.Link != "" {
		list = append(list, pair{"cs2Label", "console"}, pair{"cs2", n.Link})
	}
	blank := ""
	for _, p := range list {
		if p.value == "" {
			continue
		}
		b.WriteString(blank + p.key + "=" + strings.NewReplacer(`\`, `\\`, `=`, `\=`).Replace(short(oneLine(p.value), siemValue)))
		blank = " "
	}
	return b.String()
}

// leef is a notice in the Log Event Extended Format 2.0, with tabs between its attributes:
// https://www.ibm.com/docs/en/dsm?topic=overview-leef-event-components
func leef(n *alert.Notice) string {
	var b strings.Builder
	b.WriteString("LEEF:2.0")
	for _, s := range []string{"Portcullis", "Portcullis", n.Version, event(n)} {
		b.WriteString("|" + strings.ReplaceAll(short(oneLine(s), 512), "|", "_")) // there is no escape
	}
	b.WriteString("|x09|")
	list := []pair{{"devTime", millis(n.At.UnixMilli())}, {"cat", n.Family}, {"sev", strconv.Itoa(siemSeverity[n.Severity])}, {"alert", n.Alert}, {"kind", string(n.Kind)},
		{"title", n.Title}, {"why", n.Why}, {"campaign", n.Campaign}, {"route", n.Route}, {"clients", strconv.FormatInt(n.Clients, 10)},
		{"findings", strconv.FormatInt(n.Findings, 10)}, {"requests", strconv.FormatInt(n.Requests, 10)}, {"console", n.Link}}
	list = append(list, who(n, "src", "usrName")...)
	tab := ""
	for _, p := range list {
		if p.value == "" {
			continue
		}
		b.WriteString(tab + p.key + "=" + short(oneLine(p.value), siemValue))
		tab = "\t"
	}
	return b.String()
}

// event is what kind of event it is: the rule, or what the notice is.
func event(n *alert.Notice) string {
	if n.Rule != "" {
		return n.Rule
	}
	return string(n.Kind)
}

func millis(n int64) string { return strconv.FormatInt(n, 10) }

// who names the busiest client, where an alert is about one.
func who(n *alert.Notice, address, user string) []pair {
	if n.Clients != 1 || len(n.Subjects) == 0 {
		return nil
	}
	kind, value, _ := strings.Cut(n.Subjects[0], ":")
	switch kind {
	case "ip":
		if a, err := netip.ParseAddr(value); err == nil {
			return []pair{{address, a.String()}}
		}
	case "account", "consumer":
		return []pair{{user, value}}
	}
	return nil
}
