package detect

import (
	"slices"

	"github.com/portcullis/portcullis/detect/window"
)

// windowKey tells the findings of a shard apart.
type windowKey struct {
	rule  uint8
	slot  Slot
	start int64
}

// open is a finding whose window is not over.
type open struct {
	f     Finding
	early bool  // not yet confirmed by a closed second
	dirty bool  // changed since it was last collected
	told  int64 // LastSeen when it was last handed over
}

// findings keeps what may still change of a shard or of the wide level.
type findings struct {
	open    map[windowKey]*open
	settled []Finding // window over, not yet collected
	emit    func(Finding)
	id      func(rule string, s Subject, window int64) string
}

// MaxOpenFindings bounds the findings of one shard whose window is not over;
// beyond it the oldest windows are settled early.
const MaxOpenFindings = 4096

func newFindings(emit func(Finding), id func(string, Subject, int64) string) findings {
	return findings{open: map[windowKey]*open{}, emit: emit, id: id}
}

// put takes in the state of a finding as it is judged when a second closes, or, early,
// as it looks before: that one is no later than the last judgement. It emits what is new, graver,
// newly certain or still going on after a while; everything else waits to be
// collected.
func (fs *findings) put(k windowKey, f Finding, early bool) {
	o := fs.open[k]
	if early {
		f.Updated = 0
		if o != nil {
			f.Updated = o.f.Updated
		}
	}
	if o == nil {
		if len(fs.open) >= MaxOpenFindings {
			fs.settleOldest()
		}
		f.ID = fs.id(f.Rule, f.Subject, f.Window)
		fs.open[k] = &open{f: f, early: early, dirty: true, told: f.LastSeen}
		fs.emit(f)
		return
	}
	graver := f.Severity > o.f.Severity || Certain(f.Confidence) && !Certain(o.f.Confidence)
	f.ID = o.f.ID
	if f.LastSeen-o.told >= Again*1e9 || graver {
		o.told = max(o.told, f.LastSeen)
		fs.emit(f)
	}
	if early && !graver || f == o.f && o.early == early {
		return
	}
	o.f, o.early, o.dirty = f, early, true
}

// Again is how many seconds of event time a finding that goes on is not handed
// over anew. Whoever acts on findings then sees that a subject came back when
// its block was over, within the same window.
const Again = 10

// Certain reports whether a confidence counts as near certain: policy may act
// on it without being told to.
func Certain(confidence float64) bool { return confidence >= 0.95 }

// settle closes one window, if it is there.
func (fs *findings) settle(k windowKey) {
	if o := fs.open[k]; o != nil {
		fs.close(k, o)
	}
}

func (fs *findings) close(k windowKey, o *open) {
	if o.dirty {
		fs.settled = append(fs.settled, o.f)
	}
	delete(fs.open, k)
}

func (fs *findings) settleOldest() {
	var oldest windowKey
	var found *open
	for k, o := range fs.open {
		if found == nil || k.start < oldest.start || k.start == oldest.start && o.f.Severity < found.f.Severity {
			oldest, found = k, o
		}
	}
	fs.close(oldest, found)
}

// collect appends what changed since the last time.
func (fs *findings) collect(out []Finding) []Finding {
	out = append(out, fs.settled...)
	fs.settled = fs.settled[:0]
	for _, o := range fs.open {
		if o.dirty {
			out = append(out, o.f)
			o.dirty = false
		}
	}
	return out
}

// SortFindings puts findings in event-time order of firing, then by id.
func SortFindings(list []Finding) {
	slices.SortFunc(list, func(a, b Finding) int {
		if a.FiredAt != b.FiredAt {
			if a.FiredAt < b.FiredAt {
				return -1
			}
			return 1
		}
		if a.ID < b.ID {
			return -1
		}
		if a.ID > b.ID {
			return 1
		}
		return 0
	})
}

func (fs *findings) code(k *window.Codec, rename func(uint8) (uint8, bool)) {
	n := k.Len(len(fs.open))
	if !k.Reading() {
		for key, o := range fs.open {
			codeOpen(k, &key, o)
		}
		return
	}
	for ; n > 0 && k.Err() == nil; n-- {
		var key windowKey
		o := &open{}
		codeOpen(k, &key, o)
		if r, ok := rename(key.rule); ok && k.Err() == nil {
			key.rule = r
			fs.open[key] = o
		}
	}
}

func codeOpen(k *window.Codec, key *windowKey, o *open) {
	k.U8(&key.rule)
	slot := uint32(key.slot)
	k.U32(&slot)
	key.slot = Slot(slot)
	k.I64(&key.start)
	k.Bool(&o.early)
	k.I64(&o.told)
	f := &o.f
	fam := string(f.Family)
	for _, s := range []*string{&f.ID, &f.Rule, &fam, &f.Subject.Kind, &f.Subject.Value, &f.Why, &f.Route, &f.Members, &f.Suspects} {
		k.String(s)
	}
	f.Family = Family(fam)
	version, sev := int64(f.Version), uint8(f.Severity)
	k.I64(&version)
	k.U8(&sev)
	f.Version, f.Severity = int(version), Severity(sev)
	k.F64(&f.Confidence)
	for _, n := range []*int64{&f.Window, &f.FirstSeen, &f.LastSeen, &f.FiredAt, &f.Updated, &f.Count,
		&f.Standing.Successes, &f.Standing.People, &f.Standing.Since} {
		k.I64(n)
	}
	for i := range f.Evidence {
		e := &f.Evidence[i]
		k.String(&e.Source)
		k.I64(&e.Offset)
		k.I64(&e.Time)
		k.String(&e.Line)
		k.String(&e.Agent)
		k.String(&e.Note)
	}
}
