package text

import (
	"math"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// count reads plain digits and returns the index behind them, or 0 where tight must look.
func (s *step) count(line []byte, i int, ev *ingest.Event) int {
	const few = 15
	var n int64
	j := i
	for ; j < len(line); j++ {
		d := line[j] - '0'
		if d > 9 {
			break
		}
		n = n*10 + int64(d)
	}
	if j == i || j-i > few || n > s.most {
		return 0
	}
	if s.Field != field.Skip {
		field.Store(s.Field, n*s.scale, ev)
	}
	return j
}

// scaled multiplies a number by its unit, unless that is too much.
func (v *Variable) scaled(n int64, end int) (int64, int) {
	switch {
	case v.Unit <= 1:
		return n, end
	case n > math.MaxInt64/v.Unit:
		return 0, -1
	}
	return n * v.Unit, end
}

// badNumber says what it is that could not be read.
func badNumber(f field.Field) ingest.Reason {
	switch {
	case field.IsTime(f) || f == field.TimeOfDay:
		return ingest.BadTime
	case f == field.StatusCode:
		return ingest.BadStatus
	}
	return ingest.BadNumber
}
