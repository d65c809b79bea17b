package syslog_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
	"github.com/portcullis/portcullis/ingest/source/syslog"
)

func TestTLS(t *testing.T) {
	a, in := servetest.NewAuthority(t), newIntake()
	a.Issue("server")
	r, _ := serve(t, syslog.Config{Listen: []string{"tls://127.0.0.1:0"}, Cert: path(a, "server.pem"), Key: path(a, "server.key")}, in)
	where := r.Addr()[0].String()
	conn, err := tls.Dial("tcp", where, a.Client(""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send(t, conn, "9 <13>count11 <13>with\nLF")
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("the orderly end is answered by %v, want EOF", err)
	}
	in.await(t, "<13>count\n<13>with LF\n")
	old := a.Client("")
	old.MaxVersion = tls.VersionTLS11
	old.MinVersion = tls.VersionTLS10
	if _, err := tls.Dial("tcp", where, old); err == nil {
		t.Error("TLS 1.1 was taken")
	}
	plain := dial(t, r, 0)
	send(t, plain, "<13>not encrypted\n")
	await(t, "both refusals are counted", func() bool { return r.Stats().Refused == 2 })
}

func TestClientCertificates(t *testing.T) {
	a, stranger, in := servetest.NewAuthority(t), servetest.NewAuthority(t), newIntake()
	a.Issue("server")
	a.Issue("gateway")
	stranger.Issue("gateway")
	r, _ := serve(t, syslog.Config{
		Listen: []string{"tls://127.0.0.1:0"}, Cert: path(a, "server.pem"), Key: path(a, "server.key"), ClientCA: path(a, "ca.pem"),
	}, in)
	where := r.Addr()[0].String()
	wrong := a.Client("")
	wrong.Certificates = stranger.Client("gateway").Certificates
	for _, cfg := range []*tls.Config{a.Client(""), wrong} {
		conn, err := tls.Dial("tcp", where, cfg)
		if err != nil {
			continue // TLS 1.2; with TLS 1.3 the first read tells
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("a sender without our certificate was let in: %v", err)
		}
		conn.Close()
	}
	conn, err := tls.Dial("tcp", where, a.Client("gateway"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send(t, conn, "<13>mine\n")
	in.await(t, "<13>mine\n")
}

// TestCertificateReload: a changed file counts from the next connection on, one
// that is broken does not.
func TestCertificateReload(t *testing.T) {
	a := servetest.NewAuthority(t)
	a.Issue("server")
	r, _ := serve(t, syslog.Config{Listen: []string{"tls://127.0.0.1:0"}, Cert: path(a, "server.pem"), Key: path(a, "server.key")}, newIntake())
	serial := func() string {
		conn, err := tls.Dial("tcp", r.Addr()[0].String(), a.Client(""))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serialIn(t, path(a, "server.pem"))
	if got := serial(); got != first {
		t.Fatalf("serial %s, want %s", got, first)
	}
	good, err := os.ReadFile(path(a, "server.pem"))
	must(t, err)
	must(t, os.WriteFile(path(a, "server.pem"), good[:len(good)/2], 0o600))
	must(t, os.Chtimes(path(a, "server.pem"), time.Time{}, time.Now().Add(time.Hour)))
	before := time.Now()
	await(t, "the files are looked at", func() bool { return serial() == first && time.Since(before) > 1100*time.Millisecond })
	a.Issue("server")
	second := serialIn(t, path(a, "server.pem"))
	await(t, "the new certificate is used", func() bool { return serial() == second && second != first })
}

// serialIn is the serial number of the certificate in a file.
func serialIn(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	must(t, err)
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	return cert.SerialNumber.String()
}
