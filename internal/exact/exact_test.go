package exact_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/portcullis/portcullis/internal/exact"
)

type both struct {
	T exact.Text  `json:"t,omitempty"`
	F exact.Float `json:"f"`
}

func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"", "plain", "<a href=\"x\">&\u2028", "\xff\xfe", "half \xc3", "\x00\x1f\ufffd", `{"raw":"AAAA"}`} {
		f.Add(s, math.Float64bits(0.1))
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64} {
		f.Add("x", math.Float64bits(v))
	}
	f.Fuzz(func(t *testing.T, s string, bits uint64) {
		v := math.Float64frombits(bits)
		data, err := json.Marshal(both{exact.Text(s), exact.Float(v)})
		if err != nil {
			t.Fatal(err)
		}
		var got both
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		same := math.Float64bits(float64(got.F)) == bits || math.IsNaN(v) && math.IsNaN(float64(got.F))
		if string(got.T) != s || !same {
			t.Errorf("%q %x came back as %q %x by %s", s, bits, got.T, math.Float64bits(float64(got.F)), data)
		}
	})
}

func TestRefused(t *testing.T) {
	for _, text := range []string{`{"t":5}`, `{"t":{"raw":"?"}}`, `{"t":[]}`, `{"f":"one"}`, `{"f":true}`, `{"f":{}}`, `{"f":""}`} {
		var got both
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s was taken as %+v", text, got)
		}
	}
	var got both
	if err := json.Unmarshal([]byte(`{"t":null,"f":null}`), &got); err != nil || got != (both{}) {
		t.Errorf("null: %+v %v", got, err)
	}
}
