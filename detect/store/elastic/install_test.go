package elastic

import (
	"strings"
	"testing"
	"time"
)

// problems joins what Check finds, so that a test says what it wants to read.
func (r *rig) problems(t testing.TB) string {
	t.Helper()
	list, err := r.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, p := range list {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

func wants(t testing.TB, got string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(got, p) {
			t.Errorf("%q does not say %q", got, p)
		}
	}
}

func TestInstall(t *testing.T) {
	layouts(t, func(t *testing.T, layout string) {
		r := newRig(t, server(t).URL(), layout)
		wants(t, r.problems(t), "index template "+r.templateName(Finding)+" is missing: run \"portcullis index install\"")
		made, err := r.Install(t.Context())
		if err != nil || len(made) != 11 {
			t.Fatalf("made %q, error %v", made, err)
		}
		t.Cleanup(func() { r.wipe(t) })
		if got := r.problems(t); got != "" {
			t.Errorf("after the installation: %s", got)
		}
		if made, err := r.Install(t.Context()); err != nil || len(made) != 0 {
			t.Errorf("the second installation made %q, error %v", made, err)
		}
		// A template that somebody changed is noticed, and put right.
		r.cfg.Retention.Finding = 30 * 24 * time.Hour
		r.cfg.Shards = 2
		wants(t, r.problems(t), "component template "+r.settingsName()+" differs", `number_of_shards is "1", wanted "2"`)
		made, err = r.Install(t.Context())
		want := 1
		if layout == LayoutDataStream {
			want = 2 // the retention is in the template
		}
		if err != nil || len(made) != want {
			t.Errorf("made %q, error %v", made, err)
		}
		if got := r.problems(t); got != "" {
			t.Errorf("after the second installation: %s", got)
		}
	})
}

// TestSimulated asks Elasticsearch what an index of ours would be made with.
func TestSimulated(t *testing.T) {
	layouts(t, func(t *testing.T, layout string) {
		r := installed(t, server(t).URL(), layout)
		for _, k := range Kinds() {
			var out struct {
				Template object `json:"template"`
			}
			must(t, "POST", "/_index_template/_simulate_index/"+r.index(&Doc{Kind: k}), "", &out)
			want := r.mappings(k)["template"].(object)["mappings"]
			if why := missing(want, out.Template["mappings"], "mappings"); why != "" {
				t.Errorf("%s: %s", k, why)
			}
			if got, _ := out.Template["lifecycle"].(object); layout == LayoutDataStream && got["data_retention"] != esTime(r.cfg.Retention.of(k)) {
				t.Errorf("%s: lifecycle %v", k, got)
			}
		}
	})
}

// TestTemplatesOfFullServer checks what the server under test cannot take: the field
// types of ECS, the priority, and the lifecycle policies.
func TestTemplatesOfFullServer(t *testing.T) {
	r := newRig(t, "http://127.0.0.1:1", LayoutDataStream, func(c *Config, _ *Options) { c.Lifecycle = lifecycleILM })
	r.portable = false
	list := ecs(t)
	for _, k := range Kinds() {
		tmpl := r.template(k)
		if tmpl["priority"].(int) <= 100 || tmpl["data_stream"] == nil || tmpl["template"].(object)["lifecycle"] != nil {
			t.Errorf("%s: %v", k, tmpl)
		}
		policy := r.policy(k)["policy"].(object)["phases"].(object)
		if policy["delete"].(object)["min_age"] != esTime(r.cfg.Retention.of(k)) || policy["hot"].(object)["actions"].(object)["rollover"] == nil {
			t.Errorf("%s: %v", k, policy)
		}
		mappings := r.mappings(k)["template"].(object)["mappings"].(object)
		if mappings["dynamic"] != "false" {
			t.Errorf("%s: dynamic is %v", k, mappings["dynamic"])
		}
		flattened := 0
		walk(mappings["properties"].(object), "", func(name string, f object) {
			if f["type"] == "flattened" {
				flattened++
			}
			if e, ok := list[name]; ok && e.kind != f["type"] {
				t.Errorf("%s: %s is %v, in ECS %s", k, name, f["type"], e.kind)
			}
		})
		if flattened > 1 {
			t.Errorf("%s: %d flattened fields", k, flattened)
		}
	}
}

func walk(properties object, path string, each func(name string, f object)) {
	for name, v := range properties {
		f := v.(object)
		if inner, ok := f["properties"].(object); ok {
			walk(inner, path+name+".", each)
		} else {
			each(path+name, f)
		}
	}
}

// TestConflict has a template of somebody else win, lose, and claim the same rank.
func TestConflict(t *testing.T) {
	layouts(t, func(t *testing.T, layout string) {
		r := installed(t, server(t).URL(), layout)
		foreign := "foreign-" + r.cfg.Namespace
		body := func(priority string) string {
			stream := ""
			if layout == LayoutDataStream {
				stream = `"data_stream":{},`
			}
			return `{"index_patterns":["` + r.base(Finding) + `*"],` + stream + `"priority":` + priority + `,"template":{"mappings":{"properties":{"event.id":{"type":"text"}}}}}`
		}
		must(t, "PUT", "/_index_template/"+foreign, body("150"), nil)
		t.Cleanup(func() { _ = api(t, "DELETE", "/_index_template/"+foreign, "", nil) })
		if got := r.problems(t); got != "" {
			t.Errorf("a template that loses: %s", got)
		}
		must(t, "PUT", "/_index_template/"+foreign, body("500"), nil)
		wants(t, r.problems(t), `index template "`+foreign+`" has priority 500 and wins over ours (200)`, "raise elasticsearch.priority")

		// Nothing is written into an index that would have the wrong mapping.
		docs := r.numbered(t, 0, 20)
		wait := r.writing(t.Context(), docs)
		eventually(t, "the conflict is reported", func() bool { return strings.Contains(r.Health().Error, foreign) })
		if n := len(r.ids(t, Finding)); n != 0 {
			t.Errorf("%d documents were written meanwhile", n)
		}
		must(t, "DELETE", "/_index_template/"+foreign, "", nil)
		if err := wait(); err != nil {
			t.Fatal(err)
		}
		r.exactly(t, docs)
		if h := r.Health(); h.Error != "" || h.Written != 20 {
			t.Errorf("after the mend: %+v", h)
		}
	})
}

// TestSamePriority is refused by Elasticsearch itself.
func TestSamePriority(t *testing.T) {
	r := newRig(t, server(t).URL(), LayoutIndex)
	foreign := "foreign-" + r.cfg.Namespace
	must(t, "PUT", "/_index_template/"+foreign, `{"index_patterns":["`+r.base(Finding)+`-*"],"priority":200}`, nil)
	t.Cleanup(func() { _ = api(t, "DELETE", "/_index_template/"+foreign, "", nil) })
	_, err := r.Install(t.Context())
	if err == nil {
		t.Fatal("a second template of the same rank was installed")
	}
	wants(t, err.Error(), "another template claims the same names", foreign)
}

func TestMissingTemplates(t *testing.T) {
	r := newRig(t, server(t).URL(), LayoutIndex)
	t.Cleanup(func() { r.wipe(t) })
	docs := r.numbered(t, 0, 5)
	wait := r.writing(t.Context(), docs)
	eventually(t, "the missing template is reported", func() bool {
		return strings.Contains(r.Health().Error, "is missing: run \"portcullis index install\"")
	})
	if _, err := r.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	r.exactly(t, docs)
}

// TestForeignIndices finds indices that were made before the templates.
func TestForeignIndices(t *testing.T) {
	layouts(t, func(t *testing.T, layout string) {
		r := newRig(t, server(t).URL(), layout)
		name := r.index(&Doc{Kind: Finding})
		must(t, "PUT", "/"+name, `{"settings":{"number_of_replicas":0},"mappings":{"properties":{"event":{"properties":{"id":{"type":"text"}}}}}}`, nil)
		t.Cleanup(func() { r.wipe(t) })
		if _, err := r.Install(t.Context()); layout == LayoutIndex && err != nil {
			t.Fatal(err)
		}
		want := "has another mapping"
		if layout == LayoutDataStream {
			want = "is a plain index where a data stream should be"
		}
		wants(t, r.problems(t), "index "+name+" "+want)
	})
}

func TestPrune(t *testing.T) {
	r := installed(t, server(t).URL(), LayoutIndex)
	docs := r.numbered(t, 0, 240) // two minutes before midnight, two after
	if err := r.Write(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
	end := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC).Add(r.cfg.Retention.Finding)
	if gone, err := r.Prune(t.Context(), end.Add(-time.Second)); err != nil || len(gone) != 0 {
		t.Errorf("too early %q went, error %v", gone, err)
	}
	gone, err := r.Prune(t.Context(), end)
	if err != nil || len(gone) != 1 || gone[0] != r.base(Finding)+"-2026.11.28" {
		t.Errorf("%q went, error %v", gone, err)
	}
	if n := len(r.ids(t, Finding)); n != 120 {
		t.Errorf("%d documents are left, want 120", n)
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"logs-*-*", "logs-portcullis.finding-default", true}, {"logs-*", "metrics-x", false}, {"*", "", true}, {"a*b*c", "a-b-bc", true},
		{"a*b", "a-bc", false}, {"abc", "abc", true}, {"abc", "abcd", false}, {"**", "x", true},
	} {
		if got := glob(c.pattern, c.name); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.name, got)
		}
	}
}
