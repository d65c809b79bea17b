package format

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// apigwCLFs are the common log formats that the consoles of API Gateway and its
// documentation offer, for REST and for HTTP APIs, old and new. A line fits one.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-access-logging.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
var apigwCLFs = []string{
	apigwHead + `] "` + apigwTail + ` $context.extendedRequestId`,
	apigwHead + `]"` + apigwTail + ` $context.extendedRequestId`,
	apigwHead + `] "` + apigwTail,
	apigwHead + `]"` + apigwTail,
	apigwHead + `] "` + apigwTail + ` $context.integrationErrorMessage`,
}

const (
	apigwHead = `$context.identity.sourceIp $context.identity.caller $context.identity.user [$context.requestTime`
	apigwTail = `$context.httpMethod $context.resourcePath $context.protocol" $context.status $context.responseLength $context.requestId`
)

func init() {
	plans := make([]*barePlan, len(apigwCLFs))
	for i, s := range apigwCLFs {
		pieces, err := apigwPieces(s)
		plans[i] = mustBare(pieces, err, apigwDialect)
	}
	Register("aws-apigw-clf", Spec{
		Doc:     "Amazon API Gateway's access log in the common log format of its console, for REST and HTTP APIs",
		Example: `203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /orders/{id} HTTP/1.1" 200 512 c6af9ac6-7b61-11e6-9a41-93e8deadbeef JKJaXmPLvHcESHA=`,
		Compile: noArgument(Format{
			New: func() ingest.Parser { return newApigwCLF(plans) }, Origins: originsIn(plans[0].Origins()),
			Warnings: []string{"the common log format has the route's template and no user agent, so probes for paths that do not exist look alike: " +
				"log $context.path and $context.identity.userAgent as well and write aws-apigw-text:STRING, or log JSON"},
		}),
	})
	Register("aws-apigw-text", Spec{
		Doc:     "Amazon API Gateway's access log in any format string of $context variables that is not JSON",
		Example: `aws-apigw-text:$context.identity.sourceIp [$context.requestTime] "$context.httpMethod $context.path $context.protocol" $context.status $context.responseLength $context.requestId "$context.identity.userAgent"`,
		Compile: func(arg string) (Format, error) {
			pieces, err := apigwPieces(strings.TrimSpace(arg))
			if err != nil {
				return Format{}, err
			}
			p, err := compileBare(pieces, apigwDialect)
			if err != nil {
				return Format{}, err
			}
			return planFormat(p), nil
		},
	})
}

// apigwDialect writes values as they are: no documentation says that any is escaped.
var apigwDialect = text.Dialect{
	Nil:      "-",
	Advice:   "put what the client sends at the end, or log JSON",
	PeerHint: "$context.identity.sourceIp", TimeHint: "$context.requestTime or $context.requestTimeEpoch",
	StatusHint: "$context.status", TargetHint: "$context.path nor $context.resourcePath",
}

// apigwPieces cuts a format string into literals and $context variables.
func apigwPieces(s string) ([]text.Piece, error) {
	const mark = "$context."
	switch {
	case s == "":
		return nil, fmt.Errorf("no format string: write aws-apigw-text:$context.identity.sourceIp ..., as the stage has it")
	case strings.ContainsAny(s, "\r\n"):
		return nil, fmt.Errorf("at byte %d: a line end within the format; this reads one request per line", strings.IndexAny(s, "\r\n"))
	}
	var out []text.Piece
	for i := 0; i < len(s); {
		k := strings.IndexByte(s[i:], '$')
		if k < 0 {
			k = len(s) - i
		}
		if k > 0 {
			out = append(out, text.Piece{Text: s[i : i+k], Pos: i})
			i += k
			continue
		}
		end := i + len(mark)
		if !strings.HasPrefix(s[i:], mark) {
			return nil, fmt.Errorf("at byte %d: %q is no variable of an access log, which begin with $context", i, field.Capped(s[i:]))
		}
		for end < len(s) && (field.IsName(s[end]) || s[end] == '.' || s[end] == '-') {
			end++
		}
		end = i + len(strings.TrimRight(s[i:end], ".-"))
		v := apigwVariable(s[min(i+len(mark), end):end])
		out = append(out, text.Piece{Text: s[i:end], Pos: i, Variable: &v})
		i = end
	}
	return out, nil
}

