package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/kibana"
	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/fixtures/scenario"
)

// shopLog is a scenario that ends now, with attacks of all families: lines of JSON.
func shopLog(t *testing.T, dir string) []byte {
	t.Helper()
	s, err := scenario.Named("quick-credential", 1)
	if err != nil {
		t.Fatal(err)
	}
	s.Start = time.Now().Add(-s.Length - time.Minute).Truncate(time.Second)
	s.People, s.Visits, s.Offices, s.Carriers, s.Partners, s.Machines, s.Robots, s.Pauses = 300, 0.15, 1, 1, 1, 20*time.Second, 5*time.Minute, 20
	s.Attacks = []string{"bruteforce/fast", "spray/fast", "takeover/fast", "key-in-url/fast", "enum-login/fast", "errors/fast",
		"scanner/fast", "scanner/distributed", "bola/fast", "bfla/fast", "docs/fast"}
	if err := scenario.WriteKnowledge(dir); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if _, err := s.Write(scenario.Outputs{JSON: &log}); err != nil {
		t.Fatal(err)
	}
	at := float64(time.Now().Add(-time.Minute).UnixMilli()) / 1e3
	for i := range 120 { // payloads, and nothing else of these clients
		target := []string{"/api/v1/products?q=1%27%20UNION%20SELECT%20password%20FROM%20users--", "/static/../../../../etc/passwd", "/api/v1/products?q=%3Cscript%3Ealert(1)%3C/script%3E"}[i%3]
		fmt.Fprintf(&log, `{"msec":"%.3f","remote_addr":"203.0.113.%d","remote_user":"","request":"GET %s HTTP/1.1","status":"%d","body_bytes_sent":"64","request_time":"0.010","http_user_agent":"prober/%d","host":"shop.example.com"}`+"\n",
			at+float64(i)/10, 1+i%8, target, []int{200, 404, 500}[i%3], i/60)
	}
	log.WriteString("no line of a log\n")
	for i := range 60 { // many try the password of one
		fmt.Fprintf(&log, `{"msec":"%.3f","remote_addr":"198.51.100.%d","remote_user":"alice","request":"POST /api/v1/login HTTP/1.1","status":"401","body_bytes_sent":"20","request_time":"0.010","http_user_agent":"Mozilla/5.0","host":"shop.example.com"}`+"\n",
			at+20+float64(i)/10, 1+i%30)
	}
	return log.Bytes()
}

// kibanaRig is a running service that copies all to a real Elasticsearch.
type kibanaRig struct {
	*rig
	search   *searchNode
	lines    int
	rejected int
}

func newKibanaRig(t *testing.T) *kibanaRig {
	t.Helper()
	search := newSearchNode(t)
	dir := t.TempDir()
	log := shopLog(t, dir)
	r := &rig{t: t, dir: dir, config: filepath.Join(dir, scenario.ConfigFile), state: filepath.Join(dir, "state"), log: filepath.Join(dir, "access.log")}
	text, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	text = fmt.Appendf(text, `snapshot: 200ms
sources: [{name: gate, path: %q, format: nginx-json, poll: 20ms}]
console: {listen: "127.0.0.1:0"}
gateways: [{name: list, type: file, file: {path: %q}}]
elasticsearch: {enabled: true, urls: [%q], layout: index, replicas: 0, refresh: 1s, bulk: {interval: 50ms}, index: {access: all}}
%s  guard: {max_lag: 24h, per_minute: 10000, live: 10000}
`, r.log, filepath.Join(dir, "list.jsonl"), search.server.URL(), acting)
	if err := os.WriteFile(r.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, r.log, "")
	k := &kibanaRig{rig: r.up(), search: search}
	all := bytes.SplitAfter(log, []byte("\n"))
	for part := range slices.Chunk(all[:len(all)-1], 4000) { // requests are left out where Elasticsearch does not keep up
		write(t, r.log, string(bytes.Join(part, nil)))
		k.lines += len(part)
		k.rejected += bytes.Count(bytes.Join(part, nil), []byte("no line of a log\n"))
		await(t, "requests are in Elasticsearch", r.words, func() bool { return search.count("access") == k.lines-k.rejected })
	}
	return k
}

