package format

import (
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/ingesttest"
)

func TestApigwCLFContract(t *testing.T) {
	full := ingest.Event{Time: instant(t, "2026-11-23T13:03:36Z"), Peer: peer7, Method: "GET", Target: "/orders/{id}", Protocol: "HTTP/1.1", Status: 200, BytesOut: 512,
		RequestID: "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"}
	signed := full
	signed.Consumer, signed.User = "AROAEXAMPLE:session", "AIDAEXAMPLE"
	ingesttest.Format(t, ingesttest.FormatCase{
		New: opener(t, "aws-apigw-clf"),
		Lines: []ingesttest.FormatLine{
			{Line: `203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /orders/{id} HTTP/1.1" 200 512 c6af9ac6-7b61-11e6-9a41-93e8deadbeef JKJaXmPLvHcESHA=`, Event: full, Plain: true},
			{Line: `203.0.113.7 - - [23/Nov/2026:13:03:36 +0000]"GET /orders/{id} HTTP/1.1" 200 512 c6af9ac6-7b61-11e6-9a41-93e8deadbeef JKJaXmPLvHcESHA=`, Event: full, Plain: true},
			{Line: `203.0.113.7 AROAEXAMPLE:session AIDAEXAMPLE [23/Nov/2026:13:03:36 +0000] "GET /orders/{id} HTTP/1.1" 200 512 c6af9ac6-7b61-11e6-9a41-93e8deadbeef`, Event: signed, Plain: true},
			{Line: `203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET GET /orders/{id} HTTP/1.1" 200 512 c6af9ac6-7b61-11e6-9a41-93e8deadbeef the integration timed out`, Event: full, Plain: true},
		},
		Rejects: map[string]ingest.Reason{
			`- - - [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1" 200 512 c6af`:           ingest.BadAddress,
			`203.0.113.7 - - [23/Nov/2026:13:73:36 +0000] "GET / HTTP/1.1" 200 512 c6af`: ingest.BadTime,
			`(c6af9ac6) Method request path: {}`:                                         ingest.BadAddress,
		},
	})
	var ev ingest.Event
	p := open(t, "aws-apigw-clf")
	if r := p.Parse([]byte(`203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET $default HTTP/1.1" 404 23 x -`), &ev); r != ingest.OK || ev.Target != "" || ev.Status != 404 {
		t.Errorf("%s %+v", r, ev)
	}
}

func TestApigwText(t *testing.T) {
	const spec = `aws-apigw-text:$context.requestTimeEpoch $context.identity.sourceIp "$context.httpMethod $context.path" $context.status $context.responseLatency $context.integrationLatency ` +
		`$context.domainName [$context.authorizer.principalId] "$context.error.message" $context.requestId. "$context.identity.userAgent"`
	f, err := Open(spec)
	if err != nil || len(f.Warnings) == 0 {
		t.Fatalf("%v %q", err, f.Warnings)
	}
	var ev ingest.Event
	line := `1795439016250 203.0.113.7 "GET /prod/orders/17" 403 12 - api.example [bob] "Forbidden" c6af. "curl/8.5.0"`
	want := ingest.Event{Time: 1795439016250e6, Peer: peer7, Method: "GET", Target: "/prod/orders/17", Status: 403, Duration: 12e6, Host: "api.example", Consumer: "bob",
		RequestID: "c6af", Agent: "curl/8.5.0"}
	if r := f.New().Parse([]byte(line), &ev); r != ingest.OK || ev != want {
		t.Errorf("%s %+v\nwant %+v", r, ev, want)
	}
	for spec, want := range map[string]string{
		"":                                "no format string",
		"$context.status":                 "add $context.identity.sourceIp",
		"$context.identity.sourceIp $foo": `at byte 27: "$foo" is no variable`,
		"$context.identity.sourceIp\nx":   "at byte 26: a line end",
		"$context.identity.userAgent$context.path $context.identity.sourceIp": "stand together",
	} {
		if _, err := Open("aws-apigw-text:" + spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", spec, err, want)
		}
	}
}
