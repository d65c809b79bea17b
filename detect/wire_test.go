package detect_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"pgregory.net/rapid"
)

func drawBytes(t *rapid.T, label string) string {
	return string(rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, label))
}

func drawFinding(t *rapid.T) detect.Finding {
	n := rapid.Int64()
	f := detect.Finding{
		ID: drawBytes(t, "id"), Rule: drawBytes(t, "rule"), Version: int(n.Draw(t, "version")), Family: detect.Family(drawBytes(t, "family")),
		Severity: detect.Severity(rapid.IntRange(0, 4).Draw(t, "severity")), Confidence: rapid.Float64().Draw(t, "confidence"),
		Subject: detect.Subject{Kind: drawBytes(t, "kind"), Value: drawBytes(t, "value")},
		Window:  n.Draw(t, "window"), FirstSeen: n.Draw(t, "first"), LastSeen: n.Draw(t, "last"), FiredAt: n.Draw(t, "fired"), Updated: n.Draw(t, "updated"),
		Count: n.Draw(t, "count"), Why: drawBytes(t, "why"), Route: drawBytes(t, "route"), Members: drawBytes(t, "members"), Suspects: drawBytes(t, "suspects"),
		Standing: detect.Standing{Successes: n.Draw(t, "ok"), People: n.Draw(t, "people"), Since: n.Draw(t, "since")},
	}
	for i := range rapid.IntRange(0, detect.MaxEvidence).Draw(t, "lines") {
		f.Evidence[i] = detect.Evidence{Source: drawBytes(t, "source"), Offset: n.Draw(t, "offset"), Time: n.Draw(t, "time"),
			Line: drawBytes(t, "line"), Agent: drawBytes(t, "agent"), Note: drawBytes(t, "note")}
	}
	return f
}

func TestFindingRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFinding(t)
		data, err := detect.EncodeFinding(&f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := detect.DecodeFinding(data)
		if err != nil || got != f {
			t.Fatalf("%+v came back as %+v (%v) by %s", f, got, err, data)
		}
		g := detect.Finding{ID: f.ID}
		if err := detect.DecodeEvidence(detect.EncodeEvidence(&f), &g); err != nil || g.Evidence != f.Evidence {
			t.Fatalf("evidence came back as %+v (%v)", g.Evidence, err)
		}
	})
}

// TestEvidenceOfOldStores reads what the first version of the store wrote.
func TestEvidenceOfOldStores(t *testing.T) {
	var f detect.Finding
	err := detect.DecodeEvidence(`[{"source":"s","offset":3,"time":4,"line":"a"},{"source":"s","offset":5,"time":6,"raw":"/w==","note":"n"}]`, &f)
	want := [detect.MaxEvidence]detect.Evidence{{Source: "s", Offset: 3, Time: 4, Line: "a"}, {Source: "s", Offset: 5, Time: 6, Line: "\xff", Note: "n"}}
	if err != nil || f.Evidence != want {
		t.Errorf("%+v %v", f.Evidence, err)
	}
}

