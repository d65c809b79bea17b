package kibana

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/dashboards/kibana/kibanatest"
)

func client(t *testing.T, url string, change func(*Options)) *Client {
	t.Helper()
	o := Options{URL: url, APIKey: "a2V5"}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tally(list []Outcome) map[string]int {
	out := map[string]int{}
	for _, o := range list {
		out[o.Did]++
	}
	return out
}

// TestInstall imports into an empty Kibana, again, and again with overwriting.
func TestInstall(t *testing.T) {
	k, s := kibanatest.New(t)
	c := client(t, s, func(o *Options) { o.Space, o.URL = "soc", s+"/" })
	ctx := t.Context()
	if v, err := c.Version(ctx); err != nil || v != "8.19.2" {
		t.Fatalf("version %q, %v", v, err)
	}
	objects, err := Objects()
	if err != nil {
		t.Fatal(err)
	}
	n := len(objects)
	for _, step := range []struct {
		what string
		do   func() ([]Outcome, error)
		want map[string]int
	}{
		{"a look at none", func() ([]Outcome, error) { return c.Look(ctx) }, map[string]int{WouldMake: n}},
		{"the first time", func() ([]Outcome, error) { return c.Install(ctx, false) }, map[string]int{DidMake: n}},
		{"a look at all", func() ([]Outcome, error) { return c.Look(ctx) }, map[string]int{WouldLeave: n}},
		{"the second time", func() ([]Outcome, error) { return c.Install(ctx, false) }, map[string]int{DidFail: n}},
		{"overwriting", func() ([]Outcome, error) { return c.Install(ctx, true) }, map[string]int{DidMake: n}},
		{"detection rules", func() ([]Outcome, error) { return c.InstallDetections(ctx, false) }, map[string]int{DidMake: len(DetectionRules())}},
		{"these again", func() ([]Outcome, error) { return c.InstallDetections(ctx, false) }, map[string]int{DidFail: len(DetectionRules())}},
		{"and overwriting", func() ([]Outcome, error) { return c.InstallDetections(ctx, true) }, map[string]int{DidMake: len(DetectionRules())}},
		{"alert rules", func() ([]Outcome, error) { return c.InstallAlerts(ctx, false) }, map[string]int{DidMake: len(AlertRules("soc"))}},
		{"these again", func() ([]Outcome, error) { return c.InstallAlerts(ctx, false) }, map[string]int{DidFail: len(AlertRules("soc"))}},
	} {
		got, err := step.do()
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if g := tally(got); len(g) != 1 || g[first(step.want)] != step.want[first(step.want)] {
			t.Errorf("%s: %v, want %v: %+v", step.what, g, step.want, got[0])
		}
	}
	if len(k.Objects) != n {
		t.Errorf("Kibana has %d objects, want %d", len(k.Objects), n)
	}
	for _, a := range k.Asked {
		if !strings.Contains(a, " /s/soc/api/") {
			t.Errorf("asked %s, which is not in the space", a)
		}
	}
}

func first(m map[string]int) string {
	for k := range m {
		return k
	}
	return ""
}

// TestAlertsKeepWhatPeopleSet: what a rule does and whether it is on is not ours.
func TestAlertsKeepWhatPeopleSet(t *testing.T) {
	k, s := kibanatest.New(t)
	c := client(t, s, nil)
	if _, err := c.InstallAlerts(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	id := AlertRules("")[0].ID
	k.Alerts[id]["enabled"], k.Alerts[id]["name"] = true, "old"
	k.Alerts[id]["actions"] = []any{map[string]any{"group": "query matched", "id": "mail", "params": map[string]any{}, "connector_type_id": ".email"}}
	if got, err := c.InstallAlerts(t.Context(), true); err != nil || tally(got)[DidMake] != len(AlertRules("soc")) {
		t.Fatalf("%v, %v", tally(got), err)
	}
	a := k.Alerts[id]
	actions, _ := a["actions"].([]any)
	if a["enabled"] != true || a["name"] == "old" || len(actions) != 1 || actions[0].(map[string]any)["connector_type_id"] != nil {
		t.Errorf("%v", a)
	}
}

// TestErrorsOfObjects: each object that fails is named with what to do.
func TestErrorsOfObjects(t *testing.T) {
	k, s := kibanatest.New(t)
	k.Spoil = map[string]string{"dashboard " + investigation: "missing", "index-pattern portcullis-audit": "unsupported_type", "search portcullis-search-audit": "unknown"}
	got, err := client(t, s, nil).Install(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, o := range got {
		if o.Did == DidFail {
			said[o.ID] = o.Why
		}
	}
	for id, want := range map[string]string{investigation: `"index-pattern gone"`, "portcullis-audit": "does not know objects of its type", "portcullis-search-audit": `400 "mapping set to strict \x1b[31m"`} {
		if !strings.Contains(said[id], want) {
			t.Errorf("%s: %q, want %q", id, said[id], want)
		}
	}
	if len(said) != 3 {
		t.Errorf("%v", said)
	}
}

// TestRefusals: what Kibana, or what stands before it, answers instead.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		text   string
		want   string
	}{
		"forbidden":   {403, `{"statusCode":403,"error":"Forbidden","message":"Unable to bulk_create index-pattern"}`, "Saved Objects Management"},
		"no space":    {404, `{"statusCode":404,"error":"Not Found","message":"Not Found"}`, "is the space there"},
		"too large":   {413, `{"statusCode":413,"message":"Payload content length greater than maximum"}`, "maxImportPayloadBytes"},
		"starting":    {503, "Kibana server is not ready yet", "try again"},
		"login":       {302, "", "login"},
		"proxy":       {502, "<html>\x1b]0;owned\a Bad gateway</html>", `\x1b]0;owned`},
		"not kibana":  {200, "<html>hello</html>", "none of Kibana"},
		"half JSON":   {200, `{"success":tr`, "none of Kibana"},
		"wrong shape": {200, `[]`, "none of Kibana"},
	} {
		t.Run(name, func(t *testing.T) {
			k, s := kibanatest.New(t)
			k.Instead = func(w http.ResponseWriter, r *http.Request) bool {
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					t.Error(err)
				}
				w.Header().Set("Location", "https://elsewhere.example.org/login")
				w.WriteHeader(c.status)
				if _, err := w.Write([]byte(c.text)); err != nil {
					t.Error(err)
				}
				return true
			}
			_, err := client(t, s, nil).Install(t.Context(), false)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\x1b\a") {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"is no address":  {URL: "kibana:5601"},
		"no address":     {URL: "ftp://kibana"},
		"holds a passwo": {URL: "https://a:b@kibana"},
		"no name of a s": {URL: "https://kibana", Space: "a/../b"},
		"authorities":    {URL: "https://kibana", CA: "no-such-folder/ca.pem"},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	k, s := kibanatest.New(t)
	if _, err := client(t, s, func(o *Options) { o.APIKey = "wrong" }).Version(t.Context()); err == nil || !strings.Contains(err.Error(), "--api-key-file") {
		t.Errorf("a wrong key: %v", err)
	}
	for v, ok := range map[string]bool{"8.8.2": false, "7.17.0": false, "8.9.0": true, "8.19.1": true, "9.1.0": true, "": true, "x": false} {
		k.Version = v
		if _, err := client(t, s, nil).Version(t.Context()); (err == nil) != ok {
			t.Errorf("version %q: %v", v, err)
		}
	}
}
