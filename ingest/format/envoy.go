package format

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// envoyDefault is Envoy's default text format, as its documentation has it:
// https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
const envoyDefault = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"`

// vouched is the argument by which an operator says that Envoy appends the peer to
// X-Forwarded-For (use_remote_address: true), so that its last element is the peer. For
// a peer on the loopback Envoy appends an address of its own machine.
const vouched = "use_remote_address"

func init() {
	Register("envoy", Spec{
		Doc:     "Envoy's text access log: a format string of its command operators, or the default one; envoy:use_remote_address where Envoy appends the peer to X-Forwarded-For",
		Example: `envoy:[%START_TIME%] "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%" %RESPONSE_CODE% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%"`,
		Compile: compileEnvoy,
		Score:   envoyScore,
	})
}

// envoyDialect writes every value as it is: a client can put quotes into a header,
// and only what cannot be moved is taken then.
var envoyDialect = text.Dialect{
	Nil: "-", Peerless: true, Other: isEnvoyLog,
	Advice:   "log JSON (json_format), which escapes",
	PeerHint: "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", TimeHint: "%START_TIME%",
	StatusHint: "%RESPONSE_CODE%", TargetHint: "%REQ(:PATH)% nor %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
}

// isEnvoyLog tells a line of Envoy's own log, "[2026-11-23 13:05:07.508][7][info][main] ".
func isEnvoyLog(line []byte) bool {
	const stamp = len("[2026-11-23 13:05:07.508]")
	return len(line) > stamp && line[0] == '[' && line[len("[2026-11-23")] == ' ' && line[stamp-1] == ']' && line[stamp] == '['
}

func compileEnvoy(arg string) (Format, error) {
	arg, vouches := strings.CutPrefix(strings.TrimSpace(arg), vouched)
	arg = strings.TrimPrefix(strings.TrimSpace(arg), ",")
	if arg == "" {
		arg = envoyDefault
	}
	pieces, err := envoyPieces(strings.TrimSuffix(strings.TrimSuffix(arg, "\n"), `\n`))
	if err != nil {
		return Format{}, err
	}
	plan, err := compileBare(pieces, envoyDialect)
	if err != nil {
		return Format{}, err
	}
	f := planFormat(plan)
	has := map[field.Field]bool{}
	for _, o := range plan.Origins() {
		has[o.Field] = true
	}
	peer := envoyPeer{vouched: vouches, ownIdea: has[field.ClientIP]}
	switch {
	case has[field.Peer]:
		f.New = plan.New
		return f, nil
	case vouches && !has[field.ClientIP] && !has[field.Chain]:
		return Format{}, errors.New("use_remote_address needs %REQ(X-FORWARDED-FOR)% in the format: the peer is its last element")
	case !vouches:
		f.Warnings = append(f.Warnings, "the format has no address that no client can write: every line is rejected as no_client. "+
			"Add %DOWNSTREAM_DIRECT_REMOTE_ADDRESS% to it; or, if the listener has use_remote_address: true, write envoy:use_remote_address")
	}
	f.New = func() ingest.Parser { return &envoyParser{Parser: plan.New(), envoyPeer: peer} }
	return f, nil
}

// envoyPeer says how the peer is known where the format has no direct address.
type envoyPeer struct {
	vouched bool
	ownIdea bool // Peer is Envoy's idea of the client, which without use_remote_address is what X-Forwarded-For says
}

// envoyParser settles the peer of lines that have none of their own.
type envoyParser struct {
	ingest.Parser
	envoyPeer
}

// Parse implements ingest.Parser.
func (p *envoyParser) Parse(line []byte, ev *ingest.Event) ingest.Reason {
	if r := p.Parser.Parse(line, ev); r != ingest.OK {
		return r
	}
	if !p.vouched {
		return ingest.NoClient
	}
	if p.ownIdea {
		return ingest.OK
	}
	k := strings.LastIndexByte(ev.Chain, ',')
	a, err := netip.ParseAddr(strings.TrimSpace(ev.Chain[k+1:]))
	if err != nil {
		return ingest.NoClient
	}
	ev.Peer, ev.Chain = a.Unmap(), ev.Chain[:max(k, 0)]
	return ingest.OK
}

// envoyScore tells lines of the default format, which has no peer and would
// otherwise never be recognised.
func envoyScore(line []byte) int {
	var ev ingest.Event
	if len(line) > 0 && line[0] == '[' && envoyProbe.New().Parse(line, &ev) == ingest.OK {
		return 100
	}
	return 0
}

var envoyProbe = mustEnvoy(envoyDefault)

func mustEnvoy(format string) *barePlan {
	pieces, err := envoyPieces(format)
	return mustBare(pieces, err, envoyDialect)
}
