// Package kibana makes what Kibana shows of Portcullis: data views, dashboards,
// saved searches, alert rules and detection rules, with ids that never change, and
// installs them.
//
// Everything comes from one description: a Panel says which documents it counts, by
// what, and how it is drawn. The Lens state that Kibana stores, the aggregation that
// Elasticsearch answers and the ES|QL text are three translations of it, so that what
// a test checks on a real Elasticsearch is what the panel shows.
//
// The shapes are those of Kibana 8.19, written with the migration versions of 8.9, so
// that 8.9 and newer take them.
package kibana

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/portcullis/portcullis/detect/store/elastic"
)

// The versions that saved objects are written with. Kibana migrates older ones when it
// imports them and refuses newer ones.
const (
	coreVersion      = "8.8.0"
	dashboardVersion = "8.9.0"
	dataViewVersion  = "8.0.0"
	searchVersion    = "8.0.0"
)

// object is a piece of JSON.
type object = map[string]any

// list is a JSON array.
type list = []any

// View is a data view: the documents of one kind, in both layouts and all namespaces.
type View struct {
	Kind elastic.Kind
	ID   string
	Name string
	// Time of a document: all kinds have @timestamp.
}

// Pattern is what the data view matches: data streams, or dated indices.
func (v View) Pattern() string {
	stream := "logs-portcullis."
	if v.Kind == elastic.Traffic {
		stream = "metrics-portcullis."
	}
	return stream + string(v.Kind) + "-*,portcullis." + string(v.Kind) + "-*"
}

// Views are all data views.
func Views() []View {
	return []View{
		{elastic.Finding, "portcullis-findings", "Portcullis: findings"},
		{elastic.Decision, "portcullis-decisions", "Portcullis: decisions"},
		{elastic.Audit, "portcullis-audit", "Portcullis: audit trail"},
		{elastic.Traffic, "portcullis-traffic", "Portcullis: traffic"},
		{elastic.Access, "portcullis-requests", "Portcullis: requests"},
	}
}

// viewOf is the data view of a kind.
func viewOf(k elastic.Kind) View {
	for _, v := range Views() {
		if v.Kind == k {
			return v
		}
	}
	return View{Kind: k}
}

// fixedID is an id that depends on nothing but its parts, in the form of a UUID of
// version 4: Kibana takes ids of one's own for rules in no other form.
func fixedID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	s := h.Sum(nil)
	s[6], s[8] = s[6]&0x0f|0x40, s[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", s[:4], s[4:6], s[6:8], s[8:10], s[10:16])
}

// text is a value as a string of JSON, the way in which saved objects nest it. Keys are
// sorted, so the same description gives the same bytes.
func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return "" // maps, lists, strings and numbers of our own always marshal
	}
	return string(data)
}

// ref is a reference of a saved object to another.
func ref(name, typ, id string) object { return object{"name": name, "type": typ, "id": id} }
