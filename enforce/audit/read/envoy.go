package read

import (
	"errors"
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

func init() {
	audit.RegisterReader(audit.Reader{Name: "envoy", Doc: "a static bootstrap of Envoy, YAML or JSON; what comes over xDS is not seen", Knows: knowsEnvoy, Read: readEnvoy})
}

func knowsEnvoy(f *doc.File) int {
	text := string(f.Text)
	if strings.Contains(text, "static_resources") && strings.Contains(text, "listeners") || strings.Contains(text, "envoy.extensions.filters") {
		return 90
	}
	return 0
}

// envoyReader reads one bootstrap.
type envoyReader struct {
	c        *audit.Config
	clusters map[string]*doc.Node
}

func readEnvoy(c *audit.Config, files []*doc.File, _ audit.Options) error {
	e := &envoyReader{c: c, clusters: map[string]*doc.Node{}}
	found := 0
	for _, f := range files {
		root, err := doc.Parse(f)
		if err != nil {
			return err
		}
		for _, cl := range root.Get("static_resources", "clusters").List() {
			e.clusters[cl.Get("name").Text()] = cl
		}
		e.admin(root)
		for _, l := range root.Get("static_resources", "listeners").List() {
			found++
			e.listener(l)
		}
		if root.Get("dynamic_resources").Has() {
			c.Blinded("%s takes listeners or clusters over xDS, which are not seen here", f.Name)
		}
	}
	if found == 0 {
		return errors.New("there is no listener under static_resources in it")
	}
	return nil
}

// admin judges the administration interface.
func (e *envoyReader) admin(root *doc.Node) {
	a := root.Get("admin", "address", "socket_address")
	if !a.Has() {
		return
	}
	host := a.Get("address")
	e.c.Say("admin-open", "admin", either(audit.LocalAddress(host.Text()), a.Where(), a.Set("address", "127.0.0.1"),
		"it is reached from the machine itself only", "the administration interface listens on "+capped(host.Text())))
}

// kindOf is the last part of a type URL.
func kindOf(n *doc.Node) string {
	t := n.Get("typed_config", "@type").Text()
	if t == "" {
		t = n.Get("@type").Text()
	}
	return t[strings.LastIndexByte(t, '.')+1:]
}

// listener judges one listener with its filter chains.
func (e *envoyReader) listener(l *doc.Node) {
	a := l.Get("address", "socket_address")
	host := a.Get("address").Text()
	name := strings.TrimSpace(fmt.Sprintf("%s %s:%s", l.Get("name").Text(), host, a.Get("port_value").Text()))
	d := &audit.Door{Name: name, At: l.Where(), Local: audit.LocalAddress(host) || l.Get("address", "pipe").Has()}
	if a.Has() {
		d.At = a.Where()
	}
	var redirect audit.Fact
	http := false
	for _, chain := range l.Get("filter_chains").List() {
		tls := chain.Get("transport_socket", "typed_config")
		if quic := tls.Get("downstream_tls_context"); quic.Has() {
			tls = quic
		}
		certs := tls.Get("require_client_certificate")
		if tls.Has() {
			d.TLS = true
			e.tls(d, tls)
		}
		for _, f := range chain.Get("filters").List() {
			if kindOf(f) != "HttpConnectionManager" {
				continue
			}
			http = true
			h := &envoyHTTP{e: e, hcm: f.Get("typed_config"), name: name, local: d.Local, secure: tls.Has(), certs: certs}
			h.judge()
			if !tls.Has() {
				redirect = h.redirects(d.At)
			}
		}
	}
	if !d.TLS {
		d.Redirect = redirect
	}
	if http {
		e.c.Doors = append(e.c.Doors, d)
	} else {
		e.c.Blinded("listener %s passes bytes on: what is in them is not judged here", name)
	}
}

// tls judges a downstream TLS context. Envoy takes TLS 1.2 and 1.3 by default, and
// suites with forward secrecy only.
func (e *envoyReader) tls(d *audit.Door, tls *doc.Node) {
	params := tls.Get("common_tls_context", "tls_params")
	d.Versions = good(tls.Where(), "TLS 1.2 is the least by default")
	for _, key := range []string{"tls_minimum_protocol_version", "tls_maximum_protocol_version"} {
		if v := params.Get(key); v.Has() && v.Text() != "TLS_AUTO" {
			d.Versions = either(!weakVersion(v.Text()), v.Where(), params.Set(key, map[string]string{"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}[key]),
				v.Text()+" is the bound", v.Text()+" is accepted")
			if d.Versions.State == audit.Bad {
				break
			}
		}
	}
	d.Ciphers = good(tls.Where(), "only strong suites, by default")
	if suites := params.Get("cipher_suites"); suites.Has() {
		var list []string
		for _, s := range suites.Texts() {
			list = append(list, strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune("[]|:", r) })...)
		}
		weak := weakSuites(list)
		d.Ciphers = either(len(weak) == 0, suites.Where(), nil, "only strong suites", "it takes "+strings.Join(weak, ", "))
	}
	for _, c := range tls.Get("common_tls_context", "tls_certificates").List() {
		if file := c.Get("certificate_chain", "filename"); file.Has() {
			d.Certs = append(d.Certs, audit.Cert{Path: file.Text(), At: file.Where(), Stapling: c.Get("ocsp_staple").Has()})
		}
	}
}

// upstream judges TLS to a cluster.
func (e *envoyReader) upstream(cluster string) audit.Fact {
	tls := e.clusters[cluster].Get("transport_socket", "typed_config")
	if !tls.Has() || kindOf(tls) != "UpstreamTlsContext" {
		return audit.Fact{}
	}
	common := tls.Get("common_tls_context")
	for _, key := range []string{"validation_context", "combined_validation_context", "validation_context_sds_secret_config"} {
		if v := common.Get(key); v.Has() {
			return either(v.Get("trust_chain_verification").Text() != "ACCEPT_UNTRUSTED", v.Where(), nil, "the service's certificate is verified", "untrusted certificates are accepted")
		}
	}
	return bad(tls.Where(), nil, "without a validation_context any certificate is taken")
}
