package elastic

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store/storetest"
)

func TestContract(t *testing.T) {
	together(t, func(t *testing.T, layout string) {
		r := installed(t, server(t).URL(), layout)
		storetest.Run(t, r, func(t testing.TB, fs []detect.Finding, rs []detect.Rollup) {
			if err := r.Write(t.Context(), r.docs(t, fs, rs)); err != nil {
				t.Fatal(err)
			}
			r.mustRefresh(t)
		})
		if len(r.rejected.why) > 0 {
			t.Errorf("rejected: %q", r.rejected.why)
		}
	})
}

func (r *rig) docs(t testing.TB, fs []detect.Finding, rs []detect.Rollup) []Doc {
	t.Helper()
	var docs []Doc
	add := func(d Doc, err error) {
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, d)
	}
	for _, f := range fs {
		add(r.FindingDoc(f))
	}
	for _, u := range rs {
		add(r.TrafficDoc(u, ""))
	}
	return docs
}

// TestPartsAddUp has two who count the same minute, as two partitions do.
func TestPartsAddUp(t *testing.T) {
	r := installed(t, server(t).URL(), LayoutIndex)
	u := detect.Rollup{Minute: 1795910280, Source: "gate", Route: "/login", Requests: 3, S2xx: 1, S4xx: 2, Refused: 2, BytesOut: 10, Nanos: 5}
	var docs []Doc
	for _, part := range []string{"0", "1"} {
		d, err := r.TrafficDoc(u, part)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, d)
	}
	if err := r.Write(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
	r.mustRefresh(t)
	got, err := r.Rollups(t.Context(), 0, 0, "/login")
	want := detect.Rollup{Minute: 1795910280, Source: "gate", Route: "/login", Requests: 6, S2xx: 2, S4xx: 4, Refused: 4, BytesOut: 20, Nanos: 10}
	if err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, error %v, want %+v", got, err, want)
	}
}

// TestNewestWins writes the states of a finding in any order, over days and, with a
// data stream, over indices.
func TestNewestWins(t *testing.T) {
	together(t, func(t *testing.T, layout string) {
		r := installed(t, server(t).URL(), layout)
		states := make([]detect.Finding, 6)
		for i := range states {
			f := sample(1)
			f.LastSeen += int64(i) * 20 * 3600e9 // for days
			f.Count += int64(i)
			states[i] = f
		}
		newestSoFar := 0
		for _, i := range []int{2, 0, 3, 3, 1, 5, 4, 5} {
			if layout == LayoutDataStream {
				if i == 1 {
					r.places.Purge() // as after a restart
				}
				if i != 2 {
					must(t, "POST", "/"+r.base(Finding)+"/_rollover", "{}", nil)
				}
			}
			d, err := r.FindingDoc(states[i])
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Write(t.Context(), []Doc{d}); err != nil {
				t.Fatal(err)
			}
			newestSoFar = max(newestSoFar, i)
			r.exactly(t, []Doc{d})
			got, ok, err := r.Finding(t.Context(), d.ID)
			if err != nil || !ok || got != states[newestSoFar] {
				t.Fatalf("after state %d: count %d, want %d (there %v, error %v)", i, got.Count, states[newestSoFar].Count, ok, err)
			}
		}
	})
}

// TestTwoWriters writes the states of the same findings from two stores at once, as
// an owner and a zombie do.
func TestTwoWriters(t *testing.T) {
	together(t, func(t *testing.T, layout string) {
		a := installed(t, server(t).URL(), layout)
		b := newRig(t, server(t).URL(), layout)
		var old, young []Doc
		for n := range 200 {
			f := sample(n)
			d, err := a.FindingDoc(f)
			if err != nil {
				t.Fatal(err)
			}
			old = append(old, d)
			f.LastSeen, f.Count = f.LastSeen+1e9, 99
			if d, err = a.FindingDoc(f); err != nil {
				t.Fatal(err)
			}
			young = append(young, d)
		}
		for range 5 {
			first, second := a.writing(t.Context(), old), b.writing(t.Context(), young)
			if err := errors.Join(first(), second()); err != nil {
				t.Fatal(err)
			}
		}
		a.exactly(t, old)
		for n := range 200 {
			f, ok, err := a.Finding(t.Context(), sample(n).ID)
			if err != nil || !ok || f.Count != 99 {
				t.Fatalf("finding %d: count %d, there %v, error %v", n, f.Count, ok, err)
			}
		}
	})
}

// TestNotElasticsearch is OpenSearch, as far as the client library looks: it answers
// alike, without the header.
func TestNotElasticsearch(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"version":{"distribution":"opensearch","number":"2.19.0"}}`))
	}))
	defer s.Close()
	r := newRig(t, s.URL, LayoutIndex)
	for name, ask := range map[string]func() error{
		"check":   func() error { _, err := r.Check(t.Context()); return err },
		"install": func() error { _, err := r.Install(t.Context()); return err },
		"read":    func() error { _, _, err := r.Finding(t.Context(), "x"); return err },
	} {
		if err := ask(); !errors.Is(err, ErrProduct) || !strings.Contains(err.Error(), "OpenSearch") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
