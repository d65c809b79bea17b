package serve

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
)

// Certificates are the files of a TLS listener: a certificate with its key and,
// where senders have to show one too, the authorities that sign theirs.
type Certificates struct {
	Cert, Key, ClientCA string

	Prefix    string   // of the settings' keys "cert", "key" and "client_ca", for messages
	Protocols []string // offered by ALPN (RFC 7301), the preferred one first; none: no ALPN
}

// Config serves what the files hold now: a renewed certificate or authority is in
// force with the next handshake, and what cannot be used leaves the last one there.
func (c Certificates) Config(log *slog.Logger) (*tls.Config, error) {
	files := []string{c.Cert, c.Key}
	if c.ClientCA != "" {
		files = append(files, c.ClientCA)
	}
	w, err := watch(log, c.read, files...)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: c.Protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			cfg, _ := w.current()
			return cfg, nil
		},
	}, nil
}

func (c Certificates) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("%[1]scert, %[1]skey: %[2]w; they must name PEM files that belong together and that this process may read", c.Prefix, err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: c.Protocols, Certificates: []tls.Certificate{pair}}
	if c.ClientCA == "" {
		return cfg, nil
	}
	data, err := os.ReadFile(c.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("%sclient_ca: %w", c.Prefix, err)
	}
	cfg.ClientCAs = x509.NewCertPool()
	if !cfg.ClientCAs.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%sclient_ca: %s holds no certificate in PEM (-----BEGIN CERTIFICATE-----)", c.Prefix, c.ClientCA)
	}
	cfg.ClientAuth = tls.RequireAndVerifyClientCert
	// A resumed session would outlive the authority that let it in.
	cfg.SessionTicketsDisabled = true
	return cfg, nil
}

// tlsConfig is that of HTTP and gRPC. It is nil without a certificate.
func (a Access) tlsConfig(log *slog.Logger) (*tls.Config, error) {
	if a.Cert == "" {
		return nil, nil
	}
	cfg, err := Certificates{a.Cert, a.Key, a.ClientCA, "tls_", []string{"h2", "http/1.1"}}.Config(log)
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	return cfg, nil
}
