package elastic

import (
	"reflect"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/internal/config"
)

// TestDefaults: who loads no file has the same settings as who loads an empty one.
func TestDefaults(t *testing.T) {
	var c Config
	if err := config.Load("test", nil, nil, &c); err != nil {
		t.Fatal(err)
	}
	c.URLs = nil
	want := Config{Compress: true, Replicas: 1}.withDefaults() // 0 is a choice there
	if !reflect.DeepEqual(c, want) {
		t.Errorf("the file gives %+v\nthe code %+v", c, want)
	}
}

func TestCheckConfig(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"urls":      func(c *Config) { c.URLs = nil },
		"cloud_id":  func(c *Config) { c.CloudID = "x" },
		"username":  func(c *Config) { c.APIKey, c.Username, c.Password = "k", "u", "p" },
		"password":  func(c *Config) { c.Username = "u" },
		"cert":      func(c *Config) { c.Cert = "c.pem" },
		"namespace": func(c *Config) { c.Namespace = "a-b" },
	} {
		c := Config{Enabled: true, URLs: []string{"https://es:9200"}}.withDefaults()
		c.Check(func(key, message string) { t.Errorf("sound settings: %s %s", key, message) })
		change(&c)
		var got []string
		c.Check(func(key, _ string) { got = append(got, key) })
		if len(got) != 1 || got[0] != key {
			t.Errorf("%s: reported %q", key, got)
		}
	}
	for _, u := range []string{"es:9200", "ftp://es", "https://u:p@es:9200", "", "http://"} {
		n := 0
		Config{Enabled: true, URLs: []string{u}, Namespace: "x"}.Check(func(string, string) { n++ })
		if n != 1 {
			t.Errorf("%q: %d reports", u, n)
		}
	}
}

// cloak turns addresses of a documentation network into words.
type cloak struct{}

func (cloak) HideText(s string) string { return strings.ReplaceAll(s, "198.51.", "hidden.") }

func (cloak) Seal(_ string, b []byte) ([]byte, error) { return b, nil }

func (cloak) Open(_ string, b []byte) ([]byte, error) { return b, nil }

// TestHidden: no address is stored, and a subject is found by its own.
func TestHidden(t *testing.T) {
	r := installed(t, server(t).URL(), LayoutIndex, func(_ *Config, o *Options) { o.Cloak, o.Hide = cloak{}, true })
	docs := r.numbered(t, 1, 3)
	ev := sampleEvent(1)
	ev.Line = "198.51.0.1 " + ev.Line
	d, err := r.AccessDoc(&ev, Verdict{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range append(docs, d) {
		if strings.Contains(string(d.Source), "198.51.") || strings.Contains(string(d.Source), `"source.ip"`) || strings.Contains(string(d.Source), `"related.ip"`) {
			t.Errorf("an address is in %s", d.Source)
		}
	}
	if err := r.Write(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
	r.mustRefresh(t)
	got, err := r.Findings(t.Context(), store.FindingQuery{Subject: sample(1).Subject})
	if err != nil || len(got) != 1 || got[0].ID != sample(1).ID {
		t.Errorf("%d findings, error %v", len(got), err)
	}
}

// TestPump acknowledges pieces in their order, each after its documents are there,
// and waits for no more than the interval.
func TestPump(t *testing.T) {
	r := installed(t, server(t).URL(), LayoutIndex)
	in := make(chan Piece)
	ended := make(chan error, 1)
	go func() { ended <- r.Pump(t.Context(), in) }()
	acked := make(chan int, 40)
	var all []Doc
	for n := range 40 {
		docs := r.numbered(t, n, n+1)
		if n == 20 {
			docs = nil // a message without documents is committed like others
		}
		all = append(all, docs...)
		in <- Piece{Docs: docs, Done: func() { acked <- n }}
		if n == 0 { // it does not wait for others
			if got := <-acked; got != 0 {
				t.Errorf("piece %d was acknowledged first", got)
			}
			r.exactly(t, all)
		}
	}
	close(in)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for n := 1; n < 40; n++ {
		if got := <-acked; got != n {
			t.Errorf("piece %d was acknowledged when it was the turn of %d", got, n)
		}
	}
	r.exactly(t, all)
}

func TestPositions(t *testing.T) {
	a, b := ingest.Position{Source: "a", File: 1, Offset: 2}, ingest.Position{Source: "a", File: 2, Offset: 1}
	if positionSum(a) == positionSum(b) || positionHash(a) == positionHash(b) {
		t.Error("two positions have one hash")
	}
}