// denyAndRegret lets the gateway refuse one blocked client, and a person take back the
// decision on another.
func (k *kibanaRig) denyAndRegret() {
	k.t.Helper()
	const refused, regretted, passes = "203.0.113.1", "203.0.113.2", "203.0.113.3"
	for _, addr := range []string{refused, regretted, passes} {
		k.awaitDecision(addr, "is pushed", func(d decisionObject) bool { return d.State == "pushed" })
	}
	asks := func(addr string, status int) {
		write(k.t, k.log, fmt.Sprintf(`{"msec":"%.3f","remote_addr":"%s","request":"GET /api/v1/products HTTP/1.1","status":"%d","body_bytes_sent":"0","host":"shop.example.com"}`+"\n",
			float64(time.Now().UnixMilli())/1e3, addr, status))
		k.lines++
	}
	for range 3 {
		asks(refused, 403)
	}
	k.awaitDecision(refused, "is seen to hold", func(d decisionObject) bool { return d.State == "verified" })
	k.awaitDecision(passes, "is seen not to hold", func(d decisionObject) bool {
		asks(passes, 200)
		return d.State == "not_enforced"
	})
	await(k.t, "the clients are seen to act as one", k.words, func() bool {
		return len(objects[replayedFinding](k.rig, "findings", "--rule", "campaign")) > 0
	})
	k.cli(exitRan, "decisions", "release", regretted, "--why", "our own test")
	k.awaitDecision(regretted, "is released", func(d decisionObject) bool { return d.State == "released" })
}

// ask runs a panel's query and returns its rows.
func (k *kibanaRig) ask(p kibana.Panel) []kibana.Row {
	k.t.Helper()
	query, err := p.Query()
	if err != nil {
		k.t.Fatal(err)
	}
	pattern := (kibana.View{Kind: p.Over}).Pattern()
	answer := k.search.ask(http.MethodPost, "/"+url.PathEscape(pattern)+"/_search?allow_no_indices=true&ignore_unavailable=true", string(query))
	rows, err := p.Rows(answer)
	if err != nil {
		k.t.Fatal(err)
	}
	return rows
}

// mapped are the fields of the mapping in the real index of a kind.
func (k *kibanaRig) mapped(kind elastic.Kind) map[string]bool {
	k.t.Helper()
	var caps struct {
		Fields map[string]map[string]struct{ Searchable bool }
	}
	text := k.search.ask(http.MethodGet, "/portcullis."+string(kind)+"-*/_field_caps?fields=*", "")
	if err := json.Unmarshal(text, &caps); err != nil {
		k.t.Fatal(err)
	}
	out := map[string]bool{}
	for name, types := range caps.Fields {
		for _, c := range types {
			out[name] = out[name] || c.Searchable
		}
	}
	return out
}

// TestE2EKibana replays a scenario into a real Elasticsearch and runs the query of every
// panel, as the aggregation that Kibana sends and as ES|QL: all fields are in the mapping,
// and every figure is that of the database.
// With -update it writes the figures of the run into docs/kibana.md.
func TestE2EKibana(t *testing.T) {
	if testing.Short() {
		t.Skip("long: leave out -short")
	}
	t.Parallel()
	k := newKibanaRig(t)
	k.denyAndRegret()
	for _, v := range kibana.Views() {
		fields := k.mapped(v.Kind)
		for _, p := range panelsOver(v.Kind) {
			for _, f := range p.Fields() {
				if !fields[f] {
					t.Errorf("%s: the index of kind %s has no field %s that can be searched", p.Title, v.Kind, f)
				}
			}
		}
	}
	table, faults := k.compareAll()
	for range 3 { // a decision that ran out meanwhile is in one of both only
		if len(faults) == 0 {
			break
		}
		t.Logf("once more: %q", faults)
		table, faults = k.compareAll()
	}
	for _, why := range faults {
		t.Error(why)
	}
	k.rulesByESQL()
	table.compare(t)
	k.metricsAreServed()
	k.down()
}

func panelsOver(kind elastic.Kind) (out []kibana.Panel) {
	for _, b := range kibana.Boards() {
		for _, p := range b.Panels {
			if p.Over == kind && p.Shape != kibana.Links {
				out = append(out, p)
			}
		}
	}
	return out
}