// apigwVariable says what a variable writes. What is not known is taken for something
// that a client can choose.
func apigwVariable(name string) text.Variable {
	if v, ok := apigwVariables[name]; ok {
		return v
	}
	switch {
	case name == "authorizer.claims.sub", name == "authorizer.sub":
		return text.Variable{Field: field.User}
	case strings.HasSuffix(strings.ToLower(name), "latency"):
		return text.Variable{Kind: text.Int}
	}
	return text.Variable{}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
var apigwVariables = map[string]text.Variable{
	"identity.sourceIp":             {Field: field.Peer, Kind: text.Addr},
	"requestTime":                   {Field: field.TimeLocal, Kind: text.Local},
	"requestTimeEpoch":              {Field: field.Msec, Kind: text.Custom, Read: epochMillis, Set: &digits},
	"httpMethod":                    {Field: field.Method, Kind: text.Token},
	"path":                          {Field: field.RequestURI},
	"resourcePath":                  {Field: field.URI},
	"routeKey":                      {},
	"protocol":                      {Field: field.Protocol, Kind: text.Token},
	"status":                        {Field: field.StatusCode, Kind: text.Status},
	"responseLength":                {Field: field.BytesBody, Kind: text.Int},
	"responseLatency":               {Field: field.Duration, Kind: text.Int, Unit: 1e6},
	"integration.latency":           {Field: field.UpstreamTime, Kind: text.Int, Unit: 1e6},
	"integrationLatency":            {Field: field.UpstreamTime, Kind: text.Int, Unit: 1e6},
	"integration.status":            {Kind: text.Token},
	"integrationStatus":             {Kind: text.Token},
	"domainName":                    {Field: field.Host, Kind: text.Token},
	"requestId":                     {Field: field.RequestID, Kind: text.Token},
	"extendedRequestId":             {Field: field.RequestID, Kind: text.Token},
	"awsEndpointRequestId":          {Kind: text.Token},
	"xrayTraceId":                   {Kind: text.Token},
	"identity.userAgent":            {Field: field.Agent},
	"identity.apiKey":               {Field: field.Key},
	"identity.apiKeyId":             {Field: field.Consumer, Kind: text.Token},
	"identity.caller":               {Field: field.Consumer, Kind: text.Token},
	"identity.user":                 {Field: field.User, Kind: text.Token},
	"identity.accountId":            {Kind: text.Token},
	"identity.principalOrgId":       {Kind: text.Token},
	"identity.clientCert.subjectDN": {Field: field.Subject},
	"authorizer.principalId":        {Field: field.Consumer},
	"accountId":                     {Kind: text.Token},
	"apiId":                         {Kind: text.Token},
	"resourceId":                    {Kind: text.Token},
	"stage":                         {Kind: text.Token},
	"wafResponseCode":               {Kind: text.Token},
	"tlsVersion":                    {Field: field.TLS, Kind: text.Token},
	"cipherSuite":                   {Field: field.Cipher, Kind: text.Token},
}

// epochMillis reads milliseconds since 1970.
func epochMillis(_ *field.Clock, b []byte, i int) (int64, int) {
	n, end := field.Integer(b, i)
	if end == i || n < 1e11 || n > 9e12 {
		return 0, -1
	}
	return n * 1e6, end
}

// apigwCLF reads the common log formats; a log keeps to one.
type apigwCLF struct {
	parsers []ingest.Parser
	last    int
}

func newApigwCLF(plans []*barePlan) ingest.Parser {
	p := &apigwCLF{}
	for _, plan := range plans {
		p.parsers = append(p.parsers, plan.New())
	}
	return p
}

// Reset implements ingest.Parser.
func (p *apigwCLF) Reset() {
	for _, q := range p.parsers {
		q.Reset()
	}
}

// Parse implements ingest.Parser.
func (p *apigwCLF) Parse(line []byte, ev *ingest.Event) ingest.Reason {
	first := p.parsers[p.last].Parse(line, ev)
	for k := 0; first != ingest.OK && first != ingest.HasNUL && k < len(p.parsers); k++ {
		*ev = ingest.Event{}
		if k == p.last || p.parsers[k].Parse(line, ev) != ingest.OK {
			continue
		}
		first = ingest.OK
		if k < len(p.parsers)-1 { // the last one also takes lines of the others, and is less sure of them
			p.last = k
		}
	}
	if first != ingest.OK {
		return first
	}
	// An HTTP API has its route's key there: "GET /orders/{id}", or $default.
	switch rest, ok := strings.CutPrefix(ev.Target, ev.Method+" "); {
	case ok && strings.HasPrefix(rest, "/"):
		ev.Target = rest
	case ev.Target == "$default":
		ev.Target = ""
	}
	return ingest.OK
}
