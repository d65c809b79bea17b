package read

import (
	"net"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// envoyNames are how routes name the filters that they set or switch off; the names
// are those that Envoy's documentation uses.
var envoyNames = map[string]string{"ExtAuthz": "ext_authz", "LocalRateLimit": "local_ratelimit", "RateLimit": "ratelimit", "JwtAuthentication": "jwt_authn", "Buffer": "buffer",
	"BasicAuth": "basic_auth", "ApiKeyAuth": "api_key_auth", "RBAC": "rbac", "Cors": "cors", "OAuth2": "oauth2"}

// override is what a route, or its host, says about a filter.
func override(vh, r *doc.Node, filter string) *doc.Node {
	for _, n := range []*doc.Node{r, vh} {
		for _, item := range n.Get("typed_per_filter_config").List() {
			if strings.HasSuffix(item.Key, "."+envoyNames[filter]) || strings.HasPrefix(kindOf(item), filter) {
				return item
			}
		}
	}
	return nil
}

// filterAt is the first HTTP filter of a kind that is on at a route. Routes and hosts name
// a filter as the list does, and can switch on one that is off there.
func (h *envoyHTTP) filterAt(vh, r *doc.Node, kind string) *doc.Node {
	for _, f := range h.hcm.Get("http_filters").List() {
		if kindOf(f) != kind {
			continue
		}
		off, said := f.Get("disabled").True(), override(vh, r, kind)
		for _, n := range []*doc.Node{vh, r} {
			for _, item := range n.Get("typed_per_filter_config").List() {
				if item.Key == f.Get("name").Text() {
					said = item
				}
			}
		}
		if said.Has() {
			off = said.Get("disabled").True()
		}
		if !off {
			return f.Get("typed_config")
		}
	}
	return nil
}

// asks is the decision service of an ext_authz filter: the first address of its cluster,
// or the URL that it is asked at.
func (h *envoyHTTP) asks(f *doc.Node) audit.Asked {
	if uri := f.Get("http_service", "server_uri", "uri"); uri.Has() {
		return askedAt(f.Where(), uri.Text())
	}
	a := audit.Asked{At: f.Where()}
	name := f.Get("grpc_service", "envoy_grpc", "cluster_name").Text()
	a.Portcullis = strings.Contains(name, "portcullis")
	for _, locality := range h.e.clusters[name].Get("load_assignment", "endpoints").List() {
		for _, e := range locality.Get("lb_endpoints").List() {
			s := e.Get("endpoint", "address", "socket_address")
			a.Address = net.JoinHostPort(s.Get("address").Text(), s.Get("port_value").Text())
			return a
		}
	}
	return a
}

// auth judges the filters that ask for credentials.
func (h *envoyHTTP) auth(vh, r *doc.Node, path string, out *audit.Route) {
	out.Auth = bad(out.At, nil, "no credentials are asked for")
	out.Inspects = bad(out.At, nil, "nothing looks at the request before it is forwarded")
	if h.certs.True() {
		out.Auth = good(h.certs.Where(), "a client certificate is asked for")
	}
	for _, kind := range []string{"BasicAuth", "OAuth2", "ApiKeyAuth", "RBAC"} {
		if f := h.filterAt(vh, r, kind); f.Has() {
			out.Auth = good(f.Where(), "%s asks for credentials", kind)
			for _, s := range f.Get("key_sources").List() {
				if s.Get("query").Has() {
					out.KeyInURL = bad(s.Where(), nil, "the key is read from the parameter %s", capped(s.Get("query").Text()))
				}
			}
		}
	}
	if f := h.filterAt(vh, r, "JwtAuthentication"); f.Has() {
		h.jwt(f, path, out)
	}
	if f := h.filterAt(vh, r, "ExtAuthz"); f.Has() {
		if out.Auth.State != audit.Good || out.Optional {
			out.Auth, out.Optional = good(f.Where(), "a decision service is asked"), false
		}
		out.Asks = h.asks(f)
		out.Inspects = good(f.Where(), "a decision service looks at method, target and headers")
		if open := f.Get("failure_mode_allow"); open.True() {
			h.e.c.Blinded("%s lets requests through while its decision service does not answer (failure_mode_allow)", h.name)
		}
	}
	for _, kind := range []string{"Lua", "Wasm", "ExternalProcessor", "Config"} {
		if f := h.filter(kind); f.Has() {
			if out.Auth.State == audit.Bad {
				out.Auth = audit.Fact{}
			}
			if out.Inspects.State == audit.Bad {
				out.Inspects = audit.Fact{}
			}
		}
	}
	if out.Auth.State == audit.Good && out.KeyInURL.State == audit.Untold {
		out.KeyInURL = good(out.Auth.At, "no key is read from the query")
	}
}

// jwt judges the first rule of jwt_authn that matches.
func (h *envoyHTTP) jwt(f *doc.Node, path string, out *audit.Route) {
	for _, p := range f.Get("providers").List() {
		if params := p.Get("from_params"); params.Has() {
			out.KeyInURL = bad(params.Where(), nil, "the token is read from the parameter %s", capped(strings.Join(params.Texts(), ", ")))
		}
	}
	for _, rule := range f.Get("rules").List() {
		m := rule.Get("match")
		if p := m.Get("prefix"); p.Has() && !strings.HasPrefix(path, p.Text()) {
			continue
		}
		if p := m.Get("path"); p.Has() && path != p.Text() {
			continue
		}
		requires := rule.Get("requires")
		if !requires.Has() {
			return // the rule leaves the path out
		}
		if out.Auth.State != audit.Good {
			out.Auth = good(rule.Where(), "a token is asked for")
			out.Optional = strings.Contains(keysOf(requires), "allow_missing")
		}
		return
	}
}
