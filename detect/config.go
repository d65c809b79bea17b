package detect

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/ingest"
)

// Options is the "engine" section of the config file.
type Options struct {
	Late       time.Duration `yaml:"late" default:"30s" doc:"how far behind the newest event a line may come and still be counted; later ones are only inspected"`
	MaxClients int           `yaml:"max_clients" default:"1000000" doc:"clients whose state is kept; beyond it the least suspicious, longest unseen one is forgotten"`
	Idle       time.Duration `yaml:"idle" default:"24h" doc:"a client not seen for so long is forgotten"`
	Workers    int           `yaml:"workers" default:"0" doc:"goroutines that detect; 0 means one per core"`
}

// Check implements validation for the config loader.
func (o *Options) Check(report func(key, message string)) {
	if o.Late < 0 || o.Late > 10*time.Minute {
		report("late", "must be between 0s and 10m: windows are kept open that long")
	}
	if o.MaxClients < Shards*minPerShard {
		report("max_clients", fmt.Sprintf("must be at least %d: %d for each of %d shards", Shards*minPerShard, minPerShard, Shards))
	}
	if o.Idle < time.Hour {
		report("idle", "must be at least 1h: findings of the last hour still change")
	}
	if o.Workers < 0 || o.Workers > Shards {
		report("workers", fmt.Sprintf("must be between 0 and %d", Shards))
	}
}

// minPerShard is the smallest table worth having.
const minPerShard = 64

// RuleConfig is a detector that is switched on, with its config section.
type RuleConfig struct {
	Name   string
	Spec   Spec
	Config any
}

// Decoder turns the lines of a batch into events; the engine has one for every
// goroutine that parses. Events are valid until the batch is released.
type Decoder interface {
	Decode(b *ingest.Batch, each func(*ingest.Event), reject func(ingest.Reject))
}

// FormatNamer is a Decoder that knows by which format it read the lines of a batch, as
// format.Open takes it; "" where it has found none.
type FormatNamer interface {
	FormatOf(b *ingest.Batch) string
}

// formatOf is asked before a batch is released, after it was decoded.
func formatOf(d Decoder, b *ingest.Batch) string {
	if n, ok := d.(FormatNamer); ok {
		return n.FormatOf(b)
	}
	return ""
}

// Config is what an Engine is made of.
type Config struct {
	Rules       []RuleConfig
	Inspect     inspect.Config
	LateSeconds int64
	IdleSeconds int64
	MaxClients  int
	Workers     int
	Forward     bool                // whether level two is elsewhere: see Engine.Partials; needs one worker
	Seed        uint64              // secret of this installation; a saved state brings its own
	Live        bool                // whether findings may fire before their second is closed
	Emit        func(Finding)       // in live mode: new, graver or newly certain findings; called from several goroutines
	Saw         func(Sighting)      // requests of watched subjects; called from several goroutines
	Redact      func(string) string // replaces the secrets of a line that is kept as evidence; called from several goroutines
	Hide        func(string) string // a subject's value as it is hashed into a finding's id, where addresses are hidden; nil: as it is
	NewDecoder  func() (Decoder, error)
	Costs       *Costs       // adds up what detectors take; nil: none are timed
	Now         func() int64 // wall clock in Unix seconds, to disbelieve lines from the future; nil in a replay
}

// FutureSlack is how many seconds a line may be ahead of the wall clock.
const FutureSlack = 300

func (c *Config) complete() error {
	if c.MaxClients == 0 {
		c.MaxClients = 1_000_000
	}
	if c.IdleSeconds == 0 {
		c.IdleSeconds = 24 * 3600
	}
	if c.Redact == nil {
		c.Redact = func(line string) string { return string(append([]byte(nil), line...)) }
	}
	c.Workers = max(1, min(c.Workers, Shards))
	if c.Forward && c.Workers > 1 {
		return fmt.Errorf("detect: engine: %d workers, but only one can work for a level two that is elsewhere: start an engine for each partition", c.Workers)
	}
	if len(c.Rules) >= wakeHeld {
		return fmt.Errorf("detect: engine: %d rules, at most %d", len(c.Rules), wakeHeld)
	}
	return nil
}
