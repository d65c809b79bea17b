package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"regexp"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
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
	SASL     SASL          `yaml:"sasl"`
	TLS      TLS           `yaml:"tls"`

	Log *slog.Logger `yaml:"-"` // nil: slog.Default
}

// SASL says how to log in to the brokers.
type SASL struct {
	Mechanism string `yaml:"mechanism" default:"none" doc:"none, plain (RFC 4616; sends the password, so turn on TLS), scram-sha-256 or scram-sha-512 (RFC 5802)"`
	User      string `yaml:"user" default:"" doc:"user name"`
	Password  string `yaml:"password" default:"" secret:"file" doc:"password of the user"`
}

// TLS says how to encrypt the connections to the brokers.
type TLS struct {
	Enabled bool   `yaml:"enabled" default:"false" doc:"encrypt, and check the broker's certificate"`
	CA      string `yaml:"ca" default:"" doc:"PEM file of the authorities that may sign a broker's certificate; those of the system where empty"`
	Cert    string `yaml:"cert" default:"" doc:"PEM file of our certificate, where the broker asks for one; read anew at each connection"`
	Key     string `yaml:"key" default:"" doc:"PEM file of its private key"`
	Server  string `yaml:"server_name" default:"" doc:"name in the broker's certificate where it is not the broker's host"`
}

// topicName is what a broker accepts: 249 of these characters, but not . and ..
// (org.apache.kafka.common.internals.Topic).
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// mechanisms by their name in the settings.
var mechanisms = map[string]func(user, password string) (sasl.Mechanism, error){
	"":              func(_, _ string) (sasl.Mechanism, error) { return nil, nil },
	"none":          func(_, _ string) (sasl.Mechanism, error) { return nil, nil },
	"plain":         func(u, p string) (sasl.Mechanism, error) { return plain.Mechanism{Username: u, Password: p}, nil },
	"scram-sha-256": func(u, p string) (sasl.Mechanism, error) { return scram.Mechanism(scram.SHA256, u, p) },
	"scram-sha-512": func(u, p string) (sasl.Mechanism, error) { return scram.Mechanism(scram.SHA512, u, p) },
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

// Check reports what is wrong with the settings, by key.
func (c Config) Check(report func(key, message string)) {
	if len(c.Brokers) == 0 {
		report("brokers", "is empty: name at least one broker as HOST:PORT")
	}
	for _, b := range c.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			report("brokers", fmt.Sprintf("%.80q is not HOST:PORT, such as kafka-1.example.org:9092", b))
		}
	}
	switch {
	case c.Topic == "":
		report("topic", "is empty: name the topic that the gateway writes")
	case !topicName.MatchString(c.Topic) || c.Topic == "." || c.Topic == "..":
		report("topic", fmt.Sprintf("%.80q cannot be a topic: up to 249 letters, digits, dots, underscores and dashes", c.Topic))
	}
	if c.Start != "" && c.Start != "oldest" && c.Start != "newest" {
		report("start", "must be oldest or newest")
	}
	c.checkFetch(report)
	c.checkAccess(report)
}

func (c Config) checkFetch(report func(key, message string)) {
	if c.MaxBytes != 0 && (c.MaxBytes < 4<<10 || c.MaxBytes > maxFetch) {
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

func (c Config) checkAccess(report func(key, message string)) {
	if _, ok := mechanisms[c.SASL.Mechanism]; !ok {
		report("sasl.mechanism", "must be none, plain, scram-sha-256 or scram-sha-512")
	}
	used := c.SASL.Mechanism != "" && c.SASL.Mechanism != "none"
	if used && c.SASL.User == "" {
		report("sasl.user", "is empty: name the user, or set mechanism to none")
	}
	if used && c.SASL.Password == "" {
		report("sasl.password", "is empty: name its file with password_file")
	}
	if !used && c.SASL.User != "" {
		report("sasl.mechanism", "is none, so the user would not log in: set the mechanism that the broker offers")
	}
	if !c.TLS.Enabled && (c.TLS.CA != "" || c.TLS.Cert != "" || c.TLS.Key != "") {
		report("tls.enabled", "is false, so the files named beside it would not be used")
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		report("tls.cert", "goes with tls.key: name both or neither")
	}
}

// client makes the settings of crypto/tls; nil where TLS is off. The files are
// looked at now, so that a wrong name is an error at the start.
func (c TLS) client() (*tls.Config, error) {
	if !c.Enabled {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.Server}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca: %s: %w", c.CA, errors.New("holds no certificate in PEM form"))
		}
	}
	if c.Cert != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
			if err != nil {
				return nil, fmt.Errorf("tls.cert: %w", err)
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return out, nil
}
