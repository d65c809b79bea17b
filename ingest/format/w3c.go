package format

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// iisDefault is the columns that IIS writes if nobody chose others.
// https://learn.microsoft.com/en-us/windows/win32/http/w3c-logging
// https://learn.microsoft.com/en-us/iis/configuration/system.applicationhost/sites/site/logfile/
const iisDefault = "date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) " +
	"sc-status sc-substatus sc-win32-status time-taken"

func init() {
	Register("w3c", Spec{
		Doc: "W3C extended log as IIS writes it; the #Fields lines say which columns there are. Until one is seen the columns are those of IIS's " +
			"default; w3c:date time c-ip ... names others, for a source that is read from the middle of a file",
		Example: `2026-11-23 13:03:36 10.0.0.3 GET /orders/4711 a=b 443 - 203.0.113.7 curl/8.5.0 - 200 0 0 12`,
		Compile: compileW3C,
	})
}

func compileW3C(arg string) (Format, error) {
	if arg = strings.TrimSpace(arg); arg == "" {
		arg = iisDefault
	}
	initial, err := w3cDialect.layout(strings.TrimPrefix(arg, "#Fields:"))
	if err != nil {
		return Format{}, err
	}
	f := Format{Origins: originsIn(initial.origins())}
	known := newExtHeaders(initial)
	f.New = func() ingest.Parser { return newExtParser(&w3cDialect, known) }
	for _, c := range []struct{ names, why string }{
		{"date", "each line gets the time of the one before it"}, {"time", "each line gets the time of the one before it"},
		{"sc-status", "refused and failed requests cannot be told from served ones"}, {"cs-uri-stem cs-uri", "what was asked for is not known"},
	} {
		if !anyColumn(initial.names, c.names) {
			f.Warnings = append(f.Warnings, fmt.Sprintf("the columns lack %s: %s", strings.ReplaceAll(c.names, " ", " or "), c.why))
		}
	}
	return f, nil
}

// anyColumn tells whether one of some columns is among the names.
func anyColumn(names, some string) bool {
	for _, name := range strings.Fields(strings.ToLower(names)) {
		for _, s := range strings.Fields(some) {
			if name == s {
				return true
			}
		}
	}
	return false
}

// w3cDialect is that of IIS and HTTP.sys: columns apart by one blank, times in UTC,
// time-taken in milliseconds, a blank in a value written as a plus sign. The path is
// the decoded one.
var w3cDialect = extDialect{
	sep:  ' ',
	mark: '+',
	hint: "date time c-ip cs-method cs-uri-stem cs-uri-query sc-status",
	undo: func(s *field.Scratch, f field.Field, v []byte) []byte {
		if f == field.Agent { // a plus sign that was sent cannot be told from a blank
			return s.Replace(v, '+', ' ')
		}
		return v
	},
	columns: map[string]extColumn{
		"date": {field.Date, extDay}, "time": {field.TimeOfDay, extClock}, "c-ip": {field.Peer, extAddr},
		"cs-method": {field.Method, extText}, "cs-uri-stem": {field.URI, extStem}, "cs-uri-query": {field.Args, extQuery}, "cs-uri": {field.URI, extStem},
		"cs-version": {field.Protocol, extText}, "cs-username": {field.User, extText}, "sc-status": {field.StatusCode, extStatus},
		"sc-bytes": {field.BytesAll, extInt}, "cs-bytes": {field.BytesIn, extInt}, "time-taken": {field.Duration, extMillis},
		"cs-host": {field.Host, extText}, "cs(host)": {field.Host, extText}, "s-computername": {field.ServerName, extText},
		"cs(user-agent)": {field.Agent, extText}, "cs(referer)": {field.Referer, extText}, "cs(cookie)": {field.Session, extText},
		"cs(x-forwarded-for)": {field.Chain, extText}, "x-forwarded-for": {field.Chain, extText}, "cs(forwarded)": {field.Forwarded, extText},
		"cs(x-real-ip)": {field.RealIP, extText}, "x-real-ip": {field.RealIP, extText}, "cf-connecting-ip": {field.RealIP, extText},
		"cs(authorization)": {field.Token, extText}, "authorization": {field.Token, extText}, "cs(x-api-key)": {field.Key, extText}, "x-api-key": {field.Key, extText},
		"cs(x-request-id)": {field.RequestID, extText}, "x-request-id": {field.RequestID, extText}, "crypt-protocol": {},
	},
}
