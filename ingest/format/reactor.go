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
// logging framework's and can be anything. Nothing is escaped, but the user is always "-"
// (AbstractAccessLogArgProvider.java), so only the request is what a client chooses, and
// what follows it can be told from the line's end.
func init() {
	plan := mustTemplate(`{peer} - - [{local}] "{request}" {status} {bytes} {ms}`, bareDialect)
	f := planFormat(plan)
	f.Warnings = append(f.Warnings, "Reactor Netty writes what Forwarded and X-Forwarded-For say in the client's place where it is told to heed them "+
		"(Spring Boot: server.forward-headers-strategy=native): leave that off, or have only your load balancer reach it")
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
	if bytes.IndexByte(line, 0) >= 0 {
		return ingest.HasNUL
	}
	rest, named := accessLogMessage(line)
	r := p.Parser.Parse(rest, ev)
	if r != ingest.OK && !named && bytes.Contains(line, []byte(" --- [")) {
		return ingest.NotARequest // another logger of the application
	}
	return r
}

// accessLogMessage returns what stands behind the logger's name and " : " (Spring Boot)
// or " - " (Logback), or the line if it is without. Other loggers of the application
// can write the name too, with the rest of such a line, but only behind one of these.
func accessLogMessage(line []byte) (message []byte, named bool) {
	logger := []byte("reactor.netty.http.server.AccessLog")
	k := bytes.Index(line, logger)
	if k < 0 || bytes.IndexByte(line[:k], '"') >= 0 || bytes.Contains(line[:k], []byte(": ")) || bytes.Contains(line[:k], []byte(" - ")) {
		return line, false
	}
	rest := bytes.TrimLeft(line[k+len(logger):], " ")
	if len(rest) < 2 || rest[0] != ':' && rest[0] != '-' || rest[1] != ' ' {
		return line, false
	}
	return rest[2:], true
}
