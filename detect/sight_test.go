package detect

import (
	"fmt"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

func TestBlindnesses(t *testing.T) {
	const who = ingest.FieldUser | ingest.FieldKey
	rules := []RuleConfig{
		{Name: "rate", Spec: Spec{Fields: []ingest.Fields{}}},
		{Name: "dim", Spec: Spec{Fields: []ingest.Fields{ingest.FieldStatus}, Helps: ingest.FieldAgent | ingest.FieldTarget}},
		{Name: "account", Spec: Spec{Fields: []ingest.Fields{ingest.FieldUser, ingest.FieldStatus}, Helps: ingest.FieldAgent}},
		{Name: "identity", Spec: Spec{Fields: []ingest.Fields{who}}},
		{Name: "both", Spec: Spec{Fields: []ingest.Fields{who, ingest.FieldCountry}}},
	}
	row := &ingest.LedgerRow{Source: "edge", Processed: 100, Format: "f",
		Carried: ingest.Carried{Now: ingest.FieldTarget, Before: ingest.FieldStatus}}
	advise := func(format string, set ingest.Fields) string { return format + " with " + set.String() }
	want := `[{edge [user] [account] [] f with user} {edge [user key] [identity both] [] f with user, key} {edge [country] [both] [] f with country} {edge [agent] [] [dim] f with agent}]`
	if got := fmt.Sprint(Blindnesses(rules, row, advise)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	row.Carried.Now = ingest.AllFields
	if got := Blindnesses(rules, row, advise); len(got) > 0 {
		t.Errorf("all is there, and it says %v", got)
	}
	row.Processed, row.Carried.Now = 99, 0
	if got := Blindnesses(rules, row, advise); len(got) > 0 {
		t.Errorf("too early: %v", got)
	}
}
