package output_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/portcullis/portcullis/detect/store/output"
	"github.com/portcullis/portcullis/detect/store/output/outputtest"
)

// lokiPush is a request of the push API.
type lokiPush struct {
	Streams []struct {
		Stream map[string]string   `json:"stream"`
		Values [][]json.RawMessage `json:"values"`
	} `json:"streams"`
}

// newLoki answers as Grafana's documentation says that Loki does. What is before the time
// of oldest it refuses as too old.
func newLokiFar(oldest *atomic.Int64) func() outputtest.Far {
	return func() outputtest.Far {
		s := &outputtest.Service{
			Answer: func(w http.ResponseWriter, _ *http.Request, _ []string, refused string) {
				if refused == "" {
					w.WriteHeader(http.StatusNoContent)
					return
				}
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, "max entry size '262144' bytes exceeded for stream") // the client may be gone
			},
			Other: func(w http.ResponseWriter, _ *http.Request, body []byte) bool {
				var p lokiPush
				if json.Unmarshal(body, &p) != nil {
					return false
				}
				for _, stream := range p.Streams {
					for _, v := range stream.Values {
						if at, err := entryTime(v); err == nil && at < oldest.Load() {
							w.WriteHeader(http.StatusBadRequest)
							_, _ = io.WriteString(w, "entry for stream '{kind=\"access\"}' has timestamp too old: 2026-03-02T09:59:50Z")
							return true
						}
					}
				}
				return false
			},
			More: map[string]func(http.ResponseWriter, *http.Request){
				"rate limit": func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(http.StatusTooManyRequests)
					_, _ = io.WriteString(w, "Ingestion rate limit exceeded for user fake")
				},
			},
		}
		s.Take = takeLoki
		return s
	}
}

func entryTime(v []json.RawMessage) (int64, error) {
	var text string
	if err := json.Unmarshal(v[0], &text); err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

func takeLoki(t *testing.T, r *http.Request, body []byte) (ids []string) {
	if r.URL.Path != "/loki/api/v1/push" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("X-Scope-OrgID") != "blue" || r.Header.Get("Authorization") != "Basic dTpw" {
		t.Errorf("POST %s with %v", r.URL.Path, r.Header)
	}
	var p lokiPush
	if err := json.Unmarshal(body, &p); err != nil {
		t.Errorf("the request cannot be read: %v", err)
		return nil
	}
	type entry struct {
		at int64
		id string
	}
	var all []entry
	for _, s := range p.Streams {
		kind := s.Stream["kind"]
		if len(s.Stream) != 3 || s.Stream["service_name"] != "portcullis" || s.Stream["site"] != "north" || kind != "access" && kind != "finding" {
			t.Errorf("the labels are %v", s.Stream)
		}
		for _, v := range s.Values {
			var line string
			var doc map[string]any
			var meta map[string]string
			at, err := entryTime(v)
			if err != nil || len(v) != 3 || json.Unmarshal(v[1], &line) != nil || json.Unmarshal([]byte(line), &doc) != nil || json.Unmarshal(v[2], &meta) != nil {
				t.Errorf("an entry is %s", v)
				return nil
			}
			if meta["id"] == "" || doc["portcullis.id"] != meta["id"] || doc["event.dataset"] != "portcullis."+kind {
				t.Errorf("an entry of %s has the metadata %v, and is %v", kind, meta, doc)
			}
			all = append(all, entry{at, meta["id"]})
		}
	}
	// Streams stand one behind the other; within the batch the order is that of time.
	for len(all) > 0 {
		first := 0
		for i := range all {
			if all[i].at < all[first].at {
				first = i
			}
		}
		ids = append(ids, all[first].id)
		all = append(all[:first], all[first+1:]...)
	}
	return ids
}

func lokiSection(_ *testing.T, address string) any {
	return &output.LokiConfig{URL: "http://" + address, Tenant: "blue", User: "u", Password: "p\n", Labels: map[string]string{"site": "north"}, Metadata: true, Gzip: true}
}

// TestLoki runs the contract suite.
func TestLoki(t *testing.T) {
	outputtest.Run(t, outputtest.Subject{Kind: "loki", Far: newLokiFar(new(atomic.Int64)), Section: lokiSection})
}

// TestLokiOld: what Loki does not take for its age is sent with the present time.
func TestLokiOld(t *testing.T) {
	var oldest atomic.Int64
	oldest.Store(outputtest.Start + 30e9)
	far := newLokiFar(&oldest)()
	far.Start(t)
	defer far.Stop()
	f := &outputtest.Feed{Docs: outputtest.Docs(t, 60), Step: 60}
	r := outputtest.Launch(t, outputtest.Config("loki", lokiSection(t, far.Address())), f.Output())
	outputtest.Await(t, "all is sent", func() string { return r.Stats().Error }, func() bool { return f.Noted() == 60 })
	if n := len(far.Got()); n != 60 || len(r.Rejected()) != 0 {
		t.Errorf("%d of 60 came, %d were rejected", n, len(r.Rejected()))
	}
}
