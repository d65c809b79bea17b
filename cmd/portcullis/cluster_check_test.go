package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/fixtures/elastic"
)

// searchNode is a real Elasticsearch behind a proxy that makes faults.
type searchNode struct {
	t      testing.TB
	server *elastic.Server
	proxy  *httptest.Server
	now    atomic.Value // mode
}

// newSearchNode starts Elasticsearch until the test ends. It skips loudly where it is
// missing, and fails in CI, which installs it.
func newSearchNode(t testing.TB) *searchNode {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Elasticsearch: leave out -short")
	}
	s, err := elastic.New(t.TempDir())
	if errors.Is(err, elastic.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED, Elasticsearch is missing: %v: apt-get install default-jre-headless maven && deploy/testbed/elastic.sh fetch", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	n := &searchNode{t: t, server: s}
	n.now.Store("")
	target, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	back := httputil.NewSingleHostReverseProxy(target)
	back.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	n.proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.serve(w, r, back) }))
	t.Cleanup(n.proxy.Close)
	return n
}

func (n *searchNode) serve(w http.ResponseWriter, r *http.Request, back http.Handler) {
	hangUp := func() {
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			_ = c.Close() // that is the fault
		}
	}
	switch n.now.Load() {
	case "down":
		hangUp()
	case "429", "503":
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		w.Header().Set("Content-Type", "application/json")
		status := http.StatusTooManyRequests
		if n.now.Load() == "503" {
			status = http.StatusServiceUnavailable
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"error":{"type":"es_rejected_execution_exception","reason":"made by the test"}}`)
	case "401":
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":{"type":"security_exception","reason":"api key is expired"},"status":401}`)
	case "lose":
		back.ServeHTTP(httptest.NewRecorder(), r)
		hangUp()
	default:
		back.ServeHTTP(w, r)
	}
}

// mode makes a fault for up to so many milliseconds.
func (n *searchNode) mode(name string, c *chaos, most int) {
	n.now.Store(name)
	c.pause(most)
	n.now.Store("")
}

// readOnly sets or takes the block that Elasticsearch sets when a disk is full.
func (n *searchNode) readOnly(on bool) {
	value := "null"
	if on {
		value = "true"
	}
	n.ask(http.MethodPut, "/portcullis.*/_settings?expand_wildcards=all&allow_no_indices=true", `{"index.blocks.read_only_allow_delete":`+value+`}`)
}

// ask asks Elasticsearch itself.
func (n *searchNode) ask(method, path, body string) []byte {
	n.t.Helper()
	req, err := http.NewRequest(method, n.server.URL()+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	out, err := io.ReadAll(res.Body)
	if res.StatusCode == http.StatusServiceUnavailable {
		return []byte("{}") // an index that was just made has no shard yet
	}
	if err != nil || res.StatusCode > 299 && res.StatusCode != http.StatusNotFound {
		n.t.Fatalf("%s %s: %v %s: %.500s", method, path, err, res.Status, out)
	}
	return out
}

// count is how many documents of a kind there are.
func (n *searchNode) count(kind string) int {
	n.ask(http.MethodPost, "/portcullis."+kind+"-*/_refresh?allow_no_indices=true", "")
	var out struct{ Count int }
	if err := json.Unmarshal(n.ask(http.MethodGet, "/portcullis."+kind+"-*/_count?allow_no_indices=true", ""), &out); err != nil {
		n.t.Fatal(err)
	}
	return out.Count
}

// sum adds up a number over the documents of a kind that match.
func (n *searchNode) sum(kind, field, query string) int {
	var out struct {
		Aggregations struct{ S struct{ Value float64 } }
	}
	body := fmt.Sprintf(`{"size":0,"query":%s,"aggs":{"s":{"sum":{"field":%q}}}}`, query, field)
	if err := json.Unmarshal(n.ask(http.MethodPost, "/portcullis."+kind+"-*/_search?allow_no_indices=true", body), &out); err != nil {
		n.t.Fatal(err)
	}
	return int(out.Aggregations.S.Value)
}

// brief is what must be the same of a finding although its lines stand in files that
// were rotated.
func brief(t *testing.T, found map[string]string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for id, text := range found {
		var f replayedFinding
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			t.Fatal(err)
		}
		out[id] = fmt.Sprintf("%s %s %d", f.Rule, f.Severity, f.Count)
	}
	return out
}

