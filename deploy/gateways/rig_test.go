package gateways

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/fixtures/testbed"
)

// service starts the API behind the gateway, which answers with the consumer and the
// credentials that it is told.
func service(t *testing.T) (address string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "service/1.2.3")
		w.Header().Set("X-Powered-By", "tests")
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "consumer=%s key=%s authorization=%s", r.Header.Get("X-Portcullis-Consumer"), r.Header.Get("X-Api-Key"), r.Header.Get("Authorization"))
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// lines collects what a gateway logs.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// with waits for a line with all of these words.
func (l *lines) with(t *testing.T, words ...string) string {
	t.Helper()
	found := ""
	waitFor(t, fmt.Sprintf("a line with %q", words), func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		all := l.text.String()
		for line := range strings.Lines(all) {
			has := true
			for _, w := range words {
				has = has && strings.Contains(line, w)
			}
			if has {
				found = strings.TrimSpace(line)
				return nil
			}
		}
		return fmt.Errorf("the log has\n%.4000s", all)
	})
	return found
}

// syslog receives what is sent to an address of its own, one datagram a line.
func syslog(t *testing.T) (address string, l *lines) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = &lines{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			fmt.Fprintf(l, "%s\n", buf[:n])
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return conn.LocalAddr().String(), l
}

// run starts a program, waits until it accepts connections, and returns what ends it. It
// ends with the test too. What it writes goes to the writers.
func run(t *testing.T, address, program string, args ...string) (stop func()) {
	t.Helper()
	return runWith(t, io.Discard, nil, address, program, args...)
}

func runWith(t *testing.T, out io.Writer, env []string, address, program string, args ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	said := new(testbed.Program)
	cmd.Stdout, cmd.Stderr, cmd.Env = io.MultiWriter(out, said), said, append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var failed error
	go func() { defer close(ended); failed = cmd.Wait() }()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(func() {
		if stop(); t.Failed() {
			t.Logf("%s said\n%.8000s", program, said.Said())
		}
	})
	waitFor(t, filepath.Base(program)+" listens on "+address, func() error {
		select {
		case <-ended:
			t.Fatalf("%s ended: %v\n%s", program, failed, said.Said())
		default:
		}
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	})
	return stop
}

// waitFor asks again and again until something holds.
func waitFor(t *testing.T, what string, holds func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30 s: %v", what, err)
		}
	}
}

// found is a program, or the test is skipped.
func found(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not here: make testbed fetches it", program)
	}
	return path
}

// port is that of an address.
func port(t *testing.T, address string) string {
	t.Helper()
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// replaced puts values in; each has to be there, so that no test runs something else
// than what is shipped.
func replaced(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%q is not in the configuration", pairs[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// certificate writes cert.pem, key.pem, and both as api.pem.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "api.example.com"}, DNSNames: []string{"api.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 3, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	keyPEM := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	write(t, filepath.Join(dir, "cert.pem"), certPEM)
	write(t, filepath.Join(dir, "key.pem"), keyPEM)
	write(t, filepath.Join(dir, "api.pem"), certPEM+keyPEM)
}
