package indexed

import (
	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/journal"
)

// Records returns a function that turns records of the journal, in their order, into
// documents. Records of those who lead no longer, and those that concern nobody who
// reads, give none. An error says that the record is none of ours. The function is
// used by one goroutine.
func (x *Index) Records() func(journal.Record) ([]elastic.Doc, error) {
	var fence journal.Fence
	return func(r journal.Record) ([]elastic.Doc, error) {
		verdict, err := fence.Admit(r)
		if err != nil {
			return nil, err
		}
		if verdict != journal.Valid || r.Value == nil {
			return nil, nil // what is past its time in the ledger has its own time in Elasticsearch
		}
		d, some, err := x.recordDoc(r)
		if err != nil || !some {
			return nil, err
		}
		d.Again = true // the topic may be read again
		return []elastic.Doc{d}, nil
	}
}

// recordDoc makes the document of a record that counts, if it has one. The version of
// a decision is its place in the journal.
func (x *Index) recordDoc(r journal.Record) (d elastic.Doc, some bool, err error) {
	kind, parts, _ := journal.Split(r.Key)
	switch {
	case kind == journal.Decision && len(parts) == 1:
		v, err := enforce.ReadDecision(r.Value)
		if err != nil {
			return d, false, err
		}
		d, err = x.DecisionDoc(v, r.Offset+1)
		return d, true, err
	case kind == journal.Change && len(parts) == 2:
		v, err := enforce.ReadChange(r.Value)
		if err != nil {
			return d, false, err
		}
		d, err = x.ChangeDoc(parts[0], v, r.Offset)
		return d, true, err
	case kind == journal.Command && len(parts) == 1:
		v, err := enforce.ReadCommand(parts[0], r.Value)
		if err != nil {
			return d, false, err
		}
		d, err = x.CommandDoc(v)
		return d, true, err
	}
	return d, false, nil
}
