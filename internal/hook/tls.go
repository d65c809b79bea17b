package hook

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLS says whom to believe.
type TLS struct {
	CA         string `yaml:"ca" doc:"file of the authorities (PEM) that may have signed the other side's certificate; empty = those of the system"`
	ServerName string `yaml:"server_name" doc:"name that the certificate must have; empty = the host that is called"`
}

// Client is how connections are made.
func (c TLS) Client() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CA == "" {
		return conf, nil
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("authorities: %w", err)
	}
	conf.RootCAs = x509.NewCertPool()
	if !conf.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("authorities: %s has no certificate in PEM", c.CA)
	}
	return conf, nil
}
