package config

import (
	"reflect"
	"testing"
	"time"
)

func TestKeys(t *testing.T) {
	var h struct {
		Span  time.Duration `yaml:"span" default:"60s" doc:"how long"`
		Limit int           `yaml:"limit" doc:"how many"`
		Names []string      `yaml:"names"`
		Token string        `yaml:"token" secret:"file"`
		Wood  wood          `yaml:"wood"`
		Other int
	}
	h.Span, h.Limit = 90*time.Second, 7
	got, err := Keys(&h)
	want := []Key{{"span", "1m30s", "a duration like 30s", "how long"}, {"limit", "7", "a whole number", "how many"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, k := range got { // what is listed can be set
		if err := Set(&h, k.Name, k.Value); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
	}
	if _, err := Keys(h); err == nil {
		t.Error("a struct that is no pointer has keys")
	}
}
