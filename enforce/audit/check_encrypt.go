package audit

func init() {
	RegisterCheck(Check{ID: "http-plain", Practice: Encryption, Severity: High,
		Title: "requests are answered over plain HTTP",
		Fix:   "redirect all of them to https with 301 or 308, but for the ACME challenge",
		Refs:  []Ref{api8, mozilla, rfc("9325", "3.2", "Strict TLS")}, Judge: judgePlain})
	RegisterCheck(Check{ID: "tls-versions", Practice: Encryption, Severity: High,
		Title: "TLS 1.0, TLS 1.1 or SSL is accepted",
		Fix:   "accept TLS 1.2 and 1.3 only",
		Refs:  []Ref{rfc("8996", "", "Deprecating TLS 1.0 and TLS 1.1"), mozilla}, Judge: onDoors(func(d *Door) Fact { return d.Versions })})
	RegisterCheck(Check{ID: "tls-ciphers", Practice: Encryption, Severity: Medium,
		Title: "weak cipher suites, or ones without forward secrecy, are accepted",
		Fix:   "accept the suites of Mozilla's intermediate configuration only",
		Refs:  []Ref{mozilla, rfc("9325", "4.1", "General Guidelines")}, Judge: onDoors(func(d *Door) Fact { return d.Ciphers })})
	RegisterCheck(Check{ID: "hsts-missing", Practice: Encryption, Severity: Medium,
		Title: "answers over TLS come without Strict-Transport-Security, or with less than half a year",
		Fix:   "send Strict-Transport-Security: max-age=63072000 with every answer over TLS",
		Refs:  []Ref{rfc("6797", "7.1", "HTTP-over-Secure-Transport Request Type"), mozilla}, Judge: judgeHSTS})
	RegisterCheck(Check{ID: "upstream-unverified", Practice: Encryption, Severity: Medium,
		Title: "the service's certificate is not verified",
		Fix:   "verify it against a CA file, with the name that is expected",
		Refs:  []Ref{api10, rfc("9325", "3.2", "Strict TLS")}, Judge: onOutside(func(r *Route) Fact { return r.Upstream }, "upstream-unverified")})
	RegisterCheck(Check{ID: "cert-expired", Practice: Encryption, Severity: Critical,
		Title: "a certificate is not valid today, or for less than 21 days more",
		Fix:   "renew it, by ACME so that nobody has to remember",
		Refs:  []Ref{mozilla, rfc("5280", "4.1.2.5", "Validity")}, Judge: judgeExpiry})
	RegisterCheck(Check{ID: "cert-weak", Practice: Encryption, Severity: High,
		Title: "a certificate has a short key or is signed with SHA-1 or MD5",
		Fix:   "use ECDSA P-256, or RSA with 2048 bits or more, signed with SHA-256",
		Refs:  []Ref{rfc("9325", "4.5", "Public Key Length"), mozilla}, Judge: judgeKey})
	RegisterCheck(Check{ID: "cert-stapling", Practice: Encryption, Severity: Low,
		Title: "a certificate names an OCSP responder, but its answer is not stapled",
		Fix:   "staple it: otherwise clients ask the responder, or do not ask at all",
		Refs:  []Ref{rfc("6066", "8", "Certificate Status Request"), mozilla}, Judge: judgeStapling})
}

func judgePlain(c *Config) {
	for _, d := range c.Doors {
		if d.TLS {
			c.Judged(d.Name, Fact{State: Good, At: d.At, Saw: "TLS"})
		} else if !d.Local {
			c.Judged(d.Name, d.Redirect)
		}
	}
}

// onDoors judges a fact of every door with TLS.
func onDoors(fact func(*Door) Fact) func(*Config) {
	return func(c *Config) {
		for _, d := range c.Doors {
			if d.TLS {
				c.Judged(d.Name, fact(d))
			}
		}
	}
}

func judgeHSTS(c *Config) {
	for _, r := range c.Routes {
		if !r.Secure || r.Local {
			continue
		}
		f := r.HSTS
		if f.State == Bad && len(f.Mend) == 0 {
			f.Mend = r.mend("hsts-missing")
		}
		c.Judged(r.Name, f)
	}
}
