package format

import (
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// recipe says how a gateway is told to log something.
type recipe map[ingest.Fields]string

// family is a gateway whose format strings we compile.
type family struct {
	log   recipe
	where string // where the variable is added
	own   string // what the format of such a string is called here; "": the line says itself what it holds
}

var families = map[string]family{
	"nginx": {where: "log_format", own: "nginx:STRING", log: recipe{
		ingest.FieldUser: "$remote_user", ingest.FieldKey: "$http_x_api_key", ingest.FieldToken: "$http_authorization", ingest.FieldSession: "$http_cookie",
		ingest.FieldTLS: "$ssl_protocol", ingest.FieldCipher: "$ssl_cipher", ingest.FieldDuration: "$request_time", ingest.FieldBytesOut: "$body_bytes_sent",
		ingest.FieldAgent: "$http_user_agent", ingest.FieldReferer: "$http_referer", ingest.FieldMethod: "$request_method", ingest.FieldTarget: "$request_uri",
		ingest.FieldStatus: "$status", ingest.FieldBody: "$request_body", ingest.FieldPrint: "$http_ssl_ja3_hash", ingest.FieldSubject: "$ssl_client_s_dn",
		ingest.FieldScheme: "$scheme",
	}},
	"apache": {where: "LogFormat", own: "apache:STRING", log: recipe{
		ingest.FieldUser: "%u", ingest.FieldKey: "%{X-Api-Key}i", ingest.FieldToken: "%{Authorization}i", ingest.FieldSession: "%{Cookie}i",
		ingest.FieldTLS: "%{SSL_PROTOCOL}x", ingest.FieldCipher: "%{SSL_CIPHER}x", ingest.FieldDuration: "%D", ingest.FieldBytesOut: "%B",
		ingest.FieldAgent: "%{User-Agent}i", ingest.FieldReferer: "%{Referer}i", ingest.FieldMethod: "%r", ingest.FieldTarget: "%r",
		ingest.FieldStatus: "%>s", ingest.FieldSubject: "%{SSL_CLIENT_S_DN}x",
	}},
	"varnish": {where: "varnishncsa -F", own: "varnish:STRING", log: recipe{
		ingest.FieldUser: "%u", ingest.FieldKey: "%{X-Api-Key}i", ingest.FieldToken: "%{Authorization}i", ingest.FieldSession: "%{Cookie}i",
		ingest.FieldDuration: "%D", ingest.FieldBytesOut: "%b", ingest.FieldAgent: "%{User-Agent}i", ingest.FieldReferer: "%{Referer}i",
		ingest.FieldMethod: "%r", ingest.FieldTarget: "%r", ingest.FieldStatus: "%s",
	}},
	"haproxy": {where: "log-format", own: "haproxy:STRING", log: recipe{
		ingest.FieldTLS: "%sslv", ingest.FieldCipher: "%sslc", ingest.FieldDuration: "%Ta", ingest.FieldBytesOut: "%B", ingest.FieldStatus: "%ST",
		ingest.FieldMethod: "%HM", ingest.FieldTarget: "%HU", ingest.FieldSubject: "%[ssl_c_s_dn]",
		ingest.FieldKey: "%[capture.req.hdr(0)]", ingest.FieldToken: "%[capture.req.hdr(0)]", ingest.FieldSession: "%[capture.req.hdr(0)]",
		ingest.FieldAgent: "%[capture.req.hdr(0)]", ingest.FieldReferer: "%[capture.req.hdr(0)]",
	}},
	"envoy": {where: "the access log's format", own: "envoy:STRING", log: recipe{
		ingest.FieldKey: "%REQ(X-API-KEY)%", ingest.FieldToken: "%REQ(AUTHORIZATION)%", ingest.FieldSession: "%REQ(COOKIE)%",
		ingest.FieldTLS: "%DOWNSTREAM_TLS_VERSION%", ingest.FieldCipher: "%DOWNSTREAM_TLS_CIPHER%", ingest.FieldDuration: "%DURATION%",
		ingest.FieldBytesOut: "%BYTES_SENT%", ingest.FieldAgent: "%REQ(USER-AGENT)%", ingest.FieldReferer: "%REQ(REFERER)%", ingest.FieldMethod: "%REQ(:METHOD)%",
		ingest.FieldTarget: "%REQ(:PATH)%", ingest.FieldStatus: "%RESPONSE_CODE%", ingest.FieldPrint: "%TLS_JA3_FINGERPRINT%", ingest.FieldSubject: "%DOWNSTREAM_PEER_SUBJECT%",
	}},
	"w3c": {where: "the columns", log: recipe{
		ingest.FieldUser: "cs-username", ingest.FieldKey: "cs(X-Api-Key)", ingest.FieldToken: "cs(Authorization)", ingest.FieldSession: "cs(Cookie)",
		ingest.FieldDuration: "time-taken", ingest.FieldBytesOut: "sc-bytes", ingest.FieldAgent: "cs(User-Agent)", ingest.FieldReferer: "cs(Referer)",
		ingest.FieldMethod: "cs-method", ingest.FieldTarget: "cs-uri-stem", ingest.FieldStatus: "sc-status",
	}},
}

// captured are the headers that HAProxy must capture before it can log them.
var captured = recipe{ingest.FieldKey: "X-Api-Key", ingest.FieldToken: "Authorization", ingest.FieldSession: "Cookie", ingest.FieldAgent: "User-Agent", ingest.FieldReferer: "Referer"}

// Advice says, for each field of a set, what to have a gateway log so that its lines, of
// the format of that spec string, have it. Where there are several, any one would do.
func Advice(spec string, set ingest.Fields) string {
	var ways []string
	set.Each(func(f ingest.Fields) {
		if way := adviceOn(spec, f); way != "" && !slices.Contains(ways, way) {
			ways = append(ways, way)
		}
	})
	if len(ways) == 0 {
		return "its format has no place for " + strings.Join(set.Names(), ", ") + "; a JSON log read with json:FIELD=PATH,... has"
	}
	return strings.Join(ways, "; or ")
}

func adviceOn(spec string, f ingest.Fields) string {
	switch f {
	case ingest.FieldCountry:
		return "set enrich.country to a database"
	case ingest.FieldASN:
		return "set enrich.asn to a database"
	case ingest.FieldAPI:
		return "name a document of the API under openapi in the settings"
	}
	name, arg, _ := strings.Cut(spec, ":")
	switch name {
	case "syslog", "docker", "cri", "journald":
		return adviceOn(arg, f)
	}
	if o := origin(spec, f); o != "" {
		return "have the gateway fill in " + o + ", which no line has"
	}
	if name == "json" {
		return "add " + f.String() + "=PATH to its map, where the objects have it"
	}
	base, _, _ := strings.Cut(name, "-")
	g, ok := families[base]
	variable := g.log[f]
	switch {
	case !ok || variable == "":
		return ""
	case name == "nginx-json":
		return `add "` + strings.TrimPrefix(variable, "$") + `":"` + variable + `" to log_format`
	case name == "envoy-json" || name == "envoy-als":
		return ""
	}
	way := "add " + variable + " to " + g.where
	if header := captured[f]; base == "haproxy" && header != "" {
		way = "capture request header " + header + " len 256, and name it in captures=" + strings.ToLower(header) + " of the format"
	} else if g.own != "" && (name != base || arg == "") {
		way += " and say format: " + g.own
	}
	return way
}

// origin is from where a format takes the field; "" if it does not.
func origin(spec string, f ingest.Fields) string {
	opened, err := Open(spec)
	if err != nil {
		return ""
	}
	for _, o := range opened.Origins {
		if gives(o.Field, f) {
			return o.Name
		}
	}
	return ""
}

// gives tells whether a field of a format becomes that of an event.
func gives(of field.Field, f ingest.Fields) bool {
	switch f {
	case ingest.FieldMethod:
		return of == field.Method || field.IsRequest(of)
	case ingest.FieldTarget:
		return field.IsTarget(of)
	case ingest.FieldBytesOut:
		return of == field.BytesBody || of == field.BytesAll
	}
	return of != field.Skip && of.String() == f.String()
}
