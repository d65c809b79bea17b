package audit

// What a log shows. Only evidence of traffic says these.
func init() {
	RegisterCheck(Check{ID: "seen-unauthenticated", Practice: Authentication, Severity: High,
		Title: "a route answers some requests without credentials, and asks others for them",
		Fix:   "find the way past the gateway's check: another method, spelling of the path, host or listener",
		Refs:  []Ref{api2, api5}})
	RegisterCheck(Check{ID: "seen-public", Practice: Authentication, Severity: Info,
		Title: "a route answers everybody",
		Fix:   "see whether it is meant to be public",
		Refs:  []Ref{api2, api9}})
	RegisterCheck(Check{ID: "seen-key-in-url", Practice: Authentication, Severity: High,
		Title: "clients send keys or tokens in URLs",
		Fix:   "refuse them there, ask for a header instead, and rotate what was logged",
		Refs:  []Ref{api2, rfc("6750", "2.3", "URI Query Parameter")}})
	RegisterCheck(Check{ID: "seen-plain", Practice: Encryption, Severity: High,
		Title: "requests are answered over plain HTTP",
		Fix:   "redirect them to https, and close the port where nobody needs it",
		Refs:  []Ref{mozilla, rfc("9325", "3.2", "Strict TLS")}})
	RegisterCheck(Check{ID: "seen-old-tls", Practice: Encryption, Severity: High,
		Title: "connections over TLS older than 1.2 are accepted",
		Fix:   "accept TLS 1.2 and 1.3 only, after telling those who still need more",
		Refs:  []Ref{rfc("8996", "", "Deprecating TLS 1.0 and TLS 1.1"), mozilla}})
	RegisterCheck(Check{ID: "seen-docs", Practice: Exposure, Severity: Medium,
		Title: "the API's documentation is served to anybody",
		Fix:   "put it behind a login",
		Refs:  []Ref{api9}})
}
