package journal

import "fmt"

// Fence is the term that counts where a reader stands. Everybody who reads the
// same records in the same order has the same fence at each of them, so that
// all agree on what is ignored. It is pure.
type Fence struct{ Term Term }

// Verdict is what the fence says of a record.
type Verdict int

// The verdicts.
const (
	Valid Verdict = iota
	Began         // a new term begins with it
	Stale         // its writer led no longer: it counts for nothing
)

// Admit rules on the next record, and moves the fence where a term begins. An
// error means that no leader and nobody who asks for something writes such a
// record.
//
// A term begins with the first record of a higher epoch. Of two members that
// took the same epoch the first in the topic has it. A record of a higher epoch
// than the fence, whose beginning is no longer in the topic, is valid: beginnings
// are only deleted long after everything of an older epoch is gone.
func (f *Fence) Admit(r Record) (Verdict, error) {
	kind, parts, ok := Split(r.Key)
	switch {
	case !ok:
		return Stale, fmt.Errorf("journal: %.80q is no key", r.Key)
	case r.Epoch < 0 || r.Epoch == 0 && (kind != Request || r.Value == nil):
		return Stale, fmt.Errorf("journal: the record %.80q says no epoch: no portcullis wrote it", r.Key)
	case len(r.Value) > ValueMax:
		return Stale, fmt.Errorf("journal: the record %.80q has %d bytes, %d are the most", r.Key, len(r.Value), ValueMax)
	case r.Epoch == 0:
		return Valid, nil
	case kind == Leader && r.Value != nil:
		t, err := parseTerm(r, parts)
		if err != nil || t.Epoch <= f.Term.Epoch {
			return Stale, err
		}
		f.Term = t
		return Began, nil
	case r.Epoch < f.Term.Epoch:
		return Stale, nil
	}
	return Valid, nil
}
