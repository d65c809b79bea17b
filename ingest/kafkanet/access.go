package kafkanet

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

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

// Access is all that a connection needs.
type Access struct {
	Brokers []string // HOST:PORT of some, from which the others are learnt
	SASL    SASL
	TLS     TLS
}

// topicName is what a broker accepts: 249 of these characters, but not . and ..
// (org.apache.kafka.common.internals.Topic).
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// ValidTopic says whether a broker accepts the name.
func ValidTopic(name string) bool {
	return topicName.MatchString(name) && name != "." && name != ".."
}

// mechanisms by their name in the settings.
var mechanisms = map[string]func(user, password string) (sasl.Mechanism, error){
	"":              func(_, _ string) (sasl.Mechanism, error) { return nil, nil },
	"none":          func(_, _ string) (sasl.Mechanism, error) { return nil, nil },
	"plain":         func(u, p string) (sasl.Mechanism, error) { return plain.Mechanism{Username: u, Password: p}, nil },
	"scram-sha-256": func(u, p string) (sasl.Mechanism, error) { return scram.Mechanism(scram.SHA256, u, p) },
	"scram-sha-512": func(u, p string) (sasl.Mechanism, error) { return scram.Mechanism(scram.SHA512, u, p) },
}

// Check reports what is wrong with the settings, by key: brokers, sasl.*, tls.*.
func (a Access) Check(report func(key, message string)) {
	if len(a.Brokers) == 0 {
		report("brokers", "is empty: name at least one broker as HOST:PORT")
	}
	for _, b := range a.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			report("brokers", fmt.Sprintf("%.80q is not HOST:PORT, such as kafka-1.example.org:9092", b))
		}
	}
	if _, ok := mechanisms[a.SASL.Mechanism]; !ok {
		report("sasl.mechanism", "must be none, plain, scram-sha-256 or scram-sha-512")
	}
	used := a.SASL.Mechanism != "" && a.SASL.Mechanism != "none"
	if used && a.SASL.User == "" {
		report("sasl.user", "is empty: name the user, or set mechanism to none")
	}
	if used && a.SASL.Password == "" {
		report("sasl.password", "is empty: name its file with password_file")
	}
	if !used && a.SASL.User != "" {
		report("sasl.mechanism", "is none, so the user would not log in: set the mechanism that the broker offers")
	}
	if !a.TLS.Enabled && (a.TLS.CA != "" || a.TLS.Cert != "" || a.TLS.Key != "") {
		report("tls.enabled", "is false, so the files named beside it would not be used")
	}
	if (a.TLS.Cert == "") != (a.TLS.Key == "") {
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
