package main

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/detect/inspect"
	_ "github.com/portcullis/portcullis/detect/rule" // registers the detectors
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/store/output"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
	"github.com/portcullis/portcullis/ingest/enrich"
	"github.com/portcullis/portcullis/ingest/identity"
	"github.com/portcullis/portcullis/ingest/openapi"
	"github.com/portcullis/portcullis/internal/config"
)

// Settings is the configuration file.
type Settings struct {
	StateDir       string              `yaml:"state_dir" doc:"folder of the database and of what has to outlive a restart; its default is /var/lib/portcullis for root, else $XDG_STATE_HOME/portcullis"`
	Sources        []SourceSettings    `yaml:"sources" doc:"the access logs to follow"`
	Identity       identity.Config     `yaml:"identity" doc:"who the client is, and what is kept of secrets"`
	Routes         enrich.RoutesConfig `yaml:"routes" doc:"which routes take credentials, serve documentation, answer probes"`
	OpenAPI        []openapi.Document  `yaml:"openapi" doc:"documents that describe the API: they name its routes, and what they do not have is found"`
	Enrich         enrich.Config       `yaml:"enrich" doc:"where clients are, what programs they are, which crawlers are real"`
	Engine         detect.Options      `yaml:"engine" doc:"event time and bounds of detection"`
	Inspect        inspect.Config      `yaml:"inspect" doc:"payload inspection"`
	Detectors      config.Sections     `yaml:"detectors" doc:"the detectors, each with its own section"`
	Disable        []string            `yaml:"disable" doc:"names of detectors to switch off"`
	Enforce        enforce.Config      `yaml:"enforce" doc:"from findings to decisions"`
	Gateways       []GatewaySettings   `yaml:"gateways" doc:"what decisions are pushed to: any kinds, several of a kind"`
	InlineSettings `yaml:",inline"`

	Kafka         KafkaSettings   `yaml:"kafka" doc:"the log between the processes of an installation that has several"`
	Elasticsearch elastic.Config  `yaml:"elasticsearch" doc:"where findings, decisions, traffic and requests are written for Kibana"`
	Outputs       []output.Config `yaml:"outputs" doc:"where else requests, findings and decisions are sent: any kinds, several of a kind"`
	Console       console.Config  `yaml:"console" doc:"the web page and the API"`
	Alerts        alert.Config    `yaml:"alerts" doc:"whom to tell of what was found, and how"`
	Retention     store.Retention `yaml:"retention" doc:"how long things are kept"`
	Snapshot      time.Duration   `yaml:"snapshot" default:"2s" doc:"how often the state is saved with the offsets it covers; rarer by itself when saving takes long"`
	Log           LogSettings     `yaml:"log" doc:"Portcullis' own log, on standard error"`

	description description
	started     startedBy
}

// KafkaSettings are the brokers between the processes.
type KafkaSettings struct {
	kafka.Config `yaml:",inline"`
	Redact       bool `yaml:"redact" default:"true" doc:"replace secrets by pseudonyms in every line before it leaves the collector's machine"`
}

// LogSettings say how Portcullis logs.
type LogSettings struct {
	Level  string `yaml:"level" default:"info" doc:"debug, info, warn or error" enum:"debug,info,warn,error"`
	Format string `yaml:"format" default:"text" doc:"text or json" enum:"text,json"`
}

// Check implements validation for the config loader.
func (s *Settings) Check(report func(key, message string)) {
	names := map[string]bool{}
	for i, src := range s.Sources {
		name := src.name()
		if names[name] {
			report(fmt.Sprintf("sources[%d].name", i), fmt.Sprintf("%q is the name of another source", name))
		}
		names[name] = true
	}
	for i, n := range s.Disable {
		if _, known := detect.SpecOf(n); !known {
			hint := ""
			if near, ok := config.Nearest(n, detect.Rules()); ok {
				hint = fmt.Sprintf("; did you mean %s?", near)
			}
			report(fmt.Sprintf("disable[%d]", i), fmt.Sprintf("there is no detector %q%s", n, hint))
		}
	}
	s.checkGateways(report)
	output.CheckAll(s.Outputs, report)
	if s.Snapshot < 100*time.Millisecond {
		report("snapshot", "must be at least 100ms")
	}
}

// sections lists the config sections of the registered detectors.
func sections() config.Sections {
	var list config.Sections
	for _, name := range detect.Rules() {
		spec, _ := detect.SpecOf(name)
		list = append(list, config.Section{Name: name, Doc: spec.Doc, Value: spec.Config()})
	}
	return list
}

// rules are the detectors that are switched on.
func (s *Settings) rules() []detect.RuleConfig {
	off := map[string]bool{}
	for _, n := range s.Disable {
		off[n] = true
	}
	var list []detect.RuleConfig
	for _, sec := range s.Detectors {
		if off[sec.Name] {
			continue
		}
		spec, _ := detect.SpecOf(sec.Name)
		list = append(list, detect.RuleConfig{Name: sec.Name, Spec: spec, Config: sec.Value})
	}
	return list
}

func sectionOf(r detect.RuleConfig) config.Section {
	return config.Section{Name: r.Name, Doc: r.Spec.Doc, Value: r.Config}
}
