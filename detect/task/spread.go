package task

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/detect"
)

// Next is the offset from which the task of a snapshot reads on.
func (s *Saved) Next() (int64, error) {
	if !s.Found {
		return 0, nil
	}
	var h head
	if err := unmarshalHead(s.Meta, &h); err != nil {
		return 0, err
	}
	return h.Next, nil
}

// Spread makes new snapshots of level one, over another number of partitions, out of
// all old ones, in the order of their partitions. All that the old tasks were to read
// must be taken in, and what it led to handed on.
//
// Level two needs no change. It goes on from its own snapshots, over the new number of
// engines: those that it does not know are at second 0, so nothing closes before all of
// them have spoken, which they do with the first word of the stream. An engine with
// shards of one that was behind may count there as further than it is; that is no harm,
// since all that the stream had up to here is taken in, and what is still to come of
// seconds that anyone has closed is late wherever it arrives.
type Spread struct {
	old  []Saved
	head []head
	meta []frontMeta
	seen []placeAt
}

// NewSpread reads the old snapshots.
func NewSpread(old []Saved) (*Spread, error) {
	s := &Spread{old: old, head: make([]head, len(old)), meta: make([]frontMeta, len(old))}
	for i := range old {
		if !old[i].Found {
			continue
		}
		if err := unmarshalHead(old[i].Meta, &s.head[i]); err != nil {
			return nil, fmt.Errorf("partition %d: %w", i, err)
		}
		if err := json.Unmarshal(s.head[i].Part, &s.meta[i]); err != nil {
			return nil, fmt.Errorf("partition %d: saved state: %w", i, err)
		}
	}
	s.seen = seenBy(s.meta)
	return s, nil
}

// seenBy joins the marks of what was seen, those untouched the longest first. Lines
// below the farthest mark of a file were all taken in, by one or the other.
func seenBy(metas []frontMeta) []placeAt {
	longest := 0
	for i := range metas {
		longest = max(longest, len(metas[i].Seen))
	}
	var list []placeAt
	at := map[place]int{}
	for back := longest; back > 0; back-- {
		for i := range metas {
			n := len(metas[i].Seen) - back
			if n < 0 {
				continue
			}
			p := metas[i].Seen[n]
			if was, known := at[p.place]; known {
				p.At = max(p.At, list[was].At)
				list[was].place = place{} // it moves to the end
			}
			at[p.place] = len(list)
			list = append(list, p)
		}
	}
	list = slices.DeleteFunc(list, func(p placeAt) bool { return p.place == place{} })
	return list[max(0, len(list)-maxPlaces):]
}

// Make makes the snapshot of one of so many new partitions, which reads on from next.
// open makes an engine that forwards, with one worker; Make closes it. Save it under an
// epoch above Epoch.
func (s *Spread) Make(partition, partitions int, next int64, open func() (*detect.Engine, error)) (meta []byte, blobs map[string][]byte, err error) {
	engine, err := open()
	if err != nil {
		return nil, nil, err
	}
	defer engine.Close()
	h := head{Version: headVersion, Next: next}
	for i := range s.old {
		if !s.old[i].Found {
			continue
		}
		rest := i%partitions == partition // one takes what is not of a shard
		if rest {
			h.Lost += s.head[i].Lost
			h.Foreign += s.head[i].Foreign
		}
		state := detect.Snapshot{Blobs: s.old[i].Blobs, Ledger: s.meta[i].Ledger}
		if err := engine.RestoreShards(state, func(shard int) bool { return shard%partitions == partition }, rest); err != nil {
			return nil, nil, fmt.Errorf("partition %d: %w", i, err)
		}
	}
	cut := engine.Snapshot()
	if h.Part, err = json.Marshal(frontMeta{Seen: s.seen, Ledger: cut.Ledger}); err != nil {
		return nil, nil, fmt.Errorf("snapshot: %w", err)
	}
	if meta, err = json.Marshal(h); err != nil {
		return nil, nil, fmt.Errorf("snapshot: %w", err)
	}
	return meta, cut.Blobs, nil
}

// Epoch is the highest of the old owners.
func (s *Spread) Epoch() int64 {
	most := int64(0)
	for i := range s.old {
		most = max(most, s.old[i].Epoch)
	}
	return most
}
