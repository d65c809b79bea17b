package detect

import "net/netip"

// Rollup is one minute of traffic on one route; Route "" is the whole.
type Rollup struct {
	Minute   int64  `json:"minute"` // start, Unix seconds
	Source   string `json:"source,omitempty"`
	Route    string `json:"route"`
	Requests int64  `json:"requests"`
	S2xx     int64  `json:"s2xx"`
	S3xx     int64  `json:"s3xx"`
	S4xx     int64  `json:"s4xx"`
	S5xx     int64  `json:"s5xx"`
	Refused  int64  `json:"refused"` // failed logins and tokens
	Denied   int64  `json:"denied"`  // answered by our own enforcement
	BytesOut int64  `json:"bytes_out"`
	Nanos    int64  `json:"nanos"` // summed request durations, 0 where not logged
}

// Sighting is a request of a watched subject: what the enforcer needs to know
// whether its decision holds. Values are owned.
type Sighting struct {
	Subject Subject // the watched one, if that is no address or prefix; else it is that of Client
	Client  netip.Addr
	Time    int64 // event time, Unix nanoseconds
	Status  uint16
	Route   string
	Source  string
}

// Watch asks the engine to report every request of a subject, and not to hold
// our own answers (status Deny after Since) against it.
type Watch struct {
	Subject Subject
	Deny    uint16 // status our enforcement answers with: 403 or 429
	Since   int64  // event time from which it may appear, Unix nanoseconds
}
