package kafka

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/ingest/kafkanet"
)

// Config is the "kafka" section: the brokers between the processes, and how the
// topics are made where they are missing.
type Config struct {
	Enabled           bool          `yaml:"enabled" default:"false" doc:"let the stages run in processes of their own, with Kafka between them"`
	Brokers           []string      `yaml:"brokers" doc:"HOST:PORT of some brokers, from which the others are learnt"`
	Prefix            string        `yaml:"prefix" default:"portcullis" doc:"what the names of the topics and groups begin with, before a dot"`
	Partitions        int           `yaml:"partitions" default:"8" min:"1" max:"256" doc:"partitions of the access topic: how many detectors can share the work; fixed once the topics are made, until portcullis kafka rescale"`
	WidePartitions    int           `yaml:"wide_partitions" default:"2" min:"1" max:"64" doc:"partitions of the partials topic: how many detectors can share the work on networks, routes and accounts; fixed like partitions"`
	Replication       int           `yaml:"replication" default:"0" min:"0" max:"9" doc:"brokers that hold each message; 0 = three, or as many as there are; one less must be there for a write"`
	Compression       string        `yaml:"compression" default:"snappy" enum:"zstd,lz4,snappy,none" doc:"of what is written; docs/kafka.md has the cost of each"`
	AccessRetention   time.Duration `yaml:"access_retention" default:"48h" min:"1h" max:"8760h" doc:"how long the topics access and partials keep messages: how long a detector may be away"`
	FindingsRetention time.Duration `yaml:"findings_retention" default:"168h" min:"1h" max:"8760h" doc:"how long the topics findings and rejected keep messages"`
	Wait              time.Duration `yaml:"wait" default:"0s" min:"0s" max:"1h" doc:"how long a start waits for a broker that does not answer; 0 = it fails at once"`
	SessionTimeout    time.Duration `yaml:"session_timeout" default:"6s" min:"1s" max:"5m" doc:"after how long without a sign of life a process loses its partitions to others; brokers allow no less than group.min.session.timeout.ms, by default 6 s"`
	BatchBytes        int64         `yaml:"batch_bytes" default:"1MiB" unit:"bytes" min:"16384" max:"4194304" doc:"messages that go in one request to a partition, before compression; a larger message goes alone"`
	QueueBytes        int64         `yaml:"queue_bytes" default:"8MiB" unit:"bytes" min:"65536" max:"1073741824" doc:"messages of one partition that wait to be written, or (at most 1MiB) were read ahead; beyond that its senders block"`
	SASL              kafkanet.SASL `yaml:"sasl"`
	TLS               kafkanet.TLS  `yaml:"tls"`

	// Topics are further topics, without the prefix, that are used and not made.
	Topics []string `yaml:"-"`
}

// withDefaults fills in what was left at zero.
func (c Config) withDefaults() Config {
	fill := func(p *time.Duration, d time.Duration) {
		if *p == 0 {
			*p = d
		}
	}
	fill(&c.AccessRetention, 48*time.Hour)
	fill(&c.FindingsRetention, 7*24*time.Hour)
	fill(&c.SessionTimeout, 6*time.Second)
	if c.Prefix == "" {
		c.Prefix = "portcullis"
	}
	if c.Partitions == 0 {
		c.Partitions = 8
	}
	if c.WidePartitions == 0 {
		c.WidePartitions = 2
	}
	if c.Compression == "" {
		c.Compression = "snappy"
	}
	if c.BatchBytes == 0 {
		c.BatchBytes = 1 << 20
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = 8 << 20
	}
	return c
}

func (c Config) access() kafkanet.Access {
	return kafkanet.Access{Brokers: c.Brokers, SASL: c.SASL, TLS: c.TLS}
}

// Check reports what is wrong with the settings, by key. Where Kafka is not used
// nothing is.
func (c Config) Check(report func(key, message string)) {
	if !c.Enabled {
		return
	}
	c.access().Check(report)
	c = c.withDefaults()
	if !kafkanet.ValidTopic(c.topic(Decisions)) {
		report("prefix", fmt.Sprintf("%.80q cannot begin the name of a topic: up to 230 letters, digits, dots, underscores and dashes", c.Prefix))
	}
	if c.Partitions < 1 || c.Partitions > 256 {
		report("partitions", "must be from 1 to 256: clients are spread over 256 shards")
	}
	if c.WidePartitions < 1 || c.WidePartitions > 64 {
		report("wide_partitions", "must be from 1 to 64")
	}
	if _, known := packers[c.Compression]; !known {
		report("compression", "must be zstd, lz4, snappy or none")
	}
	if c.SessionTimeout < time.Second {
		report("session_timeout", "must be at least 1s")
	}
	if c.BatchBytes < 0 || c.BatchBytes > c.QueueBytes {
		report("batch_bytes", "must be positive, and no more than queue_bytes")
	}
}

// topic is the full name of a topic.
func (c *Config) topic(name string) string { return c.Prefix + "." + name }
