package serve

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
)

// tlsConfig serves what the files hold now: a renewed certificate or authority
// is in force with the next handshake. It is nil without a certificate.
func (a Access) tlsConfig(log *slog.Logger) (*tls.Config, error) {
	if a.Cert == "" {
		return nil, nil
	}
	files := []string{a.Cert, a.Key}
	if a.ClientCA != "" {
		files = append(files, a.ClientCA)
	}
	w, err := watch(log, a.buildTLS, files...)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols(),
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			cfg, _ := w.current()
			return cfg, nil
		},
	}, nil
}

// protocols are those offered by ALPN (RFC 7301), the preferred one first.
func protocols() []string { return []string{"h2", "http/1.1"} }

// buildTLS reads the files.
func (a Access) buildTLS() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(a.Cert, a.Key)
	if err != nil {
		return nil, fmt.Errorf("serve: tls_cert, tls_key: %w", err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols(), Certificates: []tls.Certificate{pair}}
	if a.ClientCA == "" {
		return cfg, nil
	}
	data, err := os.ReadFile(a.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("serve: tls_client_ca: %w", err)
	}
	cfg.ClientCAs = x509.NewCertPool()
	if !cfg.ClientCAs.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("serve: tls_client_ca: %s holds no certificate in PEM (-----BEGIN CERTIFICATE-----)", a.ClientCA)
	}
	cfg.ClientAuth = tls.RequireAndVerifyClientCert
	// A resumed session would outlive the authority that let it in.
	cfg.SessionTicketsDisabled = true
	return cfg, nil
}
