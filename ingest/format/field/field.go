// Package field is what the readers of all log formats share: the names of the
// parts of a request, readers of the values they are written as (addresses,
// numbers, times, escapes), and the Sink that makes an event of them.
//
// Nothing here allocates for a value that can be borrowed from the line. A time,
// number or address that cannot be read is an error of the line and not a zero.
package field

import "github.com/portcullis/portcullis/ingest"

// Field says which part of a request a value is.
type Field uint8

// The fields. Of those that tell one fact, a better one replaces a worse one: see
// Rivals.
const (
	Skip          Field = iota
	Peer                // the address that connected to the gateway
	RealPeer            // the same, or what the gateway's own real-IP module made of it; used where Peer is missing
	ClientIP            // who the gateway takes for the client; used where neither is there
	TimeLocal           // when, to the second, in the shape 23/Nov/2026:13:03:36 +0000
	TimeISO             // when, in ISO 8601
	Msec                // when, in seconds since 1970 with a fraction
	Time                // when, in any shape
	Date                // the day, where the time of day stands apart; a number of nanoseconds since 1970
	TimeOfDay           // the time of day; a number of nanoseconds since midnight
	Started             // when the request began, where the log also has its duration
	User                // authenticated user
	Consumer            // who is calling, as the gateway knows it
	Subject             // of the client's certificate
	Request             // the request line: method, target, protocol
	Method              //
	RequestURI          // the target as the client sent it
	URI                 // the path, perhaps normalised
	Args                // the query, without or with its question mark
	HostURI             // host and target with nothing between
	URL                 // an absolute URL: scheme, host and target
	Protocol            // "HTTP/1.1", "h2", "1.1"
	StatusCode          //
	BytesBody           // body bytes sent to the client
	BytesAll            // bytes sent to the client, used where BytesBody is missing
	BytesIn             // bytes received from the client
	Duration            // of the whole request, nanoseconds
	UpstreamTime        // time that the upstream took, nanoseconds
	Referer             //
	Agent               //
	Chain               // X-Forwarded-For
	Forwarded           // RFC 7239
	RealIP              // X-Real-IP, CF-Connecting-IP and the like
	Key                 // API key
	Token               // Authorization
	Session             // Cookie, or a session's id
	Host                // Host header as the gateway settled on it
	HTTPHost            // Host header as sent
	ServerName          // name of the virtual host
	RequestID           //
	Body                // request body
	TLS                 // protocol version
	Cipher              //
	Print               // TLS fingerprint
	Scheme              // how the peer spoke to the gateway: http or https
	Marker              // any value at all: the object is an access-log entry
	BuiltRequest        // a request line whose target the gateway made an absolute URL, whatever was sent
	FramedRequest       // one that it made from HTTP/2 or HTTP/3 frames that way, and else as sent
	fields              // how many there are
)

// names of the fields as "portcullis explain" and the field map of "json:" have them.
var names = [fields]string{
	"", "peer", "real_peer", "client_ip", "time_local", "time_iso8601", "time_unix", "time", "date", "time_of_day", "started",
	"user", "consumer", "subject", "request", "method", "target", "path", "query", "host_target", "url", "protocol",
	"status", "bytes_out", "bytes_out_all", "bytes_in", "duration", "upstream_time", "referer", "agent", "x_forwarded_for",
	"forwarded", "real_ip", "key", "token", "session", "host", "http_host", "server_name", "request_id", "body",
	"tls_version", "tls_cipher", "tls_fingerprint", "scheme", "marker",
	"built_request", "framed_request",
}

// String returns the field's name.
func (f Field) String() string {
	if f < fields {
		return names[f]
	}
	return ""
}

// Named returns the field of a name.
func Named(name string) (Field, bool) {
	for f := Skip + 1; f < fields; f++ {
		if names[f] == name {
			return f, true
		}
	}
	return Skip, false
}

// Names lists the fields' names in their order.
func Names() []string { return append([]string(nil), names[1:]...) }

// Rivals are fields that tell the same, the best first.
var Rivals = [][]Field{
	{Peer, RealPeer, ClientIP},
	{Msec, TimeISO, Time, TimeLocal, Started},
	{BytesBody, BytesAll},
	{Host, HTTPHost, ServerName},
	{RequestURI, URI},
	{Request, FramedRequest, BuiltRequest},
}

// rank is how good a field is among its rivals, and the one that stands for all.
type rank struct {
	slot Field
	n    uint8
}

var ranks = func() (t [fields]rank) {
	for f := range t {
		t[f] = rank{Field(f), 1}
	}
	for _, group := range Rivals {
		for i, f := range group {
			t[f] = rank{group[0], uint8(len(group) - i)}
		}
	}
	return t
}()

// IsTime tells the fields that say when.
func IsTime(f Field) bool {
	switch f {
	case TimeLocal, TimeISO, Msec, Time, Started, Date:
		return true
	}
	return false
}

// IsPeer tells the fields that say who connected.
func IsPeer(f Field) bool { return f == Peer || f == RealPeer || f == ClientIP }

// IsRequest tells the fields that are a whole request line.
func IsRequest(f Field) bool { return f == Request || f == BuiltRequest || f == FramedRequest }

// IsTarget tells the fields that say what was asked for.
func IsTarget(f Field) bool {
	switch f {
	case Request, RequestURI, URI, HostURI, URL, BuiltRequest, FramedRequest:
		return true
	}
	return false
}

// Store puts a number where it belongs. Times and durations are nanoseconds.
func Store(f Field, n int64, ev *ingest.Event) {
	switch f {
	case BytesBody, BytesAll:
		ev.BytesOut = n
	case BytesIn:
		ev.BytesIn = n
	case Duration:
		ev.Duration = n
	case UpstreamTime:
		ev.Upstream = n
	case Msec, TimeISO, TimeLocal, Time, Started:
		ev.Time = n
	case Date, TimeOfDay:
		ev.Time += n
	case StatusCode:
		ev.Status = uint16(n)
	}
}
