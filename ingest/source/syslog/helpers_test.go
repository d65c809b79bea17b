package syslog_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest/source/spool"
	"github.com/portcullis/portcullis/ingest/source/syslog"
)

var quiet = slog.New(slog.DiscardHandler)

// intake keeps what it is given; fail makes it refuse.
type intake struct {
	mu   sync.Mutex
	text strings.Builder
	fail error
	grew chan struct{}
}

func newIntake() *intake { return &intake{grew: make(chan struct{}, 1)} }

func (in *intake) Append(lines []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.fail != nil {
		return in.fail
	}
	in.text.Write(lines)
	select {
	case in.grew <- struct{}{}:
	default:
	}
	return nil
}

func (in *intake) set(err error) {
	in.mu.Lock()
	in.fail = err
	in.mu.Unlock()
}

func (in *intake) String() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.text.String()
}

// await polls, with a deadline, until what holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (in *intake) await(t testing.TB, want string) {
	t.Helper()
	await(t, "the intake has what was sent", func() bool { return len(in.String()) >= len(want) })
	if got := in.String(); got != want {
		t.Fatalf("stored %.300q, want %.300q", got, want)
	}
}

// serve runs a receiver until the test ends.
func serve(t testing.TB, cfg syslog.Config, in spool.Intake) (r *syslog.Receiver, stop func()) {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = quiet
	}
	r, err := syslog.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, in) }()
	select {
	case <-r.Listening():
	case err := <-done:
		cancel()
		t.Fatalf("Serve = %v", err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Serve = %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return r, stop
}

func dial(t testing.TB, r *syslog.Receiver, i int) net.Conn {
	t.Helper()
	a := r.Addr()[i]
	conn, err := net.Dial(a.Network(), a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func send(t testing.TB, conn net.Conn, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

// authority signs certificates for the tests.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key = a.newKey()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &a.key.PublicKey, a.key)
	a.must(err)
	a.cert, err = x509.ParseCertificate(der)
	a.must(err)
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	return key
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, kind string, der []byte) {
	var b bytes.Buffer
	a.must(pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}))
	a.must(os.WriteFile(a.path(name), b.Bytes(), 0o600))
}

// issue writes NAME.pem and NAME.key for 127.0.0.1.
func (a *authority) issue(name string) {
	a.next++
	key := a.newKey()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(100 + a.next), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	a.must(err)
	a.write(name+".pem", "CERTIFICATE", der)
	private, err := x509.MarshalECPrivateKey(key)
	a.must(err)
	a.write(name+".key", "EC PRIVATE KEY", private)
}

// client is the TLS configuration of a sender; name may be empty.
func (a *authority) client(name string) *tls.Config {
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AddCert(a.cert)
	if name != "" {
		pair, err := tls.LoadX509KeyPair(a.path(name+".pem"), a.path(name+".key"))
		a.must(err)
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg
}
