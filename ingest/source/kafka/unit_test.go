package kafka

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/kafkanet"
)

func TestAppendLines(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "",
		"\n":                                   "\n",
		"a":                                    "a\n",
		"a\nb\n":                               "a\nb\n",
		"a\r\nb":                               "a\r\nb\n",
		"[]":                                   "",
		" [ ] ":                                "",
		`[1]`:                                  "1\n",
		`[{"a":1},{"b":[2,3]}]`:                `{"a":1}` + "\n" + `{"b":[2,3]}` + "\n",
		`["],[",{"\"":"\\"}]`:                  `"],["` + "\n" + `{"\"":"\\"}` + "\n",
		"[\n {\n\"a\": 1},\r\n{}\n]":           "{ \"a\": 1}\n{}\n",
		"{\n\"a\":1\n}\n":                      "{ \"a\":1 }\n",
		"{\"a\":1}\n{\"b\":2}":                 "{\"a\":1}\n{\"b\":2}\n",
		"{\"a\":1}\n":                          "{\"a\":1}\n",
		"\n{}":                                 "{}\n",
		"{}\n\n":                               "{}\n",
		"{\nbroken":                            "{\nbroken\n",
		`[10/Oct/2025:13:55:36 +0000] "GET /"`: `[10/Oct/2025:13:55:36 +0000] "GET /"` + "\n",
		`[{"a":1},`:                            `[{"a":1},` + "\n",
	} {
		if got := string(appendLines(nil, []byte(in))); got != want {
			t.Errorf("appendLines(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzAppendLines(f *testing.F) {
	for _, s := range []string{"", "a\nb", `[{"a":"]"},[1,{}],"\\\"",-1e9,null]`, "[\n{\n}\n]", "{\n\"a\":\"\\n\"}\n", "[[[]]]", `["`, "[1] [2]", " \n[\"\\u0022\"]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		const before = "before\n"
		out := appendLines([]byte(before), record)
		got, kept := bytes.CutPrefix(out, []byte(before))
		if !kept {
			t.Fatal("what was there is gone")
		}
		if len(got) > len(record)+1 {
			t.Fatalf("%d bytes of %d", len(got), len(record))
		}
		if len(got) > 0 && got[len(got)-1] != '\n' {
			t.Fatalf("the last line of %q is not ended", got)
		}
		compare(t, record, got)
	})
}

// compare holds the lines against what encoding/json makes of the record.
func compare(t *testing.T, record, got []byte) {
	var lines [][]byte
	for line := range bytes.Lines(got) {
		lines = append(lines, bytes.TrimSuffix(line, []byte("\n")))
	}
	var array []json.RawMessage
	trimmed := bytes.Trim(record, " \t\r\n")
	switch {
	case len(trimmed) > 0 && trimmed[0] == '[' && json.Unmarshal(record, &array) == nil:
		if len(lines) != len(array) {
			t.Fatalf("%d lines of %d elements", len(lines), len(array))
		}
		for i := range array {
			var a, b bytes.Buffer
			if json.Compact(&a, array[i]) != nil || json.Compact(&b, lines[i]) != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
				t.Fatalf("line %d is %q, element %q", i, lines[i], array[i])
			}
		}
	case len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(record):
		if len(lines) != 1 || !json.Valid(lines[0]) {
			t.Fatalf("an object gave %q", got)
		}
	case len(trimmed) == 0:
	default:
		if want := append(bytes.TrimSuffix(bytes.Clone(record), []byte("\n")), '\n'); !bytes.Equal(got, want) {
			t.Fatalf("text %q gave %q", record, got)
		}
	}
}

