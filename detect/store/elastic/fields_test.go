package elastic

import (
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

//go:embed testdata/ecs-fields.csv
var ecsList string

type ecsField struct {
	indexed bool
	kind    string
	array   bool
}

func ecs(t *testing.T) map[string]ecsField {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(ecsList)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]ecsField{}
	for _, r := range rows[1:] {
		if r[0] != ECSVersion {
			t.Fatalf("the list is of version %s, documents say %s", r[0], ECSVersion)
		}
		out[r[2]] = ecsField{r[1] == "true", r[3], r[4] == "array"}
	}
	return out
}

// TestECS demands that a field outside portcullis.* is in the Elastic Common Schema
// with the same type.
func TestECS(t *testing.T) {
	list := ecs(t)
	own := 0
	for _, f := range Fields() {
		if strings.HasPrefix(f.Name, "portcullis.") {
			own++
			continue
		}
		e, ok := list[f.Name]
		want := e.kind
		if !e.indexed && ok {
			want += " (kept, not indexed)"
		}
		if !ok || want != f.Type {
			t.Errorf("%s is %s; in ECS %s: there %v, %s", f.Name, f.Type, ECSVersion, ok, want)
		}
	}
	if own == 0 || own == len(Fields()) {
		t.Errorf("%d of %d fields are our own: the test looks past them", own, len(Fields()))
	}
}

// TestDocumentsFitFields demands that documents hold no field without a mapping, and
// that what ECS calls an array is one.
func TestDocumentsFitFields(t *testing.T) {
	r, list := offline(t), ecs(t)
	var docs []Doc
	for _, kind := range []string{"ip", "account", "asn", "country"} {
		f := sample(1)
		f.Subject.Kind = kind
		if kind != "ip" {
			f.Subject.Value = "\xff17"
		}
		f.Rule = "auth-burst"
		docs = append(docs, r.docs(t, []detect.Finding{f}, nil)...)
	}
	docs = append(docs, r.docs(t, nil, []detect.Rollup{{Minute: 60, Requests: 1, S2xx: 1, S3xx: 1, S4xx: 1, S5xx: 1, Refused: 1, Denied: 1, BytesOut: 1, Nanos: 1}})...)
	ev := fullEvent()
	d, err := r.AccessDoc(&ev, Verdict{Classes: []string{"xss"}, Findings: []string{"f"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range append(docs, d) {
		var fields map[string]any
		if err := json.Unmarshal(d.Source, &fields); err != nil {
			t.Fatal(err)
		}
		for name, value := range fields {
			i := slices.IndexFunc(Fields(), func(f Field) bool { return f.Name == name })
			if i < 0 || !Fields()[i].has(d.Kind) {
				t.Errorf("a %s document has the field %s, which its mapping lacks", d.Kind, name)
			}
			if _, is := value.([]any); list[name].kind != "" && is != list[name].array {
				t.Errorf("%s of a %s document: array %v, in ECS %v", name, d.Kind, is, list[name].array)
			}
		}
	}
}

func fullEvent() ingest.Event {
	ev := sampleEvent(1)
	ev.User, ev.Consumer, ev.Key, ev.Token, ev.Session, ev.RequestID, ev.Subject = "u", "c", "k", "t", "s", "r", "CN=x"
	ev.TLS, ev.Cipher, ev.Print, ev.BytesIn, ev.Duration, ev.ASN, ev.Country = "TLSv1.3", "c", "p", 1, 1, 1, [2]byte{'N', 'L'}
	return ev
}

// TestFieldsTable compares the table in the documentation with the code. With
// PORTCULLIS_UPDATE=1 it writes it.
func TestFieldsTable(t *testing.T) {
	const file, begin, end = "../../../docs/elasticsearch.md", "<!-- fields: begin -->\n", "<!-- fields: end -->\n"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(data), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks %q or %q", file, begin, end)
	}
	var b strings.Builder
	b.WriteString("| field | type | documents | what it says |\n|---|---|---|---|\n")
	for _, f := range Fields() {
		kinds := "all"
		if f.Kinds != nil {
			kinds = strings.Trim(fmt.Sprint(f.Kinds), "[]")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Name, f.Type, strings.ReplaceAll(kinds, " ", ", "), f.Doc)
	}
	want := head + begin + b.String() + end + tail
	if want == string(data) {
		return
	}
	if os.Getenv("PORTCULLIS_UPDATE") == "1" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the table of fields in %s is not that of the code: PORTCULLIS_UPDATE=1 go test ./detect/store/elastic -run FieldsTable", file)
}
