package inspect

import (
	_ "embed"
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

//go:embed testdata/attacks.txt
var attackText string

// attack is one line of testdata/attacks.txt.
type attack struct{ class, text string }

func attackLines() []attack {
	var out []attack
	class := ""
	for line := range strings.SplitSeq(attackText, "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "# "):
		case line[0] == '[' && line[len(line)-1] == ']' && classByName(line[1:len(line)-1]) != noClass:
			class = line[1 : len(line)-1]
		default:
			out = append(out, attack{class, line})
		}
	}
	return out
}

// queryEscape sends a text as a parameter. What is written with percent signs is how
// it is sent.
func queryEscape(s string) string {
	if strings.Contains(s, "%0") || strings.Contains(s, "%2") || strings.Contains(s, "%5") || strings.Contains(s, "%E5") {
		return strings.NewReplacer(" ", "+", "&", "%26", "#", "%23", "\"", "%22", "<", "%3c", ">", "%3e").Replace(s)
	}
	return url.QueryEscape(s)
}

// TestAttacks demands that each attack is found wherever a client may put a value.
func TestAttacks(t *testing.T) {
	in := New(Config{})
	all, found := map[string]int{}, map[string]int{}
	for _, a := range attackLines() {
		sent := queryEscape(a.text)
		plain, err := url.QueryUnescape(sent)
		if err != nil {
			t.Fatal(a.text, err)
		}
		js, err := json.Marshal(map[string]any{"text": plain, "n": 1})
		if err != nil {
			t.Fatal(err)
		}
		for where, v := range map[string]Verdict{
			"query": in.Inspect(&ingest.Event{Target: "/x?n=1&v=" + sent}),
			"form":  in.InspectRequest("POST", "/", [][2]string{{"Content-Type", "application/x-www-form-urlencoded"}}, "n=1&v="+sent),
			"json":  in.InspectRequest("POST", "/", [][2]string{{"Content-Type", "application/json"}}, string(js)),
		} {
			all[a.class]++
			if v.Score < in.Threshold() {
				if os.Getenv("PORTCULLIS_MISSES") == "attacks" {
					t.Logf("%s %s: %q scores %d as %s: %s", a.class, where, a.text, v.Score, v.Class, v.Why)
				}
				continue
			}
			found[a.class]++
		}
	}
	for class, n := range all {
		t.Logf("%-20s %3d of %3d", class, found[class], n)
		if found[class]*100 < n*88 {
			t.Errorf("%s: only %d of %d are found", class, found[class], n)
		}
	}
}
