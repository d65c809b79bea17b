package format

import "github.com/portcullis/portcullis/ingest"

// Traefik's common log format: https://doc.traefik.io/traefik/observability/access-logs/
// <remote_IP_address> - <client_user_name_if_available> [<timestamp>] "<request_method> <request_path> <request_protocol>"
// <HTTP_status> <content-length> "<request_referrer>" "<request_user_agent>" <number_of_requests_received_since_Traefik_started>
// "<Traefik_router_name>" "<Traefik_server_URL>" <request_duration_in_ms>ms
//
// Nothing in it is escaped, the user's name neither, which is whatever a client writes
// into Authorization. Referer and agent are "-" unless the headers are kept. The path is
// the one that Traefik cleaned. The address is that of the connection, unless Traefik
// kept an X-Forwarded-For (pkg/middlewares/accesslog/logger.go, ClientHost).
func init() {
	plan := mustTemplate(
		`{peer} - {user} [{local}] "{request}" {status} {bytes} "{referer}" "{agent}" {n} "{text}" "{text}" {ms}ms`, bareDialect)
	f := planFormat(plan)
	f.New = func() ingest.Parser { return &peerFirst{plan.New()} }
	f.Warnings = append(f.Warnings, "Traefik writes X-Forwarded-For in the client's place where an entry point trusts it (forwardedHeaders): "+
		"log JSON there, which has the peer as ClientAddr")
	Register("traefik-clf", Spec{
		Doc:     "Traefik's common log format (accessLog without format: json)",
		Example: `203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /orders/4711 HTTP/1.1" 200 512 "-" "-" 17 "shop@docker" "http://10.0.0.3:80" 5ms`,
		Compile: noArgument(f),
	})
}

// peerFirst reads a format that begins with the peer and escapes nothing behind it. A
// client can make such a line uncertain, its time too; that must not hide who it was.
type peerFirst struct{ ingest.Parser }

// Parse implements ingest.Parser. The plan says BadTime only where there is more than
// one reading: a time that is none fits no reading at all.
func (p *peerFirst) Parse(line []byte, ev *ingest.Event) ingest.Reason {
	r := p.Parser.Parse(line, ev)
	if r == ingest.BadTime && ev.Peer.IsValid() {
		*ev = ingest.Event{Peer: ev.Peer, Flags: ingest.FlagForgeable}
		return ingest.OK
	}
	return r
}
