package console_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/dashboards/console/consoletest"
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// listener is one open event stream.
type listener struct {
	t    testing.TB
	in   *bufio.Reader
	stop func()
	resp *http.Response
}

// listen opens a stream; it must be answered with the status.
func (h *house) listen(status int, opts ...with) *listener {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	req, err := http.NewRequestWithContext(ctx, "GET", h.http.URL+"/api/v1/events", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, o := range opts {
		o(req)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		h.t.Fatal(err)
	}
	stop := func() { cancel(); resp.Body.Close() }
	h.t.Cleanup(stop)
	if resp.StatusCode != status {
		h.t.Fatalf("events: %d, want %d", resp.StatusCode, status)
	}
	return &listener{h.t, bufio.NewReader(resp.Body), stop, resp}
}

// next returns the next event of one of the names; status events in between are
// skipped unless asked for.
func (l *listener) next(names ...string) (string, map[string]any) {
	l.t.Helper()
	name := ""
	for {
		line, err := l.in.ReadString('\n')
		if err != nil {
			l.t.Fatalf("the stream ended while waiting for %v: %v", names, err)
		}
		line = strings.TrimSuffix(line, "\n")
		if n, ok := strings.CutPrefix(line, "event: "); ok {
			name = n
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		for _, want := range names {
			if name == want {
				var doc map[string]any
				if err := json.Unmarshal([]byte(data), &doc); err != nil {
					l.t.Fatalf("event %s: %v", name, err)
				}
				return name, doc
			}
		}
		if name != "status" {
			l.t.Fatalf("event %s %.200s while waiting for %v", name, data, names)
		}
	}
}

func TestEventsBringWhatIsNew(t *testing.T) {
	h := open(t, console.Config{})
	l := h.listen(http.StatusOK)
	if kind := l.resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("content type %q", kind)
	}
	if _, st := l.next("status"); st["lines_per_second"] != 104.7 {
		t.Errorf("status: %v", st)
	}

	f := consoletest.Findings(consoletest.Noon.Add(time.Minute))[6]
	if err := h.db.SaveFindings(t.Context(), []detect.Finding{f}); err != nil {
		t.Fatal(err)
	}
	if _, got := l.next("finding"); got["id"] != f.ID {
		t.Errorf("finding %v, want %s", got["id"], f.ID)
	}
	f.Count = 99
	if err := h.db.SaveFindings(t.Context(), []detect.Finding{f}); err != nil {
		t.Fatal(err)
	}
	if _, got := l.next("finding"); got["id"] != f.ID || got["count"] != 99.0 {
		t.Errorf("changed finding: %v", got)
	}

	d := consoletest.Decisions(consoletest.Noon.Add(time.Minute))[0]
	d.ID = "new"
	if err := consoletest.AddDecision(t.Context(), h.db, d); err != nil {
		t.Fatal(err)
	}
	if _, got := l.next("decision"); got["id"] != "new" || got["state"] != string(enforce.Verified) {
		t.Errorf("decision: %v", got)
	}
	l.next("status") // and it goes on
}

func TestEventsSayWhenRowsWereMissed(t *testing.T) {
	h := open(t, console.Config{})
	l := h.listen(http.StatusOK)
	l.next("status")
	many := make([]detect.Finding, 150)
	for i := range many {
		many[i] = consoletest.Findings(consoletest.Noon.Add(time.Hour))[0]
		many[i].Window += int64(i)
		many[i].ID = detect.FindingID(many[i].Rule, many[i].Subject, many[i].Window)
	}
	if err := h.db.SaveFindings(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	l.next("resync")
}

func TestEventsSurviveAStoreFault(t *testing.T) {
	h := open(t, console.Config{})
	l := h.listen(http.StatusOK)
	l.next("status")
	h.broken = true
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, got := l.next("trouble"); strings.Contains(got["detail"].(string), "sql") {
		t.Errorf("trouble: %v", got)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	h := open(t, console.Config{})
	var open []*listener
	for range console.MaxStreams {
		open = append(open, h.listen(http.StatusOK))
	}
	over := h.listen(http.StatusServiceUnavailable)
	if over.resp.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	open[0].stop()
	// The slot comes free once the server notices; it is asked until it does.
	for end := time.Now().Add(5 * time.Second); ; {
		a := h.do("GET", "/api/v1/status", "")
		if a.status != http.StatusOK {
			t.Fatalf("streams keep ordinary requests out: %d", a.status)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		req, _ := http.NewRequestWithContext(ctx, "GET", h.http.URL+"/api/v1/events", nil)
		resp, err := http.DefaultTransport.RoundTrip(req)
		free := err == nil && resp.StatusCode == http.StatusOK
		if err == nil {
			resp.Body.Close()
		}
		cancel()
		if free {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the slot of a client that left never came free")
		}
	}
}

func TestStreamEndsWithTheSession(t *testing.T) {
	h := open(t, console.Config{TokenFile: "set"})
	session, _ := h.cookie()
	l := h.listen(http.StatusOK, session)
	l.next("status")
	h.form("/logout", "", session)
	for {
		if _, err := l.in.ReadString('\n'); err != nil {
			return // it ended; the listener's deadline would show as a failure below
		}
		if t.Context().Err() != nil {
			t.Fatal("the stream outlives the session")
		}
	}
}
