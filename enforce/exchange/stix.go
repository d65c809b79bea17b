package exchange

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// stixTime is how STIX 2.1 writes times (section 2.16), with milliseconds.
const stixTime = "2006-01-02T15:04:05.000Z"

func stixOf(ns int64) string { return time.Unix(0, ns).UTC().Format(stixTime) }

// indicator is an indicator of STIX 2.1 (section 4.7).
type indicator struct {
	Type        string   `json:"type"`
	Spec        string   `json:"spec_version"`
	ID          string   `json:"id"`
	By          string   `json:"created_by_ref"`
	Created     string   `json:"created"`
	Modified    string   `json:"modified"`
	Name        string   `json:"name"`
	Types       []string `json:"indicator_types"`
	Pattern     string   `json:"pattern"`
	PatternType string   `json:"pattern_type"`
	From        string   `json:"valid_from"`
	Until       string   `json:"valid_until"`
	Labels      []string `json:"labels,omitempty"`
}

// identityObject says who made them (section 4.5).
type identityObject struct {
	Type     string `json:"type"`
	Spec     string `json:"spec_version"`
	ID       string `json:"id"`
	Created  string `json:"created"`
	Modified string `json:"modified"`
	Name     string `json:"name"`
	Class    string `json:"identity_class"`
}

// we is this program as STIX has it: the same everywhere, since nothing is told of the
// installation.
var we = identityObject{
	Type: "identity", Spec: "2.1", ID: "identity--" + uuidOf("identity", "portcullis"), Name: "Portcullis",
	Created: "2026-01-01T00:00:00.000Z", Modified: "2026-01-01T00:00:00.000Z", Class: "system",
}

// indicatorOf puts an item into STIX. The pattern holds a parsed address only.
func indicatorOf(it *Item) indicator {
	kind, value, op := "ipv4-addr", it.Prefix.String(), "ISSUBSET"
	if it.Prefix.Addr().Is6() {
		kind = "ipv6-addr"
	}
	if it.Prefix.IsSingleIP() {
		value, op = it.Prefix.Addr().String(), "="
	}
	in := indicator{
		Type: "indicator", Spec: "2.1", ID: "indicator--" + it.UUID(), By: we.ID, Created: stixOf(it.Since), Modified: stixOf(it.Since),
		Name: value, Types: []string{"malicious-activity"}, Pattern: fmt.Sprintf("[%s:value %s '%s']", kind, op, value), PatternType: "stix",
		From: stixOf(it.Since), Until: stixOf(max(it.Expires, it.Since+int64(time.Millisecond))),
	}
	if it.Rule != "" {
		in.Labels = append(in.Labels, it.Rule)
	}
	if it.Action == enforce.Throttle {
		in.Types = []string{"anomalous-activity"}
	}
	return in
}
