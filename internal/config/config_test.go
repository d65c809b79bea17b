package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// settings has one field of every supported shape.
type settings struct {
	StateDir string            `yaml:"state_dir" default:"/var/lib/p" doc:"folder of the database"`
	Mode     string            `yaml:"mode" default:"observe" enum:"observe,enforce" doc:"what findings lead to"`
	Limit    int               `yaml:"limit" default:"10" min:"1" max:"1000" doc:"refusals tolerated; OWASP names no number"`
	Port     uint16            `yaml:"port" default:"9443"`
	Memory   int64             `yaml:"memory" default:"64MiB" min:"1MiB" doc:"bytes for tables"`
	Lines    int64             `yaml:"lines" default:"1048576" unit:"bytes"`
	Share    float64           `yaml:"share" default:"0.5" max:"1"`
	Window   time.Duration     `yaml:"window" default:"30s" min:"1s" doc:"span; a: \"tricky\" | doc # with signs"`
	Strict   bool              `yaml:"strict" default:"true"`
	Agents   []string          `yaml:"agents" default:"curl, wget"`
	Labels   map[string]string `yaml:"labels" default:"site=a,true=b"`
	Token    string            `yaml:"token" secret:"file" doc:"of the console"`
	Console  console           `yaml:"console" doc:"the page"`
	Sources  []source          `yaml:"sources" doc:"where logs are"`
	Rules    Sections          `yaml:"rules" doc:"one section per rule"`

	Shared  Shared `yaml:",inline"`
	Ignored chan int
}

// Shared is inlined.
type Shared struct {
	Level string `yaml:"level" default:"info"`
}

func (s *Shared) Check(report func(key, message string)) {
	if s.Level == "loud" {
		report("level", "is too loud")
	}
}

type console struct {
	Listen string        `yaml:"listen" default:"127.0.0.1:9480"`
	Idle   time.Duration `yaml:"idle_timeout" default:"2m"`
}

type source struct {
	Name   string   `yaml:"name"`
	Path   string   `yaml:"path" doc:"of the log"`
	Format string   `yaml:"format" default:"auto"`
	From   []string `yaml:"from"`
	Key    string   `yaml:"key" secret:"file"`
	Tail   struct {
		Poll time.Duration `yaml:"poll" default:"250ms"`
	} `yaml:"tail"`
}

func (s *source) Check(report func(key, message string)) {
	if s.Path == "" {
		report("path", "is missing")
	}
	if s.Tail.Poll > time.Minute {
		report("tail.poll", "is longer than a minute")
	}
}

type burst struct {
	Limit int           `yaml:"limit" default:"5"`
	Span  time.Duration `yaml:"span" default:"1m"`
}

func (b *burst) Check(report func(key, message string)) {
	if b.Limit > 100 && b.Span < time.Second {
		report("", "limit and span contradict each other")
	}
}

func newSettings() *settings {
	return &settings{Rules: Sections{
		{Name: "auth-burst", Doc: "many refused logins", Value: &burst{}},
		{Name: "quiet", Doc: "has nothing to set"},
	}}
}

// TestCases runs testdata/*.txtar: in.yaml (and environ), and what comes of it.
func TestCases(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	if len(files) == 0 {
		t.Fatal("no cases")
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			part := map[string]string{}
			for _, f := range archive.Files {
				part[f.Name] = string(f.Data)
			}
			got := "fine\n"
			if err := Load("in.yaml", []byte(part["in.yaml"]), strings.Split(part["environ"], "\n"), newSettings()); err != nil {
				var ps Problems
				if !errors.As(err, &ps) {
					t.Fatalf("not Problems: %v", err)
				}
				got = err.Error() + "\n"
			}
			if got != part["want"] {
				t.Errorf("got\n%swant\n%s", got, part["want"])
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	for _, data := range []string{"", "# only a comment\n", "---\n", "null\n", "\ufeff", "{}\n", "sources:\nconsole:\nrules:\n"} {
		s := newSettings()
		if err := Load("f", []byte(data), nil, s); err != nil {
			t.Errorf("%q: %v", data, err)
			continue
		}
		if s.Window != 30*time.Second || s.Memory != 64<<20 || s.Lines != 1<<20 || !s.Strict || s.Console.Idle != 2*time.Minute ||
			!reflect.DeepEqual(s.Agents, []string{"curl", "wget"}) || s.Labels["true"] != "b" || s.Shared.Level != "info" ||
			s.Rules[0].Value.(*burst).Span != time.Minute {
			t.Errorf("%q: wrong defaults: %+v", data, s)
		}
	}
}

func TestValues(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "key"), "s3cret\n")
	s := newSettings()
	yaml := strings.ReplaceAll(`
limit: 1_000
memory: 2GiB
window: 1d12h
share: 1e-1
agents: ["a: b", 'c']
labels: {x: "1"}
mode: enforce
sources:
  - path: |
      /var/log/a b
    key_file: key
  -
    path: "/b"
    tail: {poll: 1s}
rules:
  auth-burst: {limit: 7}
  quiet:
level: warn
token_file: `+filepath.Join(dir, "key")+"\n", "\n", "\r\n")
	if err := Load(filepath.Join(dir, "f.yaml"), []byte(yaml), nil, s); err != nil {
		t.Fatal(err)
	}
	got := []any{s.Limit, s.Memory, s.Window, s.Share, s.Agents, s.Labels, s.Sources[0].Path, s.Sources[0].Key, s.Sources[0].Format,
		s.Sources[0].Tail.Poll, s.Sources[1].Tail.Poll, s.Rules[0].Value.(*burst).Limit, s.Shared.Level, s.Token}
	want := []any{1000, int64(2 << 30), 36 * time.Hour, 0.1, []string{"a: b", "c"}, map[string]string{"x": "1"}, "/var/log/a b\n", "s3cret", "auto",
		250 * time.Millisecond, time.Second, 7, "warn", "s3cret"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v want\n%v", got, want)
	}
}

