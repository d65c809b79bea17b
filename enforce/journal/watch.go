package journal

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/internal/exact"
)

type watchValue struct {
	V     int        `json:"v"`
	Kind  exact.Text `json:"kind"`
	Value exact.Text `json:"value"`
	Deny  uint16     `json:"deny"`
	Since int64      `json:"since"`
}

// WatchRecord asks detectors to report the requests of a subject.
func WatchRecord(w detect.Watch) Record {
	value, _ := json.Marshal(watchValue{V: Version, Kind: exact.Text(w.Subject.Kind), Value: exact.Text(w.Subject.Value), Deny: w.Deny, Since: w.Since})
	return Record{Key: watchKey(w.Subject), Value: value}
}

func watchKey(s detect.Subject) string { return Key(Watch, s.Kind, s.Value) }

// WatchDiff gives the records that make the list want of have. Where a subject
// stands twice in a list, the last one counts.
func WatchDiff(have, want []detect.Watch) []Record {
	was, is := map[detect.Subject]detect.Watch{}, map[detect.Subject]detect.Watch{}
	for _, w := range have {
		was[w.Subject] = w
	}
	for _, w := range want {
		is[w.Subject] = w
	}
	var out []Record
	for s, w := range is {
		if old, ok := was[s]; !ok || old != w {
			out = append(out, WatchRecord(w))
		}
	}
	for s := range was {
		if _, ok := is[s]; !ok {
			out = append(out, Record{Key: watchKey(s)})
		}
	}
	slices.SortFunc(out, func(a, b Record) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// ParseWatch is the inverse of WatchRecord.
func ParseWatch(value []byte) (detect.Watch, error) {
	var v watchValue
	if err := Parse(value, &v, &v.V); err != nil {
		return detect.Watch{}, err
	}
	if v.Kind == "" || v.Value == "" || v.Deny < 100 || v.Deny > 999 {
		return detect.Watch{}, fmt.Errorf("journal: a watch needs a subject and a status")
	}
	return detect.Watch{Subject: detect.Subject{Kind: string(v.Kind), Value: string(v.Value)}, Deny: v.Deny, Since: v.Since}, nil
}

// NewerError says that a value is of a version that this program does not know.
type NewerError struct{ V int }

// Error implements error.
func (e NewerError) Error() string {
	return fmt.Sprintf("journal: it is version %d, this program knows %d: a newer portcullis wrote it; upgrade this one", e.V, Version)
}

// Parse reads the JSON of a value; v is its version in there.
func Parse(value []byte, into any, v *int) error {
	err := json.Unmarshal(value, into)
	switch {
	case *v > Version: // said first: a newer version may have other types
		return NewerError{*v}
	case err != nil:
		return fmt.Errorf("journal: read a value: %w", err)
	case *v < 1:
		return fmt.Errorf("journal: a value without a version")
	}
	return nil
}

// View is the list of watches as a detector follows it: read the topic from
// its beginning and give every record to Apply. It is used from one goroutine.
type View struct {
	limit int
	show  func(string) string
	fence Fence
	list  map[detect.Subject]detect.Watch // as it stands in the records
	left  map[detect.Subject]detect.Watch // found the list full
}

// NewView follows at most limit subjects. As many beyond it wait until others go
// (Left counts them), and what is beyond those too is not followed. Where
// addresses are hidden, show brings them back; nil takes them as they are.
func NewView(limit int, show func(string) string) *View {
	if show == nil {
		show = func(s string) string { return s }
	}
	return &View{limit: limit, show: show, list: map[detect.Subject]detect.Watch{}, left: map[detect.Subject]detect.Watch{}}
}

// Apply takes the next record and reports whether the list changed by it. After
// an error the list is as before; go on with the next record.
func (v *View) Apply(r Record) (changed bool, err error) {
	verdict, err := v.fence.Admit(r)
	kind, parts, _ := Split(r.Key)
	if err != nil || verdict != Valid || kind != Watch || len(parts) != 2 {
		return false, err
	}
	s := detect.Subject{Kind: parts[0], Value: parts[1]}
	if r.Value == nil {
		return v.drop(s), nil
	}
	w, err := ParseWatch(r.Value)
	if err != nil {
		return false, fmt.Errorf("%w (key %.80q)", err, r.Key)
	}
	if w.Subject != s {
		return false, fmt.Errorf("journal: the record %.80q is about another subject than its key", r.Key)
	}
	old, had := v.list[s]
	if !had && len(v.list) >= v.limit {
		if len(v.left) < v.limit {
			v.left[s] = w
		}
		return false, nil
	}
	v.list[s] = w
	return !had || old != w, nil
}

func (v *View) drop(s detect.Subject) (changed bool) {
	delete(v.left, s)
	if _, had := v.list[s]; !had {
		return false
	}
	delete(v.list, s)
	for s, w := range v.left {
		v.list[s] = w
		delete(v.left, s)
		break
	}
	return true
}

// List is the list as it stands, sorted, for detect.Engine's Watch.
func (v *View) List() []detect.Watch {
	out := make([]detect.Watch, 0, len(v.list))
	for _, w := range v.list {
		w.Subject.Value = v.show(w.Subject.Value)
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b detect.Watch) int {
		return cmp.Or(strings.Compare(a.Subject.Value, b.Subject.Value), strings.Compare(a.Subject.Kind, b.Subject.Kind))
	})
	return out
}

// Left is how many subjects found the list full and wait.
func (v *View) Left() int { return len(v.left) }
