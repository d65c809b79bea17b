package grafana

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect/store/elastic"
)

// promtool runs it in a folder.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("SKIPPED: promtool is missing: deploy/testbed/fetch.sh promtool, or apt-get install prometheus")
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, said)
	}
}

// TestRules has promtool check the rules as they are exported, and run their unit tests.
func TestRules(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range files {
		if name, ok := strings.CutPrefix(f.Path, "prometheus/"); ok {
			if err := os.WriteFile(filepath.Join(dir, name), f.Data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	promtool(t, dir, "check", "rules", "portcullis-recording.yaml", "portcullis-alerts.yaml")
	promtool(t, dir, "test", "rules", "portcullis-tests.yaml")
}

// TestEveryAlertIsTested: each alert is told not to fire and to fire in the unit tests.
func TestEveryAlertIsTested(t *testing.T) {
	alerts, err := rules.ReadFile("rules/portcullis-alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := rules.ReadFile("rules/portcullis-tests.yaml")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`alert: (\w+)`).FindAllSubmatch(alerts, -1)
	for _, n := range names {
		if !bytes.Contains(tests, append([]byte("alertname: "), n[1]...)) {
			t.Errorf("%s is not told to stay silent", n[1])
		}
	}
	if want := fmt.Sprintf("value: %d}", len(names)); bytes.Count(tests, []byte(want)) != 2 {
		t.Errorf("the test in which everything is wrong wants another number of alerts than %d", len(names))
	}
}

// TestQueries has promtool read the queries of the dashboard, as rules.
func TestQueries(t *testing.T) {
	var b strings.Builder
	b.WriteString("groups:\n  - name: queries\n    rules:\n")
	n := 0
	for _, row := range metricPanels() {
		for _, p := range row.panels {
			for _, e := range p.exprs {
				n++
				q := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(e.query)
				fmt.Fprintf(&b, "      - record: query_%d\n        expr: %q\n", n, q)
			}
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "queries.yaml"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "check", "rules", "queries.yaml")
}

// TestBoards looks at what Grafana needs of a dashboard: ids that are apart, panels that
// do not overlap, a data source that can be chosen.
func TestBoards(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	boards := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Path, ".json") {
			continue
		}
		boards++
		var b struct {
			UID        string
			Title      string
			Templating struct{ List []struct{ Name, Type string } }
			Panels     []struct {
				ID      int
				Type    string
				Title   string
				GridPos struct{ X, Y, W, H int }
				Targets []struct {
					RefID      string
					Datasource struct{ UID string }
				}
			}
		}
		if err := json.Unmarshal(f.Data, &b); err != nil {
			t.Fatal(err)
		}
		if b.UID == "" || len(b.UID) > 40 || b.Title == "" || b.Templating.List[0].Type != "datasource" {
			t.Errorf("%s: %+v", f.Path, b)
		}
		ids, taken := map[int]bool{}, map[[2]int]string{}
		for _, p := range b.Panels {
			if ids[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
				t.Errorf("%s: panel %d %q", f.Path, p.ID, p.Title)
			}
			ids[p.ID] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
						t.Fatalf("%s: %q lies over %q, or beside the grid", f.Path, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			for _, q := range p.Targets {
				if q.Datasource.UID != "${datasource}" {
					t.Errorf("%s: %q has a data source of its own", f.Path, p.Title)
				}
			}
		}
	}
	if boards != 2 {
		t.Errorf("%d dashboards", boards)
	}
}

// TestElasticQueries: the fields of each query are in the mapping of its documents, and
// every panel that is named is there.
func TestElasticQueries(t *testing.T) {
	if n, named := len(drawn()), len(strings.Fields(drawnNames)); n != named || n == 0 {
		t.Errorf("%d panels of Kibana are drawn, %d are named", n, named)
	}
	for _, p := range drawn() {
		q := target(p)
		if !strings.Contains(q["query"].(string), `event.dataset:"portcullis.`+string(p.Over)+`"`) {
			t.Errorf("%s: %v", p.Title, q["query"])
		}
		for _, field := range p.Fields() {
			known := false
			for _, f := range elastic.Fields() {
				known = known || f.Name == field && f.Of(p.Over)
			}
			if !known {
				t.Errorf("%s: no field %s", p.Title, field)
			}
		}
	}
}
