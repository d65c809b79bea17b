package syslog_test

import (
	"crypto/tls"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest/source/syslog"
)

func TestTLS(t *testing.T) {
	a, in := newAuthority(t), newIntake()
	a.issue("server")
	r, _ := serve(t, syslog.Config{Listen: []string{"tls://127.0.0.1:0"}, Cert: a.path("server.pem"), Key: a.path("server.key")}, in)
	where := r.Addr()[0].String()
	conn, err := tls.Dial("tcp", where, a.client(""))
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
	old := a.client("")
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
	a, stranger, in := newAuthority(t), newAuthority(t), newIntake()
	a.issue("server")
	a.issue("gateway")
	stranger.issue("gateway")
	r, _ := serve(t, syslog.Config{
		Listen: []string{"tls://127.0.0.1:0"}, Cert: a.path("server.pem"), Key: a.path("server.key"), ClientCA: a.path("ca.pem"),
	}, in)
	where := r.Addr()[0].String()
	wrong := a.client("")
	wrong.Certificates = stranger.client("gateway").Certificates
	for _, cfg := range []*tls.Config{a.client(""), wrong} {
		conn, err := tls.Dial("tcp", where, cfg)
		if err != nil {
			continue // TLS 1.2; with TLS 1.3 the first read tells
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("a sender without our certificate was let in: %v", err)
		}
		conn.Close()
	}
	conn, err := tls.Dial("tcp", where, a.client("gateway"))
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
	a := newAuthority(t)
	a.issue("server")
	r, _ := serve(t, syslog.Config{Listen: []string{"tls://127.0.0.1:0"}, Cert: a.path("server.pem"), Key: a.path("server.key")}, newIntake())
	serial := func() string {
		conn, err := tls.Dial("tcp", r.Addr()[0].String(), a.client(""))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	if got := serial(); got != "101" {
		t.Fatalf("serial %s, want 101", got)
	}
	good, err := os.ReadFile(a.path("server.pem"))
	a.must(err)
	a.must(os.WriteFile(a.path("server.pem"), good[:len(good)/2], 0o600))
	a.must(os.Chtimes(a.path("server.pem"), time.Time{}, time.Now().Add(time.Hour)))
	before := time.Now()
	await(t, "the files are looked at", func() bool { return serial() == "101" && time.Since(before) > 1100*time.Millisecond })
	a.issue("server")
	await(t, "the new certificate is used", func() bool { return strings.HasSuffix(serial(), "102") })
}
