package elastic

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

// Verdict is what was held against a request; the zero value is nothing.
type Verdict struct {
	Classes  []string // of the payload inspection, or of the rules that fired
	Findings []string // ids of the findings that the request is evidence of
}

// Suspicious reports whether anything was.
func (v Verdict) Suspicious() bool { return len(v.Classes) > 0 || len(v.Findings) > 0 }

// AccessDoc makes the document of a request. Its id is that of its position, so a
// line that is read again is the same document. redact replaces secrets in what
// the client sent, as in evidence; nil: the line has none any more.
func (s *Store) AccessDoc(ev *ingest.Event, v Verdict, redact func(string) string) (Doc, error) {
	shown := s.shown(redact)
	target := shown(ev.Target)
	path, query, _ := strings.Cut(target, "?")
	outcome := "success"
	if ev.Status >= 400 {
		outcome = "failure"
	}
	var b Builder
	s.Common(&b, Access, ev.Time, "event", []string{"web"}, []string{"access"})
	b.Text("event.outcome", outcome)
	b.Some("event.duration", ev.Duration)
	b.Text("event.original", shown(ev.Line))
	s.putClient(&b, ev)
	b.Text("http.request.method", ev.Method)
	b.Text("http.request.id", ev.RequestID)
	b.Text("http.request.referrer", shown(ev.Referer))
	b.Some("http.request.bytes", ev.BytesIn)
	b.Some("http.response.status_code", int64(ev.Status))
	b.Some("http.response.body.bytes", ev.BytesOut)
	b.Text("http.version", strings.TrimPrefix(ev.Protocol, "HTTP/"))
	b.Text("url.original", target)
	b.Text("url.path", path)
	b.Text("url.query", query)
	b.Text("url.domain", ev.Host)
	b.Text("user_agent.original", ev.Agent)
	b.Text("tls.version", strings.TrimPrefix(ev.TLS, "TLSv"))
	b.Text("tls.cipher", ev.Cipher)
	b.Text("tls.client.subject", ev.Subject)
	b.Text("portcullis.fingerprint", ev.Print)
	b.Text("portcullis.route", shown(ev.Route))
	b.Text("portcullis.source", ev.Pos.Source)
	b.Text("portcullis.file", strconv.FormatUint(ev.Pos.File, 16))
	b.Int("portcullis.offset", ev.Pos.Offset)
	if v.Suspicious() {
		b.Text("portcullis.verdict", "suspicious")
	}
	b.List("portcullis.classes", v.Classes)
	b.List("portcullis.findings", v.Findings)
	source, err := b.Done()
	if err != nil {
		return Doc{}, fmt.Errorf("elastic: request: %w", err)
	}
	sum := positionSum(ev.Pos)
	return Doc{Kind: Access, ID: hex.EncodeToString(sum[:16]), Time: ev.Time, Source: source}, nil
}

// shown is how a text of the client is stored: without secrets and, where
// addresses are hidden, without these.
func (s *Store) shown(redact func(string) string) func(string) string {
	return func(text string) string {
		if text == "" {
			return ""
		}
		if redact != nil {
			text = redact(text)
		}
		if s.opt.Hide {
			text = s.opt.Cloak.HideText(text)
		}
		return text
	}
}

// putClient adds who called. A hidden address is no address any more, so it is
// found by source.address only.
func (s *Store) putClient(b *Builder, ev *ingest.Event) {
	addr := func(field string, a netip.Addr) {
		if !s.opt.Hide {
			b.Addr(field, a)
		}
	}
	addr("source.ip", ev.Client)
	addr("portcullis.peer", ev.Peer)
	if ev.Client.IsValid() {
		text := ev.Client.String()
		if s.opt.Hide {
			text = s.opt.Cloak.HideText(text)
		} else {
			b.List("related.ip", []string{ev.Client.Unmap().WithZone("").String()})
		}
		b.Text("source.address", text)
	}
	b.Some("source.as.number", int64(ev.ASN))
	if ev.Country != [2]byte{} {
		b.Text("source.geo.country_iso_code", string(ev.Country[:]))
	}
	b.Text("user.name", ev.User)
	detail := map[string]string{}
	for name, value := range map[string]string{
		"consumer": ev.Consumer, "key": ev.Key, "token": ev.Token, "session": ev.Session,
	} {
		if value != "" {
			var text string
			(&evidence{}).put("", &text, value)
			detail[name] = text
		}
	}
	if len(detail) > 0 {
		b.JSON("portcullis.detail", detail)
	}
}
