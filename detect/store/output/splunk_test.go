package output_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/portcullis/portcullis/detect/store/output"
	"github.com/portcullis/portcullis/detect/store/output/outputtest"
)

// collector answers as Splunk's documentation says that its HTTP Event Collector does,
// with indexer acknowledgement: each request has a number, by which it is asked for.
type collector struct {
	outputtest.Service
	mu   sync.Mutex
	acks int
}

// hecEvent is an event as it comes.
type hecEvent struct {
	Time       json.Number    `json:"time"`
	Host       string         `json:"host"`
	Source     string         `json:"source"`
	SourceType string         `json:"sourcetype"`
	Index      string         `json:"index"`
	Event      map[string]any `json:"event"`
	Fields     map[string]any `json:"fields"`
}

func newCollector() outputtest.Far {
	c := &collector{}
	c.Take = c.take
	c.Answer = func(w http.ResponseWriter, _ *http.Request, _ []string, refused string) {
		if refused != "" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"text":"Invalid data format","code":6,"invalid-event-number":3}`) // the client may be gone
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.acks++
		fmt.Fprintf(w, `{"text":"Success","code":0,"ackId":%d}`, c.acks)
	}
	c.Other = c.ack
	c.More = map[string]func(http.ResponseWriter, *http.Request){
		"server is busy": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"text":"Server is busy","code":9}`)
		},
		"incorrect index": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"text":"Incorrect index","code":7,"invalid-event-number":0}`)
		},
		"not acknowledged": func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/ack") {
				_, _ = io.WriteString(w, `{"acks":{"7":false}}`)
				return
			}
			_, _ = io.WriteString(w, `{"text":"Success","code":0,"ackId":7}`)
		},
		"no acknowledgement at all": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"text":"Success","code":0}`) },
		"another program":           func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `<html>welcome`) },
	}
	return c
}

func (c *collector) take(t *testing.T, r *http.Request, body []byte) (ids []string) {
	if r.URL.Path != "/services/collector/event" || r.Header.Get("Authorization") != "Splunk sesame" || len(r.Header.Get("X-Splunk-Request-Channel")) != 36 {
		t.Errorf("POST %s with %v", r.URL.Path, r.Header)
	}
	for d := json.NewDecoder(strings.NewReader(string(body))); d.More(); {
		d.UseNumber()
		var e hecEvent
		if err := d.Decode(&e); err != nil {
			t.Errorf("an event cannot be read: %v", err)
			return nil
		}
		id, _ := e.Fields["portcullis_id"].(string)
		kind, _ := e.Fields["portcullis_kind"].(string)
		if id == "" || e.Event["portcullis.id"] != id || e.SourceType != "portcullis:"+kind || e.Host != "edge" || e.Source != "portcullis" || e.Index != "gateways" || e.Event["event.dataset"] != "portcullis."+kind {
			t.Errorf("the event is %+v", e)
		}
		if s, err := e.Time.Float64(); err != nil || s < 1772445590 || s > 1772445590+500 {
			t.Errorf("the time is %v", e.Time)
		}
		ids = append(ids, id)
	}
	return ids
}

// ack answers what is asked of acknowledgements; true where that was asked.
func (c *collector) ack(w http.ResponseWriter, r *http.Request, body []byte) bool {
	if r.URL.Path != "/services/collector/ack" {
		return false
	}
	var q struct {
		Acks []int `json:"acks"`
	}
	if err := json.Unmarshal(body, &q); err != nil || r.URL.Query().Get("channel") != r.Header.Get("X-Splunk-Request-Channel") {
		w.WriteHeader(http.StatusBadRequest)
		return true
	}
	said := map[string]bool{}
	for _, id := range q.Acks {
		said[fmt.Sprint(id)] = true
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"acks": said}) // the client may be gone
	return true
}

// TestSplunk runs the contract suite.
func TestSplunk(t *testing.T) {
	outputtest.Run(t, outputtest.Subject{Kind: "splunk", Far: newCollector, Section: func(_ *testing.T, address string) any {
		return &output.SplunkConfig{URL: "http://" + address, Token: "sesame", Index: "gateways", SourceType: "portcullis", RequireAck: true, Gzip: true}
	}})
}
