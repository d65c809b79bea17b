package kafka

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/portcullis/portcullis/ingest/kafkanet"
)

// Config says which topic to read and how. The defaults of a fetch are those of
// Kafka's own consumer: https://kafka.apache.org/documentation/#consumerconfigs
type Config struct {
	Name     string        `yaml:"name" default:"" doc:"name of the source in positions, metrics and the ledger; kafka:TOPIC where empty"`
	Brokers  []string      `yaml:"brokers" doc:"HOST:PORT of some brokers, from which the others are learnt"`
	Topic    string        `yaml:"topic" default:"" doc:"the topic; all its partitions are read, also those that are added later"`
	Group    string        `yaml:"group" default:"" doc:"consumer group to which saved offsets are committed as information for lag tools; reading never depends on it; empty = none"`
	Start    string        `yaml:"start" default:"oldest" doc:"where a first start without a saved position begins: oldest (nothing is lost) or newest"`
	MinBytes int64         `yaml:"min_bytes" default:"1" unit:"bytes" doc:"what the broker gathers before it answers, for up to max_wait"`
	MaxBytes int64         `yaml:"max_bytes" default:"1MiB" unit:"bytes" doc:"what one answer for one partition holds at most, unless its first record batch is larger"`
	MaxWait  time.Duration `yaml:"max_wait" default:"500ms" doc:"how long the broker may wait for min_bytes"`
	Refresh  time.Duration `yaml:"refresh" default:"30s" doc:"how often to look for new partitions"`
	SASL     kafkanet.SASL `yaml:"sasl"`
	TLS      kafkanet.TLS  `yaml:"tls"`

	Log *slog.Logger `yaml:"-"` // nil: slog.Default
}

// withDefaults fills in what was left at zero.
func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "kafka:" + c.Topic
	}
	if c.Start == "" {
		c.Start = "oldest"
	}
	if c.MinBytes == 0 {
		c.MinBytes = 1
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 1 << 20
	}
	if c.MaxWait == 0 {
		c.MaxWait = 500 * time.Millisecond
	}
	if c.Refresh == 0 {
		c.Refresh = 30 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

func (c Config) access() kafkanet.Access {
	return kafkanet.Access{Brokers: c.Brokers, SASL: c.SASL, TLS: c.TLS}
}

// Check reports what is wrong with the settings, by key.
func (c Config) Check(report func(key, message string)) {
	c.access().Check(report)
	switch {
	case c.Topic == "":
		report("topic", "is empty: name the topic that the gateway writes")
	case !kafkanet.ValidTopic(c.Topic):
		report("topic", fmt.Sprintf("%.80q cannot be a topic: up to 249 letters, digits, dots, underscores and dashes", c.Topic))
	}
	if c.Start != "" && c.Start != "oldest" && c.Start != "newest" {
		report("start", "must be oldest or newest")
	}
	c.checkFetch(report)
}

func (c Config) checkFetch(report func(key, message string)) {
	if c.MaxBytes != 0 && (c.MaxBytes < 4<<10 || c.MaxBytes > 64<<20) {
		report("max_bytes", "must be from 4 KiB to 64 MiB: each partition may hold as much in memory")
	}
	if c.MinBytes < 0 || c.MinBytes > c.withDefaults().MaxBytes {
		report("min_bytes", "must be from 0 (the default) to max_bytes")
	}
	if c.MaxWait != 0 && (c.MaxWait < 10*time.Millisecond || c.MaxWait > time.Minute) {
		report("max_wait", "must be from 10ms to 1m")
	}
	if c.Refresh != 0 && (c.Refresh < time.Second || c.Refresh > time.Hour) {
		report("refresh", "must be from 1s to 1h")
	}
}
