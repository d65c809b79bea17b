// Package ingest turns what a gateway wrote into events: one request each, with
// the client that a trusted hop vouched for and the position of the line.
//
// The package itself holds the types and the two interfaces (Parser, Source)
// that its sub-packages implement. It loses nothing silently: a line becomes an
// Event or a Reason, and both are counted in the ledger.
package ingest

import "net/netip"

// Event is one request as the gateway told it. The zero value of a field means
// that the log did not say. Strings borrow the batch's bytes or the parser's
// scratch: they are valid until the batch is released, and whoever keeps one
// longer clones it.
type Event struct {
	Time   int64      // when the gateway logged it, Unix nanoseconds
	Client netip.Addr // the address a trusted hop vouched for; set by identity
	Peer   netip.Addr // the address that connected to the gateway, as logged
	Chain  string     // X-Forwarded-For as received: evidence, never trusted as it is

	Forwarded string // Forwarded (RFC 7239) as received: evidence, like Chain
	RealIP    string // X-Real-IP, CF-Connecting-IP and the like as received: evidence, like Chain

	Method   string // as sent, any token
	Target   string // request target as sent: path and query, escapes of the log undone once
	Host     string
	Scheme   string // "http" or "https": how the peer spoke to the gateway
	Protocol string // "HTTP/1.1"
	Referer  string
	Agent    string
	Status   uint16

	User      string // authenticated user as the gateway logged it
	Consumer  string // who is calling, as the gateway knows it; or, with FlagClaimed, as a token says
	Subject   string // of the client's certificate (mTLS), a distinguished name
	Key       string // API key, replaced by a keyed pseudonym before any detector sees it
	Token     string // Authorization as logged, replaced by identity like Key
	Session   string // Cookie or session id as logged, replaced by identity like Key
	RequestID string
	Body      string // request body where the gateway logs it
	TLS       string // protocol version, "TLSv1.3"
	Cipher    string
	Print     string // TLS fingerprint of the client (JA3, JA4) as logged

	BytesOut int64 // body bytes sent to the client
	BytesIn  int64 // request bytes received
	Duration int64 // whole request, nanoseconds
	Upstream int64 // upstream time, nanoseconds

	Route   string    // template: /orders/{id}; set by enrich
	RouteID uint32    // small dense number of Route within this process, 0 = none
	Kind    RouteKind // what the route is for
	API     API       // what the API's description says of the request; set by enrich

	Country [2]byte    // ISO 3166-1 alpha-2 of Client; set by enrich
	ASN     uint32     // autonomous system of Client; set by enrich
	Class   AgentClass // what kind of program Agent names; set by enrich
	Crawler Crawler    // whether it is the crawler that it says it is; set by enrich

	Flags Flags
	Line  string // the line as written, without its newline
	Pos   Position
}

// Position says where a line stands: the same line has the same position after
// a restart or a rotation.
type Position struct {
	Source string // name of the source in the config, or the path in a replay
	File   uint64 // identity of the file within the source, stable across renames
	Offset int64  // first byte of the line in the (uncompressed) file
}

// Less orders positions; it decides between events of the same time.
func (p Position) Less(q Position) bool {
	if p.Source != q.Source {
		return p.Source < q.Source
	}
	if p.File != q.File {
		return p.File < q.File
	}
	return p.Offset < q.Offset
}

// RouteKind says what a route is for, as far as detectors care.
type RouteKind uint8

// The kinds of routes. Ordinary is the zero value.
const (
	RouteOrdinary RouteKind = iota
	RouteLogin              // takes a password
	RouteToken              // OAuth 2.0 token endpoint and its like
	RouteReset              // password reset, sign-up
	RouteDocs               // API documentation
	RouteHealth             // probes
)

// AgentClass says what kind of program a user agent names. Anybody can write any
// name, so it is a word of the client and nothing more.
type AgentClass uint8

// The classes of user agents. AgentUnknown is the zero value.
const (
	AgentUnknown AgentClass = iota
	AgentNone               // the header was empty
	AgentBrowser
	AgentApp     // a mobile or desktop application
	AgentLibrary // an HTTP library or command-line client
	AgentCrawler // a search engine or preview fetcher
	AgentMonitor // an uptime or health check
	AgentScanner // a security tool
	AgentOther   // named, but none of these
)

// Crawler says what is known of a client that names itself a crawler.
type Crawler uint8

// What is known of a crawler. CrawlerNo is the zero value.
const (
	CrawlerNo       Crawler = iota // it does not say that it is one
	CrawlerUnknown                 // not looked up yet, or it cannot be verified
	CrawlerVerified                // its address belongs to whom it names (forward-confirmed reverse DNS)
	CrawlerFake                    // its address belongs to somebody else
)

// Flags mark what is unusual about the line itself.
type Flags uint16

// The flags of an event.
const (
	FlagInvalidUTF8 Flags = 1 << iota // the line holds bytes that are not UTF-8
	FlagMalformed                     // the request line was not HTTP; Target holds it whole
	FlagTruncated                     // the gateway cut the line
	FlagForgeable                     // the format does not escape: only what cannot be moved was taken
	FlagClaimed                       // Consumer is what a token says that nobody here verified
)

// TakesCredentials reports whether requests of the kind carry credentials in
// their body, so that client errors there mean that they were refused.
func (k RouteKind) TakesCredentials() bool {
	return k == RouteLogin || k == RouteToken || k == RouteReset
}
