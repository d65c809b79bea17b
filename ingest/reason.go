package ingest

// Reason says why a line is not an event. The zero value means that it is one.
type Reason uint8

// Why lines are rejected.
const (
	OK          Reason = iota
	EmptyLine          // nothing, or only blanks
	TooLong            // over the source's limit
	BadShape           // a literal of the format is missing
	BadTime            // no time, or one that cannot be read
	BadAddress         // the client address cannot be read
	BadStatus          // the status is not a number from 100 to 999
	BadJSON            // not one JSON object
	BadNumber          // a size or duration is not a number
	HasNUL             // a NUL byte: the file is binary, sparse or damaged
	NotARequest        // a line of the gateway that is no access-log entry
	NoClient           // the line holds no address that the gateway itself saw
	Continued          // a part of a line that was cut on its way; it is read with the part behind it
	BadEnvelope        // what the line is wrapped in (syslog, journal, container log) cannot be read
	reasons            // how many there are
)

var reasonNames = [reasons]string{
	"ok", "empty", "too_long", "bad_shape", "bad_time", "bad_address",
	"bad_status", "bad_json", "bad_number", "nul_byte", "not_a_request",
	"no_client", "continued", "bad_envelope",
}

// String returns the name used in metrics, the ledger and messages.
func (r Reason) String() string {
	if r < reasons {
		return reasonNames[r]
	}
	return "unknown"
}

// Reasons lists all reasons but OK, for those who count by reason.
func Reasons() []Reason {
	out := make([]Reason, 0, reasons-1)
	for r := OK + 1; r < reasons; r++ {
		out = append(out, r)
	}
	return out
}
