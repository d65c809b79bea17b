package config

import (
	"strings"
	"testing"
)

// door is one of several kinds, each with a section of its own that only its
// entries' Start knows.
type door struct {
	Type  string   `yaml:"type" doc:"which"`
	Kinds Sections `yaml:",inline"`
}

func (d *door) Start() {
	d.Kinds = Sections{{Name: "wood", Doc: "of wood", Value: new(wood)}, {Name: "iron", Doc: "of iron", Value: new(iron)}}
}

func (d *door) Unused(section string) bool { return section != d.Type }

type wood struct {
	Planks int `yaml:"planks" default:"4" doc:"how many"`
}

func (w wood) Check(report func(key, message string)) {
	if w.Planks < 1 {
		report("planks", "must be at least 1")
	}
}

type iron struct {
	Key string `yaml:"key" secret:"file" doc:"its key"`
}

type house struct {
	Doors []door `yaml:"doors" doc:"all of them"`
}

func TestStarter(t *testing.T) {
	for _, c := range []struct {
		yaml    string
		environ []string
		planks  []int
		err     string
	}{
		{yaml: "doors: [{type: wood}, {type: wood, wood: {planks: 7}}]", planks: []int{4, 7}},
		{yaml: "doors: [{type: wood}]", environ: []string{"PORTCULLIS_DOORS_0_WOOD_PLANKS=9", "PORTCULLIS_DOORS_1_TYPE=wood"}, planks: []int{9, 4}},
		{yaml: "doors: [{type: wood, wood: {planks: 0}}]", err: "doors[0].wood.planks: must be at least 1"},
		{yaml: "doors: [{type: iron, wood: {planks: 0}}]", planks: []int{0}}, // what is not used is not checked
		{yaml: "doors: [{type: wood, wod: {planks: 3}}]", err: "did you mean wood?"},
		{yaml: "doors: [{type: iron, iron: {key: open}}]", err: "a secret must not stand in this file"},
	} {
		var h house
		err := Load("house.yaml", []byte(c.yaml), c.environ, &h)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.yaml, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.yaml, err)
			continue
		}
		for i, want := range c.planks {
			if got := h.Doors[i].Kinds[0].Value.(*wood).Planks; got != want {
				t.Errorf("%s: door %d has %d planks, want %d", c.yaml, i, got, want)
			}
		}
	}
}

// TestStarterWritten: example, schema and reference name what only Start knows.
func TestStarterWritten(t *testing.T) {
	for name, write := range map[string]func() ([]byte, error){
		"example":   func() ([]byte, error) { return Example(&house{}) },
		"schema":    func() ([]byte, error) { return Schema(&house{}, "house") },
		"reference": func() ([]byte, error) { return Reference(&house{}) },
	} {
		text, err := write()
		if err != nil || !strings.Contains(string(text), "planks") || !strings.Contains(string(text), "key_file") {
			t.Errorf("%s: %v, and it does not name every setting:\n%s", name, err, text)
		}
	}
}

func TestSet(t *testing.T) {
	var h struct {
		Wood wood `yaml:"wood"`
		Name string
	}
	if err := Set(&h, "wood.planks", "6"); err != nil || h.Wood.Planks != 6 {
		t.Errorf("%d planks, %v", h.Wood.Planks, err)
	}
	for key, part := range map[string]string{"wood.plank": "did you mean planks?", "stone": "no such setting", "wood.planks.x": "no settings of its own"} {
		if err := Set(&h, key, "6"); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q", key, err, part)
		}
	}
	if err := Set(&h, "wood.planks", "many"); err == nil {
		t.Error("a number may be text")
	}
}
