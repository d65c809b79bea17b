package format

import (
	"bytes"

	"github.com/portcullis/portcullis/ingest"
)

// Reactor Netty's access log, which Spring Cloud Gateway writes with
// -Dreactor.netty.http.server.accessLogEnabled=true:
// https://projectreactor.io/docs/netty/release/reference/http-server.html#access-log
// The default format is {} - {} [{}] "{} {} {}" {} {} {} of address, user, time, method, uri,
// protocol, status, content length and milliseconds. What stands before it is the
// logging framework's and can be anything; nothing is escaped.
func init() {
	plan := mustTemplate(`{peer} - {user} [{local}] "{request}" {status} {bytes} {ms}`, bareDialect)
	f := planFormat(plan)
	f.New = func() ingest.Parser { return &reactorParser{plan.New()} }
	Register("reactor-netty", Spec{
		Doc:     "Reactor Netty's access log, as Spring Cloud Gateway writes it, with or without the logging framework's beginning",
		Example: `2026-11-23T13:03:36.218Z  INFO 7 --- [or-http-epoll-2] reactor.netty.http.server.AccessLog      : 203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /orders/4711 HTTP/1.1" 200 512 18`,
		Compile: noArgument(f),
	})
}

// reactorParser passes over the logging framework's beginning.
type reactorParser struct{ ingest.Parser }

// Parse implements ingest.Parser.
func (p *reactorParser) Parse(line []byte, ev *ingest.Event) ingest.Reason {
	const logger, logback = "reactor.netty.http.server.AccessLog", " --- ["
	rest := line
	// The logger's name stands before all that a client can write.
	if k := bytes.Index(line, []byte(logger)); k >= 0 && bytes.IndexByte(line[:k], '"') < 0 {
		rest = line[k+len(logger):]
		k = bytes.Index(rest, []byte(": "))
		if k < 0 {
			return ingest.BadShape
		}
		rest = rest[k+2:]
	}
	r := p.Parser.Parse(rest, ev)
	if r == ingest.BadShape && bytes.Contains(line, []byte(logback)) {
		return ingest.NotARequest // another logger of the application
	}
	return r
}