func TestPlaces(t *testing.T) {
	p := places{0: 17, 12: 0, 3: maxOffset}
	text := string(p.text(nil, "my.topic", p.ids()))
	if text != "my.topic 0:17,3:8796093022207,12:0" {
		t.Errorf("text = %q", text)
	}
	if got, err := parsePlaces(text, "my.topic"); err != nil || !maps.Equal(got, p) {
		t.Errorf("parsed %v, %v", got, err)
	}
	for _, bad := range []string{"", "my.topic", "my.topic ", "other 0:1", "my.topic 0", "my.topic 0:-1", "my.topic -1:0", "my.topic 0:1,", "my.topic 0:8796093022208", "my.topic 4294967296:0"} {
		if _, err := parsePlaces(bad, "my.topic"); !errors.Is(err, errPlace) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	got, err := placesOf([]ingest.Mark{
		{Source: "k", Path: "t 0:5,1:9"}, {Source: "k", Path: "t 0:7,2:1"}, {Source: "x", Path: "t 0:99"},
	}, "k", "t")
	if err != nil || !maps.Equal(got, places{0: 7, 1: 9, 2: 1}) {
		t.Errorf("placesOf = %v, %v", got, err)
	}
}

func FuzzParsePlaces(f *testing.F) {
	for _, s := range []string{"t 0:17,1:4", "t ", "t 0:1,0:2", "t 0:", "t :0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePlaces(s, "t")
		if err != nil {
			return
		}
		again, err := parsePlaces(string(p.text(nil, "t", p.ids())), "t")
		if err != nil || !maps.Equal(p, again) {
			t.Fatalf("%q: %v became %v, %v", s, p, again, err)
		}
	})
}

func TestFileOf(t *testing.T) {
	seen := map[uint64]bool{}
	for _, topic := range []string{"a", "a1", "b"} {
		for p := range 20 {
			id := fileOf(topic, p)
			if id == 0 || seen[id] {
				t.Errorf("%s/%d has identity %d, which is taken", topic, p, id)
			}
			seen[id] = true
		}
	}
}

func TestCheck(t *testing.T) {
	good := Config{Brokers: []string{"k:9092"}, Topic: "t"}
	for _, c := range []struct {
		key  string
		with func(*Config)
	}{
		{"", func(*Config) {}},
		{"brokers", func(c *Config) { c.Brokers = nil }},
		{"brokers", func(c *Config) { c.Brokers = []string{"k"} }},
		{"topic", func(c *Config) { c.Topic = "" }},
		{"topic", func(c *Config) { c.Topic = "a b" }},
		{"topic", func(c *Config) { c.Topic = ".." }},
		{"start", func(c *Config) { c.Start = "latest" }},
		{"max_bytes", func(c *Config) { c.MaxBytes = 100 }},
		{"min_bytes", func(c *Config) { c.MinBytes = 2 << 20 }},
		{"max_wait", func(c *Config) { c.MaxWait = time.Hour }},
		{"refresh", func(c *Config) { c.Refresh = time.Millisecond }},
		{"sasl.mechanism", func(c *Config) { c.SASL.Mechanism = "gssapi" }},
		{"sasl.mechanism", func(c *Config) { c.SASL.User = "u" }},
		{"sasl.password", func(c *Config) { c.SASL = kafkanet.SASL{Mechanism: "plain", User: "u"} }},
		{"sasl.user", func(c *Config) { c.SASL = kafkanet.SASL{Mechanism: "plain", Password: "p"} }},
		{"tls.enabled", func(c *Config) { c.TLS.CA = "ca.pem" }},
		{"tls.cert", func(c *Config) { c.TLS = kafkanet.TLS{Enabled: true, Cert: "c"} }},
	} {
		cfg := good
		c.with(&cfg)
		var keys []string
		cfg.Check(func(key, message string) { keys = append(keys, key) })
		if c.key == "" && len(keys) > 0 || c.key != "" && !slices.Contains(keys, c.key) {
			t.Errorf("Check reports %v, want %q", keys, c.key)
		}
		if _, err := New(cfg); (err != nil) != (c.key != "") {
			t.Errorf("New with a wrong %q: %v", c.key, err)
		}
	}
	_, err := New(Config{Brokers: []string{"k:1"}, Topic: "t", TLS: kafkanet.TLS{Enabled: true, CA: "none.pem"}})
	if err == nil || !strings.Contains(err.Error(), "tls.ca") || !strings.Contains(err.Error(), "none.pem") {
		t.Errorf("a CA file that is missing: %v", err)
	}
}

func TestAllocations(t *testing.T) {
	record := []byte(`{"request":{"method":"GET"},"client_ip":"203.0.113.7"}`)
	buf := make([]byte, 0, 1<<10)
	if n := testing.AllocsPerRun(100, func() { buf = appendLines(buf[:0], record) }); n > 0 {
		t.Errorf("a record takes %v allocations", n)
	}
	p := places{0: 1, 1: 2, 2: 3}
	ids := p.ids()
	if n := testing.AllocsPerRun(100, func() { buf = p.text(buf[:0], "topic", ids) }); n > 0 {
		t.Errorf("a place takes %v allocations", n)
	}
}
