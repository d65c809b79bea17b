package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unsafe"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// understood is one field of an event and where it comes from.
type understood struct {
	Field string `json:"field"` // in ECS where it has a name there
	Value string `json:"value"`
	From  string `json:"from"`
}

// spelled is a field as explain lists it.
type spelled struct {
	name  string
	value string
	from  []field.Field // what can have told it
	note  string        // where it comes from, if no part of the line
	raw   bool          // value borrows the line, unless it was escaped
}

// fieldsOf lists what is known of an event, in the order people read a request.
func fieldsOf(ev *ingest.Event) []spelled {
	list := []spelled{
		{"@timestamp", detect.FormatTime(ev.Time), []field.Field{field.Msec, field.TimeISO, field.Time, field.TimeLocal, field.Started, field.Date}, "", false},
		{"client.ip", addrText(ev.Client), nil, clientNote(ev), false},
		{"network.peer", addrText(ev.Peer), []field.Field{field.Peer, field.RealPeer, field.ClientIP}, "", false},
		{"x_forwarded_for", ev.Chain, []field.Field{field.Chain}, "", true},
		{"forwarded", ev.Forwarded, []field.Field{field.Forwarded}, "", true},
		{"real_ip", ev.RealIP, []field.Field{field.RealIP}, "", true},
		{"http.request.method", ev.Method, []field.Field{field.Method, field.Request}, "", true},
		{"url.original", ev.Target, []field.Field{field.RequestURI, field.URI, field.URL, field.Request}, "", true},
		{"url.domain", ev.Host, []field.Field{field.Host, field.HTTPHost, field.ServerName, field.HostURI, field.URL}, "", true},
		{"url.scheme", ev.Scheme, []field.Field{field.Scheme}, "", false},
		{"http.version", ev.Protocol, []field.Field{field.Protocol, field.Request}, "", true},
		{"http.response.status_code", number(int64(ev.Status)), []field.Field{field.StatusCode}, "", false},
		{"http.response.body.bytes", number(ev.BytesOut), []field.Field{field.BytesBody, field.BytesAll}, "", false},
		{"http.request.bytes", number(ev.BytesIn), []field.Field{field.BytesIn}, "", false},
		{"event.duration", span(ev.Duration), []field.Field{field.Duration}, "", false},
		{"upstream.duration", span(ev.Upstream), []field.Field{field.UpstreamTime}, "", false},
		{"http.request.referrer", ev.Referer, []field.Field{field.Referer}, "", true},
		{"user_agent.original", ev.Agent, []field.Field{field.Agent}, "", true},
		{"user.name", ev.User, []field.Field{field.User}, "", true},
		{"consumer", ev.Consumer, []field.Field{field.Consumer}, consumerNote(ev), true},
		{"tls.client.subject", ev.Subject, []field.Field{field.Subject}, "", true},
		{"key", ev.Key, []field.Field{field.Key}, "pseudonym of the API key", false},
		{"token", ev.Token, []field.Field{field.Token}, "pseudonym of the token", false},
		{"session", ev.Session, []field.Field{field.Session}, "pseudonym of the session", false},
		{"http.request.id", ev.RequestID, []field.Field{field.RequestID}, "", true},
		{"http.request.body.content", ev.Body, []field.Field{field.Body}, "", true},
		{"tls.version", ev.TLS, []field.Field{field.TLS}, "", true},
		{"tls.cipher", ev.Cipher, []field.Field{field.Cipher}, "", true},
		{"tls.client.fingerprint", ev.Print, []field.Field{field.Print}, "", true},
		{"http.route", ev.Route, nil, "template made of the path", false},
		{"api", apiText(ev), nil, "by the API's documents", false},
		{"route kind", ev.Kind.String(), nil, "by the path: settings, or names known for it", false},
		{"client.geo.country_iso_code", country(ev), nil, "by the client's address", false},
		{"client.as.number", number(int64(ev.ASN)), nil, "by the client's address", false},
		{"user_agent.class", ev.Class.String(), nil, "by the user agent, which anybody can write", false},
		{"crawler", ev.Crawler.String(), nil, "by reverse DNS", false},
		{"flags", ev.Flags.String(), nil, "by the line itself", false},
	}
	kept := list[:0]
	for _, s := range list {
		if s.value != "" {
			kept = append(kept, s)
		}
	}
	return kept
}

// explainFields says for each field where it was found.
func explainFields(ev *ingest.Event, origins []format.Origin) []understood {
	var out []understood
	for _, s := range fieldsOf(ev) {
		u := understood{Field: s.name, Value: s.value, From: origin(ev.Line, s.from, origins)}
		switch at, ok := within(ev.Line, s.value); {
		case s.raw && ok:
			if u.From == "" {
				u.From = keyBefore(ev.Line[:at])
			}
			u.From = join(u.From, fmt.Sprintf("bytes %d to %d", at, at+len(s.value)))
		case s.raw && s.note == "":
			u.From = join(u.From, "escapes undone")
		}
		u.From = join(u.From, s.note)
		out = append(out, u)
	}
	return out
}

// origin names the variable or key that told a field.
func origin(line string, fields []field.Field, origins []format.Origin) string {
	for _, f := range fields {
		for _, o := range origins {
			if o.Field == f && o.In(line) {
				return o.Name
			}
		}
	}
	return ""
}

func join(a, b string) string {
	return strings.Trim(a+", "+b, ", ")
}

// keyBefore finds the key of a JSON value that begins behind before; "" if there is
// none.
func keyBefore(before string) string {
	before = strings.TrimSuffix(before, `"`)
	before, ok := strings.CutSuffix(strings.TrimRight(before, " "), `":`)
	if !ok {
		return ""
	}
	return before[strings.LastIndexByte(before, '"')+1:]
}

// within tells where a value stands in the line it borrows.
func within(line, value string) (int, bool) {
	if line == "" || value == "" {
		return 0, false
	}
	from := uintptr(unsafe.Pointer(unsafe.StringData(line)))
	at := uintptr(unsafe.Pointer(unsafe.StringData(value)))
	if at < from || at+uintptr(len(value)) > from+uintptr(len(line)) {
		return 0, false
	}
	return int(at - from), true
}

func clientNote(ev *ingest.Event) string {
	if ev.Client == ev.Peer {
		return "the peer itself"
	}
	return "vouched for by trusted hops, from the forwarding headers"
}

func consumerNote(ev *ingest.Event) string {
	if ev.Flags&ingest.FlagClaimed != 0 {
		return "a token's claim that nobody here verified"
	}
	return ""
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func span(ns int64) string {
	if ns == 0 {
		return ""
	}
	return time.Duration(ns).String()
}

func country(ev *ingest.Event) string {
	if ev.Country == [2]byte{} {
		return ""
	}
	return string(ev.Country[:])
}
