package read

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

var update = flag.Bool("update", false, "rewrite what the corpus expects; read the difference")

// corpusDay is the day on which certificates of the corpus are judged.
var corpusDay = time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)

// sampleConf is one configuration of the corpus: a txtar file whose comment says what
// is in it, whose first file is named to the audit, and whose file "expect" has the
// grades and one line for each finding.
type sampleConf struct {
	name, gateway string
	path          string
	archive       *txtar.Archive
	dir           string
	main          []string
}

// corpus unpacks every configuration under testdata.
func corpus(t testing.TB, gateway string) []sampleConf {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", gateway, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var out []sampleConf
	for _, p := range paths {
		s := sampleConf{name: strings.TrimSuffix(filepath.Base(p), ".txtar"), gateway: filepath.Base(filepath.Dir(p)), path: p, dir: t.TempDir()}
		if s.archive, err = txtar.ParseFile(p); err != nil {
			t.Fatal(err)
		}
		for _, f := range s.archive.Files {
			if f.Name != "expect" {
				writeFile(t, filepath.Join(s.dir, f.Name), f.Data)
			}
		}
		makeCert(t, s.dir)
		s.main = []string{filepath.Join(s.dir, s.archive.Files[0].Name)}
		for _, line := range strings.Split(string(s.archive.Comment), "\n") {
			if rest, ok := strings.CutPrefix(line, "also: "); ok {
				for _, name := range strings.Fields(rest) {
					s.main = append(s.main, filepath.Join(s.dir, name))
				}
			}
		}
		out = append(out, s)
	}
	return out
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// makeCert writes what configurations of the corpus name: cert.pem, key.pem, both.pem.
func makeCert(t testing.TB, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "api.example.com"}, DNSNames: []string{"api.example.com", "localhost"},
		NotBefore: corpusDay.AddDate(0, -1, 0), NotAfter: corpusDay.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	writeFile(t, filepath.Join(dir, "cert.pem"), certPEM)
	writeFile(t, filepath.Join(dir, "key.pem"), keyPEM)
	writeFile(t, filepath.Join(dir, "both.pem"), append(certPEM, keyPEM...))
}

func (s sampleConf) audit(t testing.TB) *audit.Report {
	t.Helper()
	c, err := audit.Read("auto", s.main, audit.Options{Now: corpusDay})
	if err != nil {
		t.Fatal(err)
	}
	if c.Gateway != s.gateway {
		t.Errorf("it is taken for one of %s", c.Gateway)
	}
	return audit.Audit(c)
}

// rel is a file's name within the configuration.
func (s sampleConf) rel(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, s.dir), "/")
}

// written is a report as the corpus has it.
func (s sampleConf) written(r *audit.Report) string {
	var b strings.Builder
	for _, p := range audit.Practices() {
		fmt.Fprintf(&b, "%s %s\n", p, r.Grades[p])
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s %s:%d %s | %s\n", f.Severity, f.Check.ID, s.rel(f.At.Name()), f.At.Line(), f.Subject, strings.ReplaceAll(f.Saw, s.dir, ""))
	}
	for _, line := range r.Blind {
		fmt.Fprintf(&b, "blind: %s\n", strings.ReplaceAll(line, s.dir+"/", ""))
	}
	return b.String()
}

// TestCorpus: every configuration gets the grades, and exactly the findings, that it
// is known to deserve. -update rewrites them; read the difference.
func TestCorpus(t *testing.T) {
	all := corpus(t, "*")
	if len(all) < 30 {
		t.Errorf("the corpus has %d configurations, want 30 or more", len(all))
	}
	for _, s := range all {
		t.Run(s.gateway+"/"+s.name, func(t *testing.T) {
			have := s.written(s.audit(t))
			want := ""
			for i, f := range s.archive.Files {
				if f.Name == "expect" {
					want = string(f.Data)
					s.archive.Files[i].Data = []byte(have)
				}
			}
			if *update {
				if want == "" {
					s.archive.Files = append(s.archive.Files, txtar.File{Name: "expect", Data: []byte(have)})
				}
				writeFile(t, s.path, txtar.Format(s.archive))
				return
			}
			if have != want {
				t.Errorf("judged\n%s\nwant\n%s", have, want)
			}
			if strings.HasPrefix(s.name, "good") && strings.Contains(have, " | ") {
				t.Errorf("a good configuration has findings:\n%s", have)
			}
		})
	}
}

// classics are the mistakes that everybody makes, by the checks that catch them.
var classics = map[string][]string{
	"no key is asked for":     {"auth-missing"},
	"no limit":                {"limit-missing"},
	"no redirect to https":    {"http-plain"},
	"TLS 1.0":                 {"tls-versions"},
	"public documentation":    {"docs-public"},
	"no central log":          {"log-local", "log-off"},
	"a key in the URL":        {"auth-key-in-url"},
	"bodies of any size pass": {"body-unlimited"},
}

// elsewhere is what a gateway's configuration does not say.
var elsewhere = map[string]string{
	"apisix TLS 1.0":                         "in config.yaml, which is not read",
	"kong TLS 1.0":                           "in kong.conf, which is not read",
	"caddy TLS 1.0":                          "Caddy has none",
	"aws-apigateway TLS 1.0":                 "in the domain, which is not exported",
	"aws-apigateway no limit":                "in stages and usage plans, which are not exported",
	"aws-apigateway no central log":          "in stages, which are not exported",
	"aws-apigateway bodies of any size pass": "AWS bounds them at 10 MB",
	"krakend bodies of any size pass":        "its bounds are not part of the file in the community's edition",
}

// TestClassicMistakes: each of them is in the corpus, and caught, for every gateway whose
// configuration can show it.
func TestClassicMistakes(t *testing.T) {
	caught := map[string]map[string]bool{}
	for _, s := range corpus(t, "*") {
		if caught[s.gateway] == nil {
			caught[s.gateway] = map[string]bool{}
		}
		for _, f := range s.audit(t).Findings {
			caught[s.gateway][f.Check.ID] = true
		}
	}
	for _, r := range audit.Readers() {
		for mistake, checks := range classics {
			is := slices.ContainsFunc(checks, func(c string) bool { return caught[r.Name][c] })
			why := elsewhere[r.Name+" "+mistake]
			if is == (why != "") {
				t.Errorf("%s, %s: caught is %v, and it %q", r.Name, mistake, is, why)
			}
		}
	}
}

// TestMended: where a patch is proposed, it mends: the finding is gone when all
// patches are applied, and no other has come.
func TestMended(t *testing.T) {
	for _, s := range corpus(t, "*") {
		t.Run(s.gateway+"/"+s.name, func(t *testing.T) {
			before := s.audit(t)
			apply(t, before.Edits())
			after := s.audit(t)
			had := map[string]bool{}
			for _, f := range before.Findings {
				had[f.Check.ID] = true
			}
			for _, f := range after.Findings {
				if !had[f.Check.ID] {
					t.Errorf("the patch made a finding: %s at %s:%d, %s", f.Check.ID, f.At.Name(), f.At.Line(), f.Saw)
				}
				if len(f.Mend) > 0 {
					t.Errorf("the patch did not mend %s at %s:%d, %s, %s", f.Check.ID, f.At.Name(), f.At.Line(), f.Subject, f.Saw)
				}
			}
		})
	}
}

// apply makes edits in the files.
func apply(t testing.TB, edits []doc.Edit) {
	t.Helper()
	files, by := doc.Group(edits)
	for _, f := range files {
		writeFile(t, f.Name, f.Apply(by[f]))
	}
}
