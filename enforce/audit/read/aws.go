package read

import (
	"errors"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

func init() {
	audit.RegisterReader(audit.Reader{Name: "aws-apigateway", Doc: "the OpenAPI export of an AWS API Gateway, with its extensions; stages, usage plans and domains are not part of it", Knows: knowsAWS, Read: readAWS})
}

func knowsAWS(f *doc.File) int {
	if strings.Contains(string(f.Text), "x-amazon-apigateway-") {
		return 93
	}
	return 0
}

// awsReader reads one export.
type awsReader struct {
	c    *audit.Config
	root *doc.Node
}

func readAWS(c *audit.Config, files []*doc.File, _ audit.Options) error {
	for _, f := range files {
		root, err := doc.Parse(f)
		if err != nil {
			return err
		}
		a := &awsReader{c, root}
		paths := root.Get("paths").List()
		if len(paths) == 0 {
			return errors.New("there are no paths in it")
		}
		for _, p := range paths {
			for _, m := range p.List() {
				a.method(p, m)
			}
		}
		a.cors()
		a.door()
	}
	c.Blinded("throttling, access logs, TLS policies and WAF associations belong to stages and domains, which an export does not hold")
	return nil
}

// door judges the address that AWS gives an API beside its own domain. Both speak TLS
// only.
func (a *awsReader) door() {
	for _, s := range a.root.Get("servers").List() {
		if e := s.Get("x-amazon-apigateway-endpoint-configuration"); e.Has() {
			d := e.Get("disableExecuteApiEndpoint")
			if d.True() {
				continue
			}
		}
		if url := s.Get("url").Text(); strings.HasPrefix(url, "http://") {
			a.c.Say("http-plain", "servers", bad(s.Where(), s.Set("url", "https"+strings.TrimPrefix(url, "http")), "a server is named with http"))
		} else if url != "" {
			a.c.Say("http-plain", "servers", good(s.Where(), "API Gateway speaks TLS only"))
		}
	}
}

// method states what holds for one method of a path.
func (a *awsReader) method(p, m *doc.Node) {
	integration := m.Get("x-amazon-apigateway-integration")
	if m.Kind != doc.Map || strings.HasPrefix(m.Key, "x-") && m.Key != "x-amazon-apigateway-any-method" || m.Key == "parameters" {
		return
	}
	out := &audit.Route{Name: strings.ToUpper(strings.TrimPrefix(m.Key, "x-amazon-apigateway-")) + " " + p.Key, Path: strings.ReplaceAll(p.Key, "{proxy+}", ""), At: m.Where(),
		Forwards: integration.Has() && !strings.EqualFold(integration.Get("type").Text(), "mock")}
	a.auth(m, out)
	out.Methods = either(m.Key != "x-amazon-apigateway-any-method", m.Where(), nil, "methods are named", "any method is forwarded")
	out.MaxBody, out.Body = 10<<20, good(m.Where(), "API Gateway takes 10 MB at most")
	validator := m.Get("x-amazon-apigateway-request-validator")
	if !validator.Has() {
		validator = a.root.Get("x-amazon-apigateway-request-validator")
	}
	var mend []doc.Edit
	for _, v := range a.root.Get("x-amazon-apigateway-request-validators").List() {
		if v.Get("validateRequestBody").True() && v.Get("validateRequestParameters").True() {
			mend = m.Set("x-amazon-apigateway-request-validator", v.Key)
		}
	}
	defined := a.root.Get("x-amazon-apigateway-request-validators", validator.Text())
	checks := defined.Get("validateRequestBody").True() || defined.Get("validateRequestParameters").True()
	out.Inspects = either(checks, m.Where(), mend, "requests are validated", "no request validator is named")
	if a.http() {
		out.Inspects = audit.Fact{} // HTTP APIs have no validators
	}
	if t := integration.Get("tlsConfig", "insecureSkipVerification"); t.True() {
		out.Upstream = bad(t.Where(), integration.Get("tlsConfig").Set("insecureSkipVerification", false), "any certificate of the service is taken")
	} else if strings.HasPrefix(integration.Get("uri").Text(), "https:") {
		out.Upstream = good(integration.Where(), "the service's certificate is verified")
	}
	a.c.Add(out)
}

// http reports whether it is an HTTP API: those have payload format 2.0 or CORS of
// their own.
func (a *awsReader) http() bool {
	return a.root.Get("x-amazon-apigateway-cors").Has() || a.root.Get("x-amazon-apigateway-importexport-version").Has()
}

// auth judges the security of a method, or the document's.
func (a *awsReader) auth(m *doc.Node, out *audit.Route) {
	out.Auth = bad(out.At, nil, "no security requirement holds")
	if p := a.root.Get("x-amazon-apigateway-policy"); p.Has() && strings.Contains(keysOf(p), "aws:SourceIp") {
		out.Auth = good(p.Where(), "a resource policy lets named networks in")
	}
	security := m.Get("security")
	if security == nil {
		security = a.root.Get("security")
	}
	for _, need := range security.List() {
		if need.Kind == doc.Map && len(need.List()) == 0 {
			out.Auth, out.Optional = good(security.Where(), "one of the alternatives asks for nothing"), true
			return
		}
		for _, s := range need.List() {
			scheme := a.root.Get("components", "securitySchemes", s.Key)
			if scheme == nil {
				scheme = a.root.Get("securityDefinitions", s.Key)
			}
			out.Auth = good(s.Where(), "%s is asked for", capped(s.Key))
			if scheme.Get("type").Text() == "apiKey" && scheme.Get("in").Text() == "query" {
				out.KeyInURL = bad(scheme.Where(), scheme.Set("in", "header"), "the key is read from the parameter %s", capped(scheme.Get("name").Text()))
			}
			if id := scheme.Get("x-amazon-apigateway-authorizer", "identitySource"); strings.Contains(id.Text(), "querystring.") {
				out.KeyInURL = bad(id.Where(), nil, "the token is read from %s", capped(id.Text()))
			}
		}
	}
	if own := m.Get("x-amazon-apigateway-auth", "type"); own.Has() {
		out.Auth = either(!strings.EqualFold(own.Text(), "NONE"), own.Where(), nil, own.Text()+" is asked for", "x-amazon-apigateway-auth is NONE")
	}
	if out.Auth.State == audit.Good && out.KeyInURL.State == audit.Untold {
		out.KeyInURL = good(out.Auth.At, "no key is read from the query")
	}
}

// cors judges the CORS settings of an HTTP API.
func (a *awsReader) cors() {
	c := a.root.Get("x-amazon-apigateway-cors")
	if !c.Has() {
		return
	}
	open := false
	for _, o := range c.Get("allowOrigins").Texts() {
		open = open || o == "*" || o == "https://*" || o == "http://*"
	}
	a.c.Say("cors-credentials", "x-amazon-apigateway-cors", either(!open || !c.Get("allowCredentials").True(), c.Where(), c.Set("allowCredentials", false), "credentials are for named origins", "credentials are allowed for any origin"))
}
