package render

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// hostile is a report whose configuration tries to be markup.
func hostile() *audit.Report {
	f := doc.NewFile("a b/<script>.conf", []byte("server <img src=x onerror=alert(1)>;\n\"quoted\"\n"))
	c := audit.NewConfig("test")
	at := f.At(0, 36)
	c.Say("banner", "<b>x</b>", audit.Fact{State: audit.Bad, At: at, Saw: "</pre><script>alert(1)</script>", Mend: []doc.Edit{at.Swap("server x;")}})
	c.Say("listing", "y", audit.Fact{State: audit.Good, At: at, Saw: "fine"})
	c.Blinded("<i>nothing</i>")
	return audit.Audit(c)
}

// TestHTML: nothing of a configuration becomes markup, and the page loads nothing.
func TestHTML(t *testing.T) {
	var b bytes.Buffer
	if err := HTML(&b, hostile()); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, bad := range []string{"<script", "<img", "<b>x", "<i>nothing", "src="} {
		if i := strings.Index(page, bad); i >= 0 && !strings.Contains(page[max(i-60, 0):i+20], "&lt;") {
			t.Errorf("the page has %q: %q", bad, page[i:min(i+80, len(page))])
		}
	}
	for _, want := range []string{"&lt;script&gt;", "exposure", `class="low"`, "What holds", "could not be judged", "server x;"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestJSON: the object has the finding with its place and patch.
func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, hostile()); err != nil {
		t.Fatal(err)
	}
	var r struct {
		Grades   map[string]string
		Findings []struct {
			Check, Severity, File, Patch string
			Line                         int
		}
		Passes []any
		Blind  []string
	}
	if err := json.Unmarshal(b.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Findings) != 1 || r.Findings[0].Check != "banner" || r.Findings[0].Severity != "low" || r.Findings[0].Line != 1 ||
		!strings.Contains(r.Findings[0].Patch, "+server x;") || r.Grades["exposure"] != "B" || len(r.Passes) != 1 || len(r.Blind) != 1 {
		t.Errorf("report %+v", r)
	}
}

// TestSARIF: what the standard asks of a log (OASIS SARIF 2.1.0, sections 3.13, 3.14,
// 3.19, 3.27): version, one run, a driver with a name, results whose rule index leads
// to their rule, URIs that are percent-encoded, fixes within the file.
func TestSARIF(t *testing.T) {
	var b bytes.Buffer
	if err := SARIF(&b, hostile(), "1.2.3"); err != nil {
		t.Fatal(err)
	}
	var log sarifLog
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name == "" {
		t.Fatalf("log %+v", log)
	}
	run := log.Runs[0]
	if len(run.Tool.Driver.Rules) != len(audit.Checks()) || len(run.Results) != 1 {
		t.Fatalf("%d rules, %d results", len(run.Tool.Driver.Rules), len(run.Results))
	}
	res := run.Results[0]
	if run.Tool.Driver.Rules[res.RuleIndex].ID != res.RuleID || res.RuleID != "banner" || res.Level != "note" {
		t.Errorf("result %+v", res)
	}
	where := res.Locations[0].Physical
	if where.Artifact.URI != "a%20b/%3Cscript%3E.conf" || where.Region.StartLine != 1 {
		t.Errorf("location %+v", where)
	}
	r := res.Fixes[0].Changes[0].Replacements[0]
	if *r.Deleted.ByteOffset != 0 || *r.Deleted.ByteLength != 36 || r.Inserted.Text != "server x;" {
		t.Errorf("replacement %+v", r)
	}
}