// known is what a replay of a file finds.
func (c *chaos) known(path string) map[string]string {
	c.t.Helper()
	var errs bytes.Buffer
	cmd := exec.Command("portcullis", "replay", "-c", c.members["enforce"].config, "--format", "nginx-combined", "--output", "jsonl", path)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("replay: %v\n%s", err, &errs)
	}
	return brief(c.t, byID(c.t, out))
}

// have is what a member's database has.
func (c *chaos) have(m *member) map[string]string { return brief(c.t, m.findings()) }

// sameDecisions checks that all ledgers hold the same decisions, one for each subject
// of a finding, none twice, and every change once.
func (c *chaos) sameDecisions(members []*member, lines [][]byte) {
	c.t.Helper()
	var first map[string]string
	for _, m := range members {
		await(c.t, m.name+" has the decisions of the other", func() string { return difference(first, c.decisionsOf(m)) }, func() bool {
			list := c.decisionsOf(m)
			return len(list) > 0 && (first == nil || maps.Equal(first, list))
		})
		first = c.decisionsOf(m)
	}
	seen := map[string]string{}
	for _, text := range first {
		var d decisionObject
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			c.t.Fatal(err)
		}
		key := fmt.Sprint(d.Subject, d.Action, d.Route, d.Offence)
		if other, twice := seen[key]; twice {
			c.t.Errorf("decision %s stands twice: %s and %s", key, other, d.ID)
		}
		seen[key] = d.ID
	}
	// Decisions follow the lines, here and there.
	peaceful := c.undisturbed(lines)
	var got, want map[string]int
	await(c.t, "acted on is whom an undisturbed run acts on", func() string { return fmt.Sprintf("here %v, undisturbed %v", got, want) }, func() bool {
		got, want = acted(c.t, c.decisionsOf(members[0])), acted(c.t, c.decisionsOf(peaceful))
		return maps.Equal(got, want) && len(want) >= 3
	})
	peaceful.stop()
}

// undisturbed is one process that has read the same lines in peace; it goes on.
func (c *chaos) undisturbed(lines [][]byte) *member {
	c.t.Helper()
	dir := c.t.TempDir()
	g := newGatewayLog(c.t, dir, false)
	v := newVictim(c.t, dir, g.path)
	f, err := os.OpenFile(v.config, os.O_APPEND|os.O_WRONLY, 0)
	c.must(err)
	_, err = f.WriteString(faultEngine)
	c.must(errors.Join(err, f.Close()))
	v.start()
	m := &member{victim: v, name: "undisturbed", running: true}
	c.t.Cleanup(m.kill)
	g.write(lines)
	v.awaitLines(int64(len(lines)))
	return m
}

// acted counts decisions by subject and action.
func acted(t *testing.T, decisions map[string]string) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, text := range decisions {
		var d decisionObject
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		out[d.Subject.Kind+":"+d.Subject.Value+" "+d.Action]++
	}
	return out
}

// decisionsOf are the decisions of a member with their history, by id.
func (c *chaos) decisionsOf(m *member) map[string]string {
	c.t.Helper()
	out := map[string]string{}
	for line := range bytes.Lines(m.cli("decisions", "list", "--limit", "0", "--output", "jsonl")) {
		var d struct{ ID string }
		if err := json.Unmarshal(line, &d); err != nil {
			c.t.Fatal(err)
		}
		if _, twice := out[d.ID]; twice {
			c.t.Errorf("decision %s stands twice in %s", d.ID, m.name)
		}
		out[d.ID] = string(bytes.TrimSpace(m.cli("decisions", "why", d.ID, "--output", "jsonl")))
	}
	return out
}

// sameDocuments checks what Elasticsearch has: each finding once, each line counted
// once in the traffic.
func (c *chaos) sameDocuments(found map[string]string, lines int) {
	c.t.Helper()
	whole := `{"term":{"portcullis.route":""}}`
	// The last line is handed on when its second closes: two minutes of quiet, see faultEngine.
	awaitFor(c.t, 4*time.Minute, "elasticsearch has every finding and every line once", func() string {
		return fmt.Sprintf("%d findings of %d, %d lines of %d", c.search.count("finding"), len(found), c.search.sum("traffic", "portcullis.requests", whole), lines)
	}, func() bool {
		return c.search.count("finding") == len(found) && c.search.sum("traffic", "portcullis.requests", whole) == lines
	})
	c.t.Logf("elasticsearch: %d findings, %d decisions, %d changes, %d requests, %d minutes of traffic; none twice", c.search.count("finding"),
		c.search.count("decision"), c.search.count("audit"), c.search.count("access"), c.search.count("traffic"))
}
