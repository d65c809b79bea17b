package detect

import "github.com/portcullis/portcullis/ingest"

// Blindness is something that the lines of a source lack, and the detectors that
// suffer from it there.
type Blindness struct {
	Source  string   `json:"source"`
	Missing []string `json:"missing"`    // fields, one of which would do
	Blind   []string `json:"blind"`      // detectors that find nothing without them
	Half    []string `json:"half_blind"` // detectors that find less
	Add     string   `json:"add"`        // what to log, or to set, so that they are there
}

// sightLeast events must have been seen of a source before it is said what they lack.
const sightLeast = 100

// Blindnesses lists what a source lacks for some detector, first what makes any blind,
// each in the order of the detectors. advise says what to do about a set of fields for a
// format.
func Blindnesses(rules []RuleConfig, row *ingest.LedgerRow, advise func(format string, set ingest.Fields) string) []Blindness {
	if row.Processed < sightLeast {
		return nil
	}
	carried := row.Carried.Fields()
	list, at := []Blindness{}, map[ingest.Fields]int{}
	of := func(set ingest.Fields) *Blindness {
		i, known := at[set]
		if !known {
			i, at[set] = len(list), len(list)
			list = append(list, Blindness{Source: row.Source, Missing: set.Names(), Blind: []string{}, Half: []string{}, Add: advise(row.Format, set)})
		}
		return &list[i]
	}
	var seeing []RuleConfig
	for _, r := range rules {
		blind := false
		for _, need := range r.Spec.Fields {
			if need&carried == 0 {
				blind = true
				b := of(need)
				b.Blind = append(b.Blind, r.Name)
			}
		}
		if !blind {
			seeing = append(seeing, r)
		}
	}
	for _, r := range seeing {
		(r.Spec.Helps &^ carried).Each(func(f ingest.Fields) {
			b := of(f)
			b.Half = append(b.Half, r.Name)
		})
	}
	return list
}
