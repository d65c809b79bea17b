package console

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
)

// Config is the "console" section of the config file.
type Config struct {
	Listen       string   `yaml:"listen" default:"127.0.0.1:8470" doc:"Address and port to serve on; anything but a loopback address needs a login (token_file, oidc or keys_file) and TLS."`
	TokenFile    string   `yaml:"token_file" doc:"File holding the access token, at least 20 bytes (openssl rand -hex 32 makes one); who has it is an admin. Without it, oidc and keys_file there is no login, which only a loopback address may do."`
	TLSCert      string   `yaml:"tls_cert" doc:"PEM certificate chain; read again when the file changes."`
	TLSKey       string   `yaml:"tls_key" doc:"PEM private key of tls_cert."`
	InsecureHTTP bool     `yaml:"insecure_http" doc:"Serve a non-loopback address without TLS, because something in front terminates it; the token then crosses that network in clear."`
	KeysFile     string   `yaml:"keys_file" doc:"File of the API keys, which \"portcullis keys api\" writes; by default console.keys in the state folder. On a non-loopback address keys alone do for a login only where this is set."`
	NoLogin      bool     `yaml:"no_login" doc:"Let anybody who reaches a non-loopback address look, without login; what changes something still needs a token, a key or OIDC."`
	Hosts        []string `yaml:"hosts" doc:"Host names under which browsers reach the console, without port; loopback names and the address itself are always known."`
	OIDC         OIDC     `yaml:"oidc" doc:"login by an identity provider (OpenID Connect): authorization code with PKCE"`

	Documents []Published `yaml:"documents" doc:"OpenAPI documents of the API behind the gateway, shown to those who are let in"`
}

// minToken makes guessing hopeless even against many addresses at once: 20 bytes
// of hex are 80 bits.
const minToken = 20

// maxToken bounds what is read of a token file, in bytes.
const maxToken = 4096

// Check implements the loader's validation; it reads no file.
func (c Config) Check(report func(key, message string)) {
	host, _, err := net.SplitHostPort(c.listen())
	if err != nil {
		report("listen", "must be address:port, such as 127.0.0.1:8470")
		return
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		report("tls_key", "tls_cert and tls_key are given together or not at all")
	}
	for _, h := range c.Hosts {
		if h == "" || strings.ContainsAny(h, "/: ") {
			report("hosts", fmt.Sprintf("%q: must be a bare host name, without scheme, port or path", h))
		}
	}
	c.OIDC.check(report)
	c.checkDocuments(report)
	if loopback(host) {
		return
	}
	if !c.Login() && !c.NoLogin {
		report("token_file", fmt.Sprintf("needed because listen %q is not a loopback address: make one with `openssl rand -hex 32 > FILE`, set oidc or keys_file, or listen on 127.0.0.1", c.listen()))
	}
	if c.TLSCert == "" && !c.InsecureHTTP {
		report("tls_cert", fmt.Sprintf("needed because listen %q is not a loopback address: set tls_cert and tls_key, or insecure_http: true behind something that terminates TLS", c.listen()))
	}
}

// Login reports whether something here lets people in, so that others stay out.
func (c Config) Login() bool { return c.TokenFile != "" || c.KeysFile != "" || c.OIDC.on() }

// Usable is Check, and reads the token and the certificate: what New would refuse.
func (c Config) Usable() error {
	if err := c.check(); err != nil {
		return err
	}
	if _, _, err := c.readToken(); err != nil {
		return err
	}
	if _, err := c.OIDC.secret(); err != nil {
		return err
	}
	if err := c.readable(); err != nil {
		return err
	}
	if c.KeysFile != "" {
		if _, err := ReadKeys(c.KeysFile); err != nil {
			return err
		}
	}
	if c.TLSCert == "" {
		return nil
	}
	_, err := tlsConfig(c.TLSCert, c.TLSKey)
	return err
}

// check is Check as one error.
func (c Config) check() error {
	var found []string
	c.Check(func(key, message string) { found = append(found, key+": "+message) })
	if len(found) > 0 {
		return fmt.Errorf("console: %s", strings.Join(found, "; "))
	}
	return nil
}

func (c Config) listen() string {
	if c.Listen == "" {
		return "127.0.0.1:8470"
	}
	return c.Listen
}

// loopback reports whether only this machine can reach host. A name other than
// localhost is not trusted to resolve to a loopback address.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// readToken reads the access token. openToAll says that other users of the
// machine can read the file too.
func (c Config) readToken() (token []byte, openToAll bool, err error) {
	if c.TokenFile == "" {
		return nil, false, nil
	}
	info, err := os.Stat(c.TokenFile)
	if err != nil {
		return nil, false, fmt.Errorf("console: token_file: %w", err)
	}
	if info.Size() > maxToken {
		return nil, false, fmt.Errorf("console: token_file: %q holds %d bytes, a token has at most %d: is it the right file?", c.TokenFile, info.Size(), maxToken)
	}
	data, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return nil, false, fmt.Errorf("console: token_file: %w", err)
	}
	token = bytes.TrimSpace(data)
	if len(token) < minToken {
		return nil, false, fmt.Errorf("console: token_file: %q holds %d bytes, a token needs at least %d: make one with `openssl rand -hex 32`", c.TokenFile, len(token), minToken)
	}
	return token, info.Mode().Perm()&0o004 != 0, nil
}
