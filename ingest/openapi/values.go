package openapi

import (
	"math"
	"regexp"

	"github.com/getkin/kin-openapi/openapi3"
)

// Range is what a schema says of a number.
type Range struct {
	Low, High         float64 // infinite where there is no bound
	OpenLow, OpenHigh bool    // the bound itself is out
	Multiple          float64 // 0: of anything
}

// anyNumber is the Range of a schema that says nothing.
var anyNumber = Range{Low: math.Inf(-1), High: math.Inf(1)}

// RangeOf reads the range of a schema; a nil one says nothing. Exclusive bounds are a word
// beside the bound in 3.0, and bounds of their own in 3.1.
func RangeOf(s *openapi3.Schema) Range {
	r := anyNumber
	if s == nil {
		return r
	}
	if s.Min != nil {
		r.Low, r.OpenLow = *s.Min, s.ExclusiveMin.IsTrue()
	}
	if s.Max != nil {
		r.High, r.OpenHigh = *s.Max, s.ExclusiveMax.IsTrue()
	}
	if v := s.ExclusiveMin.Value; v != nil && *v >= r.Low {
		r.Low, r.OpenLow = *v, true
	}
	if v := s.ExclusiveMax.Value; v != nil && *v <= r.High {
		r.High, r.OpenHigh = *v, true
	}
	if s.MultipleOf != nil && *s.MultipleOf > 0 {
		r.Multiple = *s.MultipleOf
	}
	return r
}

// Under reports whether a number is below what is described.
func (r *Range) Under(f float64) bool { return f < r.Low || r.OpenLow && f <= r.Low }

// Over reports whether a number is above what is described.
func (r *Range) Over(f float64) bool { return f > r.High || r.OpenHigh && f >= r.High }

// Uneven reports whether a number is not the multiple that is described, as far as binary
// fractions can tell: 0.3 is one of 0.1.
func (r *Range) Uneven(f float64) bool {
	if r.Multiple <= 0 {
		return false
	}
	q := f / r.Multiple
	if math.IsInf(q, 0) {
		return false
	}
	return !(math.Abs(q-math.Round(q)) <= 1e-9*math.Max(1, math.Abs(q)))
}

// Pattern compiles a pattern of a schema. Those of JSON Schema are JavaScript's: what looks
// ahead or back, and back references, Go does not know.
func Pattern(text string) (*regexp.Regexp, error) {
	return regexp.Compile(escapes.ReplaceAllString(text, `\x{$1}`))
}

var escapes = regexp.MustCompile(`\\u([0-9a-fA-F]{4})`)
