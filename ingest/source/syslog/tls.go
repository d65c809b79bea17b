package syslog

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// lookEvery is how often, at most, the certificate files are looked at.
const lookEvery = time.Second

// certificates is the TLS configuration as the files say. A handshake looks
// whether they changed; what cannot be read leaves the last good one in place.
type certificates struct {
	cfg Config

	mu     sync.Mutex
	now    *tls.Config
	stamp  [3]stamp
	looked time.Time
	said   string
}

// stamp tells one content of a file from the next.
type stamp struct {
	size int64
	time time.Time
}

func newCertificates(cfg Config) (*certificates, error) {
	c := &certificates{cfg: cfg}
	c.stamp = c.stamps()
	now, err := c.load()
	if err != nil {
		return nil, err
	}
	c.now, c.looked = now, time.Now()
	return c, nil
}

// config is the configuration for the next handshake.
func (c *certificates) config() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookEvery {
		return c.now
	}
	c.looked = time.Now()
	stamps := c.stamps()
	if stamps == c.stamp {
		return c.now
	}
	fresh, err := c.load()
	if err != nil { // tried again: the other file may not be written yet
		if err.Error() != c.said {
			c.said = err.Error()
			c.cfg.Log.Error("syslog: the changed certificate cannot be used, the last one stays", "error", err)
		}
		return c.now
	}
	c.now, c.stamp, c.said = fresh, stamps, ""
	c.cfg.Log.Info("syslog: the certificate was read again", "cert", c.cfg.Cert)
	return c.now
}

func (c *certificates) stamps() (s [3]stamp) {
	for i, path := range [...]string{c.cfg.Cert, c.cfg.Key, c.cfg.ClientCA} {
		if info, err := os.Stat(path); err == nil {
			s[i] = stamp{info.Size(), info.ModTime()}
		}
	}
	return s
}

// load reads the files. RFC 5425 asks for TLS 1.2 (RFC 9662 for its ciphers, which
// are those of crypto/tls).
func (c *certificates) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.cfg.Cert, c.cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("syslog: tls: %w; cert and key must name PEM files that belong together and that this process may read", err)
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if c.cfg.ClientCA == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.cfg.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("syslog: tls: client_ca: %w", err)
	}
	t.ClientCAs = x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New("syslog: tls: client_ca " + c.cfg.ClientCA + " holds no certificate in PEM")
	}
	t.ClientAuth = tls.RequireAndVerifyClientCert
	return t, nil
}
