package console

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// tlsConfig serves the certificate in the two files, and the new one when they
// change: a renewed certificate needs no restart. A broken new pair is ignored
// while the old one still stands.
func tlsConfig(cert, key string) (*tls.Config, error) {
	p := &pair{cert: cert, key: key}
	if err := p.load(); err != nil {
		return nil, fmt.Errorf("console: tls_cert, tls_key: %w", err)
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.current(), nil },
		NextProtos:     []string{"http/1.1"}, // one stream a connection: a slow reader holds only itself up
	}, nil
}

type pair struct {
	cert, key string

	mu      sync.Mutex
	loaded  *tls.Certificate
	changed time.Time // the newer of the files' times when loaded
}

func (p *pair) load() error {
	changed := p.stamp()
	loaded, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		return err
	}
	p.loaded, p.changed = &loaded, changed
	return nil
}

func (p *pair) stamp() time.Time {
	var newest time.Time
	for _, name := range []string{p.cert, p.key} {
		if info, err := os.Stat(name); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return newest
}

// current looks at the files once per handshake, which is two stats.
func (p *pair) current() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stamp().Equal(p.changed) {
		// Half-written or mismatched files: the next handshake tries again.
		_ = p.load()
	}
	return p.loaded
}