func TestWireRefuses(t *testing.T) {
	good := `{"v":1,"id":"x","rule":"r","severity":"high","subject":{"kind":"ip","value":"192.0.2.1"}}`
	if _, err := detect.DecodeFinding([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":   "unexpected end",
		"{}": "no version",
		strings.Replace(good, `"v":1`, `"v":2`, 1):                                "upgrade",
		strings.Replace(good, `"v":1`, `"v":2,"count":{}`, 1):                     "upgrade",
		strings.Replace(good, `"x"`, `""`, 1):                                     "no id",
		strings.Replace(good, `"high"`, `"loud"`, 1):                              `no severity "loud"`,
		strings.Replace(good, `"v":1`, `"v":1,"evidence":[{},{},{},{},{},{}]`, 1): "6 lines",
		strings.Replace(good, `"x"`, `"`+strings.Repeat("x", 2<<20)+`"`, 1):       "bytes",
	} {
		if _, err := detect.DecodeFinding([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.90s: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{`{"v":1,"n":1}`, `{"v":1,"client":"192.0.2.1"}`, `{"v":1,"client":"192.0.2.1","n":1,"first":2,"last":1}`,
		`{"v":1,"client":"x","n":1}`, `{"v":1,"client":"192.0.2.1","n":1,"status":70000}`} {
		if s, err := detect.DecodeSightings([]byte(text)); err == nil {
			t.Errorf("%s was taken as %+v", text, s)
		}
	}
	if _, err := detect.EncodeFinding(&detect.Finding{Severity: 9}); err == nil {
		t.Error("a severity without a name was encoded")
	}
}

func FuzzDecodeWire(f *testing.F) {
	f.Add([]byte(`{"v":1,"id":"x","rule":"r","severity":"high","subject":{"kind":"ip","value":{"raw":"/w=="}},"evidence":[{"raw":"AA=="}]}`))
	f.Add([]byte(`{"v":1,"client":"2001:db8::1","n":3,"first":1,"last":2,"status":403,"route":{"raw":"/w=="}}`))
	f.Add([]byte(`{"v":1,"kind":"key","value":"k_1","client":"192.0.2.1","n":1,"first":1,"last":1,"status":200}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := detect.DecodeFinding(data); err == nil {
			again, err := detect.EncodeFinding(&got)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := detect.DecodeFinding(again); err != nil || back != got && got.Confidence == got.Confidence {
				t.Fatalf("%+v came back as %+v (%v)", got, back, err)
			}
		}
		if got, err := detect.DecodeSightings(data); err == nil {
			if back, err := detect.DecodeSightings(detect.EncodeSightings(got)); err != nil || back != got {
				t.Fatalf("%+v came back as %+v (%v)", got, back, err)
			}
		}
	})
}

// TestCoalesced: whatever comes, no request is lost or counted twice, no message
// goes beyond a second, and there are few of them.
func TestCoalesced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type kind struct {
			status        uint16
			second        int64
			route, source string
		}
		const limit = 5
		want, got := map[kind]int64{}, map[kind]int64{}
		messages := map[[2]int64]int{}
		sum := func(into map[kind]int64, s detect.Sighting, n int64) {
			into[kind{s.Status, s.Time / 1e9, "", ""}] += n
			if s.Route != "" {
				into[kind{s.Status, s.Time / 1e9, s.Route, s.Source}] += n
			}
		}
		c := detect.NewCoalescer(limit, func(s detect.Sightings) {
			sum(got, s.Sighting, s.N)
			messages[[2]int64{int64(s.Status), s.Time / 1e9}]++
			if s.First/1e9 != s.Time/1e9 || s.First > s.Time || s.N < 1 {
				t.Fatalf("%+v goes beyond a second", s)
			}
		})
		c.Watch([]detect.Watch{{Subject: detect.Subject{Kind: "cidr", Value: "192.0.2.0/24"}, Deny: 403}})
		routes := rapid.IntRange(1, 12).Draw(t, "routes")
		at := int64(1_700_000_000e9)
		for i := range rapid.IntRange(1, 2000).Draw(t, "requests") {
			at += rapid.Int64Range(0, 20e6).Draw(t, "pause")
			s := detect.Sighting{Client: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Time: at,
				Status: uint16(200 + 203*rapid.IntRange(0, 1).Draw(t, "denied")), Route: fmt.Sprint("/r", i%routes), Source: "g"}
			sum(want, s, 1)
			c.Saw(s)
		}
		c.Flush()
		for k, n := range want {
			if k.route == "" && got[k] != n || got[k] > n || k.route != "" && routes < limit && got[k] != n {
				t.Errorf("%+v: %d of %d", k, got[k], n)
			}
		}
		for k, n := range messages {
			if n > 2*limit {
				t.Errorf("%d messages for status %d in second %d", n, k[0], k[1])
			}
		}
	})
}

// TestCoalescerIsBounded: clients that nobody watches cannot fill memory.
func TestCoalescerIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	var n int64
	c := detect.NewCoalescer(1, func(s detect.Sightings) { n += s.N })
	for i := range 200_000 {
		a := netip.AddrFrom4([4]byte{198, byte(i >> 16), byte(i >> 8), byte(i)})
		c.Saw(detect.Sighting{Client: a, Time: 1e9, Status: 200})
		c.Saw(detect.Sighting{Client: a, Time: 1e9, Status: 200})
	}
	c.Saw(detect.Sighting{Time: 1e9, Status: 200})
	c.Flush()
	if n != 400_001 {
		t.Errorf("%d of 400001", n)
	}
}
