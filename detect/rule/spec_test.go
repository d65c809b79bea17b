package rule_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
)

var tagForm = regexp.MustCompile(`^(owasp:api([1-9]|10):2023|attack:T\d{4}(\.\d{3})?|oat:0(0[1-9]|1\d|2[01]))$`)

// TestSpecsAreComplete: a detector says what it is for, what it needs and keeps,
// what stays invisible under it, and where its defaults come from.
func TestSpecsAreComplete(t *testing.T) {
	if len(detect.Rules()) < 5 {
		t.Fatalf("only %v are registered", detect.Rules())
	}
	for _, name := range detect.Rules() {
		t.Run(name, func(t *testing.T) {
			spec, _ := detect.SpecOf(name)
			for field, text := range map[string]string{"Doc": spec.Doc, "Needs": spec.Needs, "State": spec.State, "Evasion": spec.Evasion} {
				if len(text) < 10 || strings.TrimSpace(text) != text || strings.HasSuffix(text, ".") {
					t.Errorf("%s is %q: want a phrase without a full stop", field, text)
				}
			}
			if spec.Version < 1 {
				t.Error("no version")
			}
			switch spec.Family {
			case detect.Credential, detect.Rate, detect.Injection, detect.Recon, detect.API:
			default:
				t.Errorf("family %q is none", spec.Family)
			}
			checkTags(t, spec.Tags)
			for _, word := range regexp.MustCompile(`[a-z]+-[a-z]+`).FindAllString(spec.Evasion, -1) {
				if _, known := detect.SpecOf(word); !known && strings.HasPrefix(word, "auth-") {
					t.Errorf("Evasion names %q, which is no detector", word)
				}
			}
			checkConfig(t, name, spec)
		})
	}
}

func checkTags(t *testing.T, tags []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, tag := range tags {
		if !tagForm.MatchString(tag) {
			t.Errorf("tag %q: want owasp:apiN:2023, attack:Tnnnn or oat:0nn", tag)
		}
		prefix, _, _ := strings.Cut(tag, ":")
		seen[prefix] = true
	}
	if !seen["owasp"] || !seen["attack"] {
		t.Errorf("tags %v: want at least one of OWASP and one of ATT&CK", tags)
	}
}

// checkConfig wants yaml, default and doc on every field, defaults that pass the
// rule's own check, and a check that refuses zeros.
func checkConfig(t *testing.T, name string, spec detect.Spec) {
	t.Helper()
	typ := reflect.TypeOf(spec.Config()).Elem()
	if typ.NumField() == 0 {
		t.Error("no settings")
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Tag.Get("yaml") == "" || f.Tag.Get("default") == "" && f.Type.Kind() != reflect.Slice || len(f.Tag.Get("doc")) < 20 {
			t.Errorf("%s.%s: want yaml, default and a doc, got `%s`", typ.Name(), f.Name, f.Tag)
		}
	}
	checker, ok := detecttest.Default(t, name).(interface {
		Check(func(key, message string))
	})
	if !ok {
		t.Fatal("its config has no Check")
	}
	checker.Check(func(key, message string) { t.Errorf("the default of %s is refused: %s", key, message) })
	refused := 0
	spec.Config().(interface {
		Check(func(key, message string))
	}).Check(func(key, message string) {
		refused++
		if _, known := byYAML(typ, key); !known {
			t.Errorf("Check complains about %q, which is no key", key)
		}
	})
	if refused == 0 {
		t.Error("a config of zeros is accepted")
	}
}

func byYAML(typ reflect.Type, key string) (reflect.StructField, bool) {
	return typ.FieldByNameFunc(func(name string) bool {
		f, _ := typ.FieldByName(name)
		return f.Tag.Get("yaml") == key
	})
}
