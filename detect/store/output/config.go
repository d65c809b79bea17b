package output

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/internal/config"
)

// Config is one output: what it gets, its kind, and that kind's own section.
type Config struct {
	Type      string          `yaml:"type" doc:"what it is: the name of one of the sections beside it, of which it reads that one; docs/outputs.md lists them"`
	Name      string          `yaml:"name" doc:"what it is called in metrics, messages and the notes of how far it got; needed where there are several of a type. A new name begins anew"`
	Events    string          `yaml:"events" default:"suspicious" enum:"all,suspicious,none" doc:"which requests: all, those that the inspection held against a client, or none"`
	Findings  bool            `yaml:"findings" default:"true" doc:"findings; one that grows comes again under the same id, with a higher portcullis.version"`
	Decisions bool            `yaml:"decisions" default:"true" doc:"decisions, at each change of their state"`
	Audit     bool            `yaml:"audit" default:"false" doc:"the audit trail: who changed which decision, when and why"`
	Batch     int64           `yaml:"batch" default:"0" min:"0" max:"64MiB" unit:"bytes" doc:"what is sent at once at the most; of files, the size of one before it is compressed. It is held in memory, for each feed. 0 = 1 MiB, of files 16 MiB"`
	Interval  time.Duration   `yaml:"interval" default:"0s" min:"0s" max:"1h" doc:"how long documents wait for a batch to fill; 0 = 1 s, of files 1 min"`
	Timeout   time.Duration   `yaml:"timeout" default:"30s" min:"100ms" max:"10m" doc:"how long an answer may take, with what confirms it"`
	Parallel  int             `yaml:"parallel" default:"4" min:"1" max:"64" doc:"batches under way at once; of one feed there is one"`
	Spool     int64           `yaml:"spool" default:"1GiB" min:"8MiB" max:"1TiB" unit:"bytes" doc:"how much of the log may wait on the disk for this output, in one process without Kafka; beyond, requests are left out and counted, findings and decisions are not"`
	Kinds     config.Sections `yaml:",inline"`
}

// Start implements config.Starter.
func (c *Config) Start() {
	for _, name := range Kinds() {
		spec := specs[name]
		c.Kinds = append(c.Kinds, config.Section{Name: name, Doc: "type " + name + ": " + spec.Doc, Value: spec.Config()})
	}
}

// Unused implements config.Chooser.
func (c *Config) Unused(section string) bool { return section != c.Type }

// Check implements validation for the config loader.
func (c *Config) Check(report func(key, message string)) {
	if c.Events == EventsNone && !c.Findings && !c.Decisions && !c.Audit {
		report("events", "is none, and findings, decisions and audit are off: it gets nothing")
	}
}

// The settings of events.
const (
	EventsAll        = "all"
	EventsSuspicious = "suspicious"
	EventsNone       = "none"
)

// ID is what the output is called.
func (c *Config) ID() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Type
}

// Wants reports whether documents of a kind are sent; of requests, whether any.
func (c *Config) Wants(k elastic.Kind) bool {
	switch k {
	case elastic.Access:
		return c.Events != EventsNone
	case elastic.Finding:
		return c.Findings
	case elastic.Decision:
		return c.Decisions
	case elastic.Audit:
		return c.Audit
	}
	return false
}

// CheckAll reports what is wrong with a list of outputs.
func CheckAll(list []Config, report func(key, message string)) {
	entries := config.Entries{Noun: "output", Kinds: Kinds()}
	for i := range list {
		c := &list[i]
		_, err := Lookup(c.Type)
		entries.Check(report, fmt.Sprintf("outputs[%d].", i), c.Type, err, c.Name, c.ID())
	}
}

// section is the settings of the output's own kind.
func (c *Config) section() any {
	for _, s := range c.Kinds {
		if s.Name == c.Type {
			return s.Value
		}
	}
	return nil
}