func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "key"), "from-file")
	s := newSettings()
	err := Load("f", []byte("limit: 3\nsources: [{path: /a}]\n"), []string{
		"HOME=/x", "PORTCULLIS_LIMIT=4", "PORTCULLIS_CONSOLE_IDLE_TIMEOUT=5s", "PORTCULLIS_AGENTS=x , y",
		"PORTCULLIS_LABELS=a=b=c", "PORTCULLIS_SOURCES_0_FORMAT=nginx", "PORTCULLIS_SOURCES_2_PATH=/c",
		"PORTCULLIS_SOURCES_1_PATH=/b", "PORTCULLIS_RULES_AUTH_BURST_SPAN=2m", "PORTCULLIS_TOKEN_FILE=" + filepath.Join(dir, "key"),
		"PORTCULLIS_SOURCES_1_KEY=inline", "PORTCULLIS_MODE=", "PORTCULLIS_CONFIG=/etc/p.yaml", "PORTCULLIS_LEVEL=a,b",
		"PORTCULLIS_SERVICE_HOST=10.0.0.1", "PORTCULLIS_SERVICE_PORT_HTTP=80", "PORTCULLIS_PORT=tcp://10.0.0.1:80",
		"PORTCULLIS_PORT_80_TCP_ADDR=10.0.0.1",
	}, s)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{s.Limit, s.Console.Idle, s.Agents, s.Labels, s.Sources[0].Format, s.Sources[0].Path, s.Sources[1].Path, s.Sources[2].Path,
		s.Sources[1].Format, s.Rules[0].Value.(*burst).Span, s.Token, s.Sources[1].Key, s.Mode, s.Port, s.Shared.Level}
	want := []any{4, 5 * time.Second, []string{"x", "y"}, map[string]string{"a": "b=c"}, "nginx", "/a", "/b", "/c",
		"auto", 2 * time.Minute, "from-file", "inline", "observe", uint16(9443), "a,b"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v want\n%v", got, want)
	}
}

// TestAmbiguousVariable: a name that means two settings is refused, not guessed.
func TestAmbiguousVariable(t *testing.T) {
	var s struct {
		A struct {
			B string `yaml:"b"`
		} `yaml:"a"`
		AB string `yaml:"a_b"`
	}
	err := Load("f", nil, []string{"PORTCULLIS_A_B=x"}, &s)
	if want := "environment: PORTCULLIS_A_B: means both a.b and a_b (set it in the file)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestProgrammingErrors: types and tags that cannot work are errors, not panics.
func TestProgrammingErrors(t *testing.T) {
	type loop struct {
		Next []loop `yaml:"next"`
	}
	for name, dst := range map[string]any{
		"no pointer": settings{},
		"nil":        (*settings)(nil),
		"pointer to text": func() *string {
			return new(string)
		}(),
		"type": &struct {
			C chan int `yaml:"c"`
		}{},
		"default": &struct {
			D time.Duration `yaml:"d" default:"soon"`
		}{},
		"default out of range": &struct {
			D int `yaml:"d" default:"5" max:"4"`
		}{},
		"twice": &struct {
			A, B string `yaml:"a"`
		}{},
		"section": &struct {
			S Sections `yaml:"s"`
		}{Sections{{Name: "x", Value: 3}}},
		"secret number": &struct {
			S int `yaml:"s" secret:"file"`
		}{},
		"loop": &loop{},
	} {
		err := Load("f", nil, nil, dst)
		var ps Problems
		if err == nil || errors.As(err, &ps) {
			t.Errorf("%s: got %v, want an error about the type", name, err)
		}
	}
}

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "empty"), "\n")
	write(t, filepath.Join(dir, "long"), strings.Repeat("x", maxSecret+1))
	for path, want := range map[string]string{
		"empty": "is empty", "long": "is longer than 64KiB", ".": "is not a regular file", "none": "no such file",
	} {
		err := Load(filepath.Join(dir, "f.yaml"), []byte("token_file: "+path+"\n"), nil, newSettings())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ":1:13: token_file: ") {
			t.Errorf("%s: got %v, want %s at 1:13", path, err, want)
		}
	}
}

func write(t *testing.T, name, data string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}
