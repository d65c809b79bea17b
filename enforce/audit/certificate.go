package audit

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"time"
)

// renewBefore is how long before its end a certificate has to be renewed. Let's
// Encrypt's clients renew with 30 days left, of 90.
const renewBefore = 21 * 24 * time.Hour

// eachCert reads the first certificate of every file that a door names. A file that
// is not here cannot be judged, and is listed.
func (c *Config) eachCert(visit func(d *Door, name Cert, cert *x509.Certificate)) {
	for _, d := range c.Doors {
		for _, name := range d.Certs {
			if strings.Contains(name.Path, "$") {
				continue
			}
			text, err := os.ReadFile(c.options.Path(name.Path))
			if err != nil {
				c.Blinded("certificate %s cannot be read here: its expiry and key are not judged", name.Path)
				continue
			}
			for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
				if block.Type != "CERTIFICATE" {
					continue
				}
				cert, err := x509.ParseCertificate(block.Bytes)
				if err != nil {
					c.Blinded("certificate %s cannot be read: %.120v", name.Path, err)
				} else {
					visit(d, name, cert)
				}
				break
			}
		}
	}
}

func judgeExpiry(c *Config) {
	c.eachCert(func(d *Door, name Cert, cert *x509.Certificate) {
		now, day := c.options.Now, cert.NotAfter.UTC().Format(time.DateOnly)
		if now.IsZero() {
			return
		}
		f := Fact{State: Bad, At: name.At, Saw: "valid until " + day}
		switch {
		case now.After(cert.NotAfter):
			f.Saw = "it expired on " + day
			c.Judged(d.Name, f)
		case now.Before(cert.NotBefore):
			f.Saw = "it is not valid before " + cert.NotBefore.UTC().Format(time.DateOnly)
			c.Judged(d.Name, f)
		case cert.NotAfter.Sub(now) < renewBefore:
			c.Judged(d.Name, f, Medium)
		default:
			f.State = Good
			c.Judged(d.Name, f)
		}
	})
}

func judgeKey(c *Config) {
	c.eachCert(func(d *Door, name Cert, cert *x509.Certificate) {
		f := Fact{State: Good, At: name.At}
		switch key := cert.PublicKey.(type) {
		case *rsa.PublicKey:
			f.Saw = fmt.Sprintf("an RSA key of %d bits", key.N.BitLen())
			if key.N.BitLen() < 2048 {
				f.State = Bad
			}
		case *ecdsa.PublicKey:
			f.Saw = fmt.Sprintf("an ECDSA key of %d bits", key.Params().BitSize)
			if key.Params().BitSize < 224 {
				f.State = Bad
			}
		default:
			f.Saw = "a key of type " + cert.PublicKeyAlgorithm.String()
		}
		switch cert.SignatureAlgorithm {
		case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
			f.State, f.Saw = Bad, f.Saw+", signed with "+cert.SignatureAlgorithm.String()
		}
		c.Judged(d.Name, f)
	})
}

func judgeStapling(c *Config) {
	c.eachCert(func(d *Door, name Cert, cert *x509.Certificate) {
		if len(cert.OCSPServer) == 0 {
			return // since 2025 many authorities have none, and nothing is to be stapled
		}
		f := Fact{State: Good, At: name.At, Saw: "OCSP answers are stapled"}
		if !name.Stapling {
			f.State, f.Saw = Bad, fmt.Sprintf("it names the responder %.100q, and nothing is stapled", cert.OCSPServer[0])
		}
		c.Judged(d.Name, f)
	})
}
