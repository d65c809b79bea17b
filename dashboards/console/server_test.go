package console_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/dashboards/console"
)

// idle is what New needs and a test that never asks does not.
func idle(t *testing.T) console.Deps {
	t.Helper()
	h := open(t, console.Config{})
	return h.deps()
}

// certificate writes a self-signed pair for the loopback address.
func certificate(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestNewRefusesWhatWouldExposeTheConsole(t *testing.T) {
	deps := idle(t)
	cert, key := certificate(t, t.TempDir(), "a")
	good := tokenFile(t, token)
	for name, c := range map[string]struct {
		cfg  console.Config
		word string // "" = accepted
	}{
		"default":                     {console.Config{}, ""},
		"loopback v6":                 {console.Config{Listen: "[::1]:0"}, ""},
		"localhost":                   {console.Config{Listen: "localhost:0"}, ""},
		"all addresses":               {console.Config{Listen: "0.0.0.0:8470", TLSCert: cert, TLSKey: key}, "token_file"},
		"no host":                     {console.Config{Listen: ":8470", TLSCert: cert, TLSKey: key}, "token_file"},
		"public address":              {console.Config{Listen: "192.0.2.1:8470", TLSCert: cert, TLSKey: key}, "token_file"},
		"a name":                      {console.Config{Listen: "gateway.example:8470", TLSCert: cert, TLSKey: key}, "token_file"},
		"token without TLS":           {console.Config{Listen: "0.0.0.0:8470", TokenFile: good}, "tls_cert"},
		"insecure without token":      {console.Config{Listen: "0.0.0.0:8470", InsecureHTTP: true}, "token_file"},
		"insecure and token":          {console.Config{Listen: "0.0.0.0:8470", TokenFile: good, InsecureHTTP: true}, ""},
		"TLS and token":               {console.Config{Listen: "0.0.0.0:8470", TokenFile: good, TLSCert: cert, TLSKey: key}, ""},
		"keys and TLS":                {console.Config{Listen: "0.0.0.0:8470", KeysFile: filepath.Join(t.TempDir(), "keys"), TLSCert: cert, TLSKey: key}, ""},
		"keys that are none":          {console.Config{KeysFile: good}, "portcullis keys api"},
		"no login, said so":           {console.Config{Listen: "0.0.0.0:8470", NoLogin: true, TLSCert: cert, TLSKey: key}, ""},
		"no login without TLS":        {console.Config{Listen: "0.0.0.0:8470", NoLogin: true}, "tls_cert"},
		"half a pair":                 {console.Config{TLSCert: cert}, "together"},
		"pair that is none":           {console.Config{TLSCert: key, TLSKey: cert}, "tls_cert"},
		"missing token file":          {console.Config{TokenFile: filepath.Join(t.TempDir(), "none")}, "token_file"},
		"empty token":                 {console.Config{TokenFile: tokenFile(t, "")}, "at least 20"},
		"short token":                 {console.Config{TokenFile: tokenFile(t, "secret")}, "openssl"},
		"a file that holds no token":  {console.Config{TokenFile: tokenFile(t, strings.Repeat("x", 9999))}, "right file"},
		"no port":                     {console.Config{Listen: "127.0.0.1"}, "address:port"},
		"a host with a scheme":        {console.Config{Hosts: []string{"https://x.example"}}, "hosts"},
		"loopback in IPv6 clothes":    {console.Config{Listen: "[::ffff:127.0.0.1]:0"}, ""},
		"almost loopback":             {console.Config{Listen: "128.0.0.1:0"}, "token_file"},
		"name that begins with local": {console.Config{Listen: "localhost.example:0"}, "token_file"},
	} {
		_, err := console.New(c.cfg, deps)
		switch {
		case c.word == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.word != "" && (err == nil || !strings.Contains(err.Error(), c.word)):
			t.Errorf("%s: %v, want something about %s", name, err, c.word)
		case err != nil && (strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "secret")):
			t.Errorf("%s: the message holds the token: %v", name, err)
		}
	}
	if _, err := console.New(console.Config{}, console.Deps{}); err == nil {
		t.Error("a console without anything to read was made")
	}
}

// run starts a server and returns its end.
func run(t *testing.T, cfg console.Config, deps console.Deps) (*console.Server, func() error) {
	t.Helper()
	s, err := console.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	s.Hurry(20*time.Millisecond, 30*time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := func() error { cancel(); return <-done }
	if s.Addr() == nil {
		t.Fatalf("it does not listen: %v", stop())
	}
	return s, stop
}

func TestRunServesUntilItsEnd(t *testing.T) {
	deps := idle(t)
	before := goleak.IgnoreCurrent()
	s, stop := run(t, console.Config{Listen: "127.0.0.1:0"}, deps)
	client := &http.Client{Transport: &http.Transport{}}
	get := func(path string) *http.Response {
		resp, err := client.Get(s.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	resp := get("healthz")
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || string(body) != "ok\n" {
		t.Errorf("healthz: %d %q", resp.StatusCode, body)
	}
	stream := get("api/v1/events") // must not hold the end up
	began := time.Now()
	if err := stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("an open stream held the end up for %v", took)
	}
	if _, err := net.DialTimeout("tcp", s.Addr().String(), time.Second); err == nil {
		t.Error("it still listens")
	}
	if err := s.Run(t.Context()); err == nil {
		t.Error("a second run was allowed")
	}
	stream.Body.Close()
	client.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

func TestRunSaysWhenThePortIsTaken(t *testing.T) {
	deps := idle(t)
	s, stop := run(t, console.Config{Listen: "127.0.0.1:0"}, deps)
	defer func() { _ = stop() }()
	second, err := console.New(console.Config{Listen: s.Addr().String()}, deps)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "console.listen") {
		t.Errorf("run: %v", err)
	}
	if second.Addr() != nil || second.URL() != "" {
		t.Error("it has an address though it does not listen")
	}
}

func TestTLS(t *testing.T) {
	deps := idle(t)
	dir := t.TempDir()
	cert, key := certificate(t, dir, "first")
	s, stop := run(t, console.Config{Listen: "127.0.0.1:0", TokenFile: tokenFile(t, token), TLSCert: cert, TLSKey: key}, deps)
	defer func() {
		if err := stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	name := func() string {
		conn, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].DNSNames[0]
	}
	if n := name(); n != "first" {
		t.Errorf("certificate of %s", n)
	}
	certificate(t, dir, "renewed")
	later := time.Now().Add(time.Minute)
	if err := errors.Join(os.Chtimes(cert, later, later), os.Chtimes(key, later, later)); err != nil {
		t.Fatal(err)
	}
	if n := name(); n != "renewed" {
		t.Errorf("after the renewal: certificate of %s", n)
	}
	if err := os.WriteFile(cert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := name(); n != "renewed" {
		t.Errorf("after a broken renewal: certificate of %s", n)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	resp, err := client.PostForm(s.URL()+"login", map[string][]string{"token": {token}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	c := resp.Cookies()
	if len(c) != 1 || c[0].Name != "__Host-portcullis" || !c[0].Secure || !c[0].HttpOnly {
		t.Errorf("cookie under TLS: %v", c)
	}
	if _, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
}
