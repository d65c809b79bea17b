package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// call sends a request to the console.
func (r *rig) call(method, path, body string, header ...string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatalf("%v\n%s", err, r.said)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (r *rig) get(path string) (int, string) { return r.call(http.MethodGet, path, "") }

// getJSON reads an answer of the API.
func getJSON[T any](r *rig, path string) T {
	r.t.Helper()
	var v T
	code, text := r.get(path)
	if err := json.Unmarshal([]byte(text), &v); code != http.StatusOK || err != nil {
		r.t.Fatalf("%s: %d, %v: %s", path, code, err, text)
	}
	return v
}

// TestE2EConsole asks the console of a running pipeline.
func TestE2EConsole(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	const addr, other = "203.0.113.91", "203.0.113.92"
	write(t, r.log, line("192.0.2.1", time.Now(), "GET /a", 200, "x"), "no log line\n", attackLine(addr), attackLine(other))
	r.up()
	d := r.awaitDecision(addr, "is made", func(d decisionObject) bool { return d.State == "approved" })
	r.awaitRead("nginx", 4)
	await(t, "metrics of all four lines", r.words, func() bool {
		_, text := r.get("/metrics")
		return strings.Contains(text, `portcullis_lines_total{source="nginx"} 4`)
	})
	for _, path := range []string{"/healthz", "/readyz", "/", "/api/v1/openapi.json"} {
		if code, text := r.get(path); code != http.StatusOK || text == "" {
			t.Errorf("%s: %d %.200s", path, code, text)
		}
	}
	_, metrics := r.get("/metrics")
	for _, part := range []string{`portcullis_events_total{source="nginx"} 3`, `portcullis_rejected_total{reason="bad_shape",source="nginx"} 1`,
		`portcullis_late_total{source="nginx"} 0`, `portcullis_future_total{source="nginx"} 0`, `portcullis_lag_bytes{source="nginx"} 0`,
		`portcullis_lost_bytes_total{source="nginx"} 0`, "portcullis_lag_seconds 0", "portcullis_bus_bytes 0", "portcullis_clients ",
		"portcullis_clients_evicted_total 0", "portcullis_state_bytes ", "portcullis_findings_open ", `portcullis_decisions{state="approved"} 2`,
		"portcullis_enforce_queue 0", "portcullis_enforce_overflow_total 0", "portcullis_panic 0", "go_goroutines ", "process_"} {
		if !strings.Contains(metrics, "\n"+part) {
			t.Errorf("/metrics lacks %q", part)
		}
	}
	st := getJSON[struct {
		Ready   bool
		Sources []struct{ Read, Processed, Rejected int64 }
		Trouble []string
	}](r, "/api/v1/status")
	if !st.Ready || len(st.Sources) != 1 || st.Sources[0].Read != 4 || st.Sources[0].Rejected != 1 || !strings.Contains(strings.Join(st.Trouble, ""), "no gateway is connected") {
		t.Errorf("status: %+v", st)
	}
	type item struct{ ID, Rule, State string }
	type page struct{ Findings, Decisions []item }
	found := getJSON[page](r, "/api/v1/findings").Findings
	if !slices.ContainsFunc(found, func(f item) bool { return f.Rule == "injection" }) {
		t.Errorf("findings: %+v", found)
	}
	if made := getJSON[page](r, "/api/v1/decisions").Decisions; len(made) != 2 || made[0].State != "approved" {
		t.Errorf("decisions: %+v", made)
	}
	r.costs()
	r.release(d.ID, addr, other)
	r.down()
}

// costs waits until a batch was timed, and what the detectors take of a line is shown.
func (r *rig) costs() {
	r.t.Helper()
	n := 0
	await(r.t, "what detectors take", r.words, func() bool {
		var lines []string // of clients of every worker
		for range 20 {
			n++
			lines = append(lines, line(fmt.Sprintf("192.0.2.%d", n%250), time.Now(), "GET /a", 200, "x"))
		}
		write(r.t, r.log, lines...)
		_, text := r.get("/metrics")
		return strings.Contains(text, `portcullis_detector_cost_seconds{rule="injection"} `) && strings.Contains(text, `portcullis_detector_cost_seconds{rule="rate-route"} `)
	})
	list := getJSON[struct {
		Rules []struct {
			Rule string
			Cost *float64 `json:"cost_ns"`
		}
	}](r, "/api/v1/rules").Rules
	for _, x := range list {
		if x.Rule == "campaign" || x.Rule == "limit" { // the one reads no lines, the other nothing where no limit is set
			continue
		}
		if x.Cost == nil || *x.Cost < 0 || *x.Cost > 1e6 {
			r.t.Errorf("%s takes %v of a line", x.Rule, x.Cost)
		}
	}
}

// release is refused to other sites' pages and to who gives no reason, and done
// for who may.
func (r *rig) release(id, addr, other string) {
	t, path := r.t, "/api/v1/decisions/"+id+"/release"
	const body = `{"why": "our own test"}`
	for _, c := range []struct {
		name, path, body string
		header           []string
		want             int
	}{
		{"from another site", path, body, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{"by a rebound name", path, body, []string{"Host", "evil.example"}, 0},
		{"as a form", path, body, []string{"Content-Type", "text/plain"}, 415},
		{"without why", path, `{}`, nil, 400},
		{"with a stray key", path, `{"why": "x", "force": true}`, nil, 400},
		{"of nothing", "/api/v1/decisions/nothing/release", body, nil, 404},
	} {
		code, text := r.call(http.MethodPost, c.path, c.body, c.header...)
		if code != c.want && (c.want != 0 || code < 400 || code > 499) {
			t.Errorf("release %s: %d %s", c.name, code, text)
		}
	}
	code, text := r.call(http.MethodPost, path, body)
	if code != http.StatusOK && code != http.StatusAccepted {
		t.Fatalf("release: %d %s", code, text)
	}
	r.awaitDecision(addr, "is released", func(d decisionObject) bool { return d.State == "released" && !d.Live })
	r.awaitDecision(other, "stays", func(d decisionObject) bool { return d.Live })
	if code, text := r.call(http.MethodPost, path, body); code != http.StatusConflict {
		t.Errorf("a second release: %d %s", code, text)
	}
	if story := r.cli(exitRan, "decisions", "why", id); !strings.Contains(story, "our own test") {
		t.Errorf("the story lacks the reason:\n%s", story)
	}
}