// compareAll asks for every panel once all is at rest, and says what differs from the database.
func (k *kibanaRig) compareAll() (table *panelTable, faults []string) {
	k.t.Helper()
	twins := k.settled()
	table = newPanelTable()
	empty, asked := 0, 0
	for _, b := range kibana.Boards() {
		for _, p := range b.Panels {
			if p.Shape == kibana.Links {
				continue
			}
			got, want := k.ask(p), expected(p, twins[p.Over])
			if why := rowsDiffer(p, got, want); why != "" {
				faults = append(faults, b.Full(p)+": "+why)
			}
			if p.ESQL() != "" {
				asked++
				if why := k.sameByESQL(p, want); why != "" {
					faults = append(faults, b.Full(p)+": "+why)
				}
			}
			if firstSum(got) == 0 {
				empty++
			}
			table.add(b, p, got, want)
		}
	}
	if empty > 12 {
		k.t.Errorf("%d panels have nothing to show in this scenario: that shows little", empty)
	}
	if asked < 100 {
		k.t.Errorf("%d panels have a text of ES|QL", asked)
	}
	return table, faults
}

func firstSum(rows []kibana.Row) float64 {
	sum := 0.0
	for _, r := range rows {
		sum += r.Values[0]
	}
	return sum
}

// rowsDiffer compares the rows of an answer with all rows that there could be: each is one of
// them, with the same figures, and none is left out but those beyond the size.
func rowsDiffer(p kibana.Panel, got []kibana.Row, want map[string][]float64) string {
	groups := map[string]int{}
	for _, r := range got {
		key := strings.Join(r.Keys, "\x00")
		w, ok := want[key]
		if !ok {
			return fmt.Sprintf("row %q is not in the database", r.Keys)
		}
		if !slices.Equal(w, r.Values) {
			return fmt.Sprintf("row %q: %v in Elasticsearch, %v in the database", r.Keys, r.Values, w)
		}
		groups[parent(p, key)]++
	}
	all := map[string]int{}
	for key := range want {
		all[parent(p, key)]++
	}
	size := 1 << 30
	if n := len(p.By); n > 0 && p.By[n-1].Size > 0 {
		size = p.By[n-1].Size
	}
	for g, n := range all {
		if groups[g] != min(n, size) {
			return fmt.Sprintf("%d rows of %q in Elasticsearch, %d in the database, of which it shows up to %d", groups[g], g, n, size)
		}
	}
	return ""
}

// parent is a key without its last part.
func parent(p kibana.Panel, key string) string {
	if len(p.By) < 2 {
		return ""
	}
	return key[:strings.LastIndexByte(key, 0)]
}

// expected are the figures of a panel over the records of the database, by key: worked
// out one record at a time, and by no code of the package under test.
func expected(p kibana.Panel, records []record) map[string][]float64 {
	rows := map[string][]record{}
	for _, r := range records {
		if !r.matches(p.Where) {
			continue
		}
		for _, key := range r.keys(p.By) {
			rows[key] = append(rows[key], r)
		}
	}
	out := map[string][]float64{}
	if p.Shape == kibana.List {
		return map[string][]float64{"": {float64(len(rows[""]))}}
	}
	if len(p.By) == 0 && rows[""] == nil {
		rows[""] = nil
		out[""] = make([]float64, len(p.Measures))
		return out
	}
	for key, list := range rows {
		for _, m := range p.Measures {
			out[key] = append(out[key], figureOf(m, list))
		}
	}
	return out
}

func figureOf(m kibana.Measure, list []record) float64 {
	v := 0.0
	distinct := map[string]bool{}
	for _, r := range list {
		if !r.matches(m.Where) {
			continue
		}
		if m.Op == kibana.Count {
			v++
		}
		for _, text := range r[m.Field] {
			distinct[text] = true
			n, err := strconv.ParseFloat(text, 64)
			switch {
			case err != nil:
			case m.Op == kibana.Sum:
				v += n
			case m.Op == kibana.Max:
				v = max(v, n)
			}
		}
	}
	if m.Op == kibana.Unique {
		return float64(len(distinct))
	}
	return v
}
