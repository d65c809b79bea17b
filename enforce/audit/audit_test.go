package audit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce/audit/doc"
)

var day = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// TestGrades: the worst finding makes a practice's grade, what was never looked at has
// none, and what is said twice of one place is one finding.
func TestGrades(t *testing.T) {
	f := doc.NewFile("x", []byte("a\nb\nc\n"))
	c := NewConfig("test")
	c.Say("banner", "s", Fact{State: Bad, At: f.At(0, 1), Saw: "one"})
	c.Say("banner", "other", Fact{State: Bad, At: f.At(0, 1), Saw: "one"})
	c.Say("listing", "s", Fact{State: Good, At: f.At(2, 3), Saw: "two"})
	c.Say("cert-expired", "s", Fact{State: Bad, At: f.At(4, 5), Saw: "three"})
	c.Say("log-off", "s", Fact{State: Good, At: f.At(4, 5), Saw: "four"})
	c.Say("log-off", "s", Fact{})
	c.Say("no-such-check", "s", Fact{State: Bad})
	r := Audit(c)
	for p, want := range map[Practice]Grade{Exposure: "B", Encryption: "F", Logging: "A", Limits: "-"} {
		if r.Grades[p] != want {
			t.Errorf("%s is graded %s, want %s", p, r.Grades[p], want)
		}
	}
	if len(r.Findings) != 2 || r.Findings[0].Check.ID != "cert-expired" || r.Findings[0].At.Line() != 3 {
		t.Errorf("findings: %+v", r.Findings)
	}
	if len(r.Blind) != 1 || !strings.Contains(r.Blind[0], "no-such-check") {
		t.Errorf("blind: %q", r.Blind)
	}
}

// TestChecksRest: every check says what is wrong, what to do, and what it rests on.
func TestChecksRest(t *testing.T) {
	for _, c := range Checks() {
		if c.Title == "" || c.Fix == "" || strings.HasSuffix(c.Fix, ".") || c.Refs[0].Name == "" || !strings.HasPrefix(c.Refs[0].URL, "https://") {
			t.Errorf("%+v", c)
		}
	}
}

// TestKinds: routes are known by their path, as detection knows them.
func TestKinds(t *testing.T) {
	c := NewConfig("test")
	for path, private := range map[string]bool{"/": true, "/v1/orders": true, "/login": false, "/oauth/token": false, "/healthz": false,
		"/swagger-ui/": false, "/metrics": false, "/.well-known/acme-challenge/": false, "/admin/users": false} {
		r := c.Add(&Route{Path: path, Forwards: true})
		if r.Private() != private {
			t.Errorf("%s: private is %v", path, r.Private())
		}
	}
}

// TestCertificates: what is expired, ends soon, is weak, or is not stapled.
func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GODEBUG", "rsa1024min=0") // a weak key is what is tested
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		days   int
		weak   bool
		ocsp   []string
		staple bool
		want   string
	}{
		"fine":      {days: 90},
		"expired":   {days: -1, want: "critical cert-expired"},
		"soon":      {days: 10, want: "medium cert-expired"},
		"weak":      {days: 90, weak: true, want: "high cert-weak"},
		"unstapled": {days: 90, ocsp: []string{"http://ocsp.example.com"}, want: "low cert-stapling"},
		"stapled":   {days: 90, ocsp: []string{"http://ocsp.example.com"}, staple: true},
	} {
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: day.AddDate(0, -3, 0), NotAfter: day.AddDate(0, 0, c.days), OCSPServer: c.ocsp}
		var der []byte
		if c.weak {
			der, err = x509.CreateCertificate(rand.Reader, tmpl, tmpl, &short.PublicKey, short)
		} else {
			der, err = x509.CreateCertificate(rand.Reader, tmpl, tmpl, &ec.PublicKey, ec)
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name+".pem")
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
			t.Fatal(err)
		}
		conf := NewConfig("test")
		conf.options = Options{Now: day, Root: dir}
		conf.Doors = []*Door{{Name: name, TLS: true, Certs: []Cert{{Path: "/" + name + ".pem", Stapling: c.staple}}}}
		var found []string
		for _, f := range Audit(conf).Findings {
			found = append(found, f.Severity.String()+" "+f.Check.ID)
		}
		if have := strings.Join(found, ", "); have != c.want {
			t.Errorf("%s: found %q, want %q", name, have, c.want)
		}
	}
}
