package format

import (
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// cloudfrontDefault is the columns of CloudFront's standard logs, to which new ones are
// added at the end.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
const cloudfrontDefault = "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query " +
	"cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher " +
	"x-edge-response-result-type cs-protocol-version fle-status fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type " +
	"sc-content-type sc-content-len sc-range-start sc-range-end"

// cloudfrontLeast is how many columns the oldest lines have that are read without a header:
// up to ssl-cipher.
const cloudfrontLeast = 22

func init() {
	Register("cloudfront", Spec{
		Doc:     "standard log of Amazon CloudFront (W3C, tab between columns); the #Fields line says which columns there are, without one they are those of the documentation",
		Example: "2026-11-23\t13:03:36\tFRA56-P1\t512\t203.0.113.7\tGET\td111111abcdef8.cloudfront.net\t/orders/4711\t200\t-\tcurl/8.5.0\ta=b\t-\tMiss\tSOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ==\tshop.example\thttps\t340\t0.012\t-\tTLSv1.3\tTLS_AES_128_GCM_SHA256\tMiss\tHTTP/2.0\t-\t-\t11040\t0.012\tMiss\tapplication/json\t512\t-\t-",
		Compile: compileCloudfront,
	})
}

func compileCloudfront(arg string) (Format, error) {
	if arg != "" {
		return Format{}, errNoArgument
	}
	initial, err := cloudfrontDialect.layout(cloudfrontDefault)
	if err != nil {
		return Format{}, err
	}
	initial.least, initial.more = cloudfrontLeast, true
	known := newExtHeaders(initial)
	return Format{New: func() ingest.Parser { return newExtParser(&cloudfrontDialect, known) }, Origins: originsIn(initial.origins())}, nil
}

// cloudfrontDialect: all values are URL-encoded by CloudFront, percent signs that a
// client sent among them, so undoing it once gives what was sent.
var cloudfrontDialect = extDialect{
	sep:  '\t',
	mark: '%',
	hint: "date time c-ip cs-method cs-uri-stem cs-uri-query sc-status",
	undo: func(s *field.Scratch, _ field.Field, v []byte) []byte { return s.UndoPercent(v) },
	columns: map[string]extColumn{
		"date": {field.Date, extDay}, "time": {field.TimeOfDay, extClock}, "timestamp(ms)": {field.Msec, extEpoch}, "c-ip": {field.Peer, extAddr},
		"cs-method": {field.Method, extText}, "cs-uri-stem": {field.URI, extStem}, "cs-uri-query": {field.Args, extQuery},
		"cs-protocol": {field.Scheme, extText}, "cs-protocol-version": {field.Protocol, extText}, "sc-status": {field.StatusCode, extStatus},
		"sc-bytes": {field.BytesAll, extInt}, "cs-bytes": {field.BytesIn, extInt}, "time-taken": {field.Duration, extSecs},
		"origin-lbl": {field.UpstreamTime, extSecs}, "x-host-header": {field.Host, extText}, "cs(host)": {field.ServerName, extText},
		"cs(user-agent)": {field.Agent, extText}, "cs(referer)": {field.Referer, extText}, "cs(cookie)": {field.Session, extText},
		"x-forwarded-for": {field.Chain, extText}, "x-edge-request-id": {field.RequestID, extText},
		"ssl-protocol": {field.TLS, extText}, "ssl-cipher": {field.Cipher, extText},
	},
}
