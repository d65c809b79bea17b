package backfill

import (
	"cmp"
	"slices"
	"time"
)

// Lines do not stand in the order of their times exactly: a request is logged at
// its end with the time of its beginning, or the other way round.
const disorder = int64(time.Hour)

// zoneDoubt is how far the clock of the file system and the times in a log may be
// apart: those without a zone are read in one that may not be theirs.
const zoneDoubt = int64(24 * time.Hour)

// span is the time to be read; its bounds are the ends of int64 where open.
type span struct{ since, until int64 }

func (s span) holds(t int64) bool { return t >= s.since && t < s.until }

// before says whether t lies before the span by more than slack.
func (s span) before(t, slack int64) bool { return t < s.since && s.since-t > slack }

// choose puts files in the order in which they are read, and marks those that lie
// outside the span for certain. Where that is not certain a file is read, and its
// lines tell.
func choose(files []*file, in span) {
	slices.SortFunc(files, func(a, b *file) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.path, b.path))
	})
	next := map[string]int64{} // first event of the following file, by series
	for i := len(files) - 1; i >= 0; i-- {
		f := files[i]
		follows, known := next[series(f.path)]
		next[series(f.path)] = f.first
		f.outside = in.before(f.mtime, zoneDoubt) || f.last != 0 && in.before(f.last, disorder) ||
			known && in.before(follows, disorder) || f.first >= in.until && f.first-in.until > disorder
	}
}
