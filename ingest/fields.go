package ingest

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Fields is a set of what a line may say of its request, or what is looked up for it.
type Fields uint32

// The fields, as far as detectors live on them. A line without a time, a client and a
// status that can be read is no event, or has no use for any of them.
const (
	FieldMethod Fields = 1 << iota
	FieldTarget
	FieldHost
	FieldProtocol
	FieldReferer
	FieldAgent
	FieldStatus
	FieldUser
	FieldConsumer
	FieldSubject
	FieldKey
	FieldToken
	FieldSession
	FieldBody
	FieldTLS
	FieldCipher
	FieldPrint
	FieldBytesOut
	FieldBytesIn
	FieldDuration
	FieldUpstream
	FieldCountry
	FieldASN
	FieldScheme
	FieldAPI // what the API's documents say
	endOfFields
)

// fieldNames are, but for what is looked up, the names that the formats give the same.
var fieldNames = [...]string{"method", "target", "host", "protocol", "referer", "agent", "status", "user", "consumer", "subject", "key", "token", "session",
	"body", "tls_version", "tls_cipher", "tls_fingerprint", "bytes_out", "bytes_in", "duration", "upstream_time", "country", "asn", "scheme", "openapi"}

// AllFields are all there are.
const AllFields = endOfFields - 1

// FieldsOf says which fields an event has.
func FieldsOf(ev *Event) Fields {
	return bit(ev.Method != "", FieldMethod) | bit(ev.Target != "", FieldTarget) | bit(ev.Host != "", FieldHost) | bit(ev.Protocol != "", FieldProtocol) |
		bit(ev.Referer != "", FieldReferer) | bit(ev.Agent != "", FieldAgent) | bit(ev.Status != 0, FieldStatus) | bit(ev.User != "", FieldUser) |
		bit(ev.Consumer != "", FieldConsumer) | bit(ev.Subject != "", FieldSubject) | bit(ev.Key != "", FieldKey) | bit(ev.Token != "", FieldToken) |
		bit(ev.Session != "", FieldSession) | bit(ev.Body != "", FieldBody) | bit(ev.TLS != "", FieldTLS) | bit(ev.Cipher != "", FieldCipher) |
		bit(ev.Print != "", FieldPrint) | bit(ev.BytesOut != 0, FieldBytesOut) | bit(ev.BytesIn != 0, FieldBytesIn) | bit(ev.Duration != 0, FieldDuration) |
		bit(ev.Upstream != 0, FieldUpstream) | bit(ev.Country != [2]byte{}, FieldCountry) | bit(ev.ASN != 0, FieldASN) |
		bit(ev.Scheme != "", FieldScheme) | bit(ev.API.Facts != 0, FieldAPI)
}

func bit(has bool, f Fields) Fields {
	if has {
		return f
	}
	return 0
}

// Without takes the fields out of an event, as if its log did not say them.
func (f Fields) Without(ev *Event) {
	for _, x := range [...]struct {
		f Fields
		s *string
	}{
		{FieldMethod, &ev.Method}, {FieldTarget, &ev.Target}, {FieldHost, &ev.Host}, {FieldProtocol, &ev.Protocol}, {FieldReferer, &ev.Referer},
		{FieldAgent, &ev.Agent}, {FieldUser, &ev.User}, {FieldConsumer, &ev.Consumer}, {FieldSubject, &ev.Subject}, {FieldKey, &ev.Key},
		{FieldToken, &ev.Token}, {FieldSession, &ev.Session}, {FieldBody, &ev.Body}, {FieldTLS, &ev.TLS}, {FieldCipher, &ev.Cipher}, {FieldPrint, &ev.Print},
		{FieldScheme, &ev.Scheme},
	} {
		if f&x.f != 0 {
			*x.s = ""
		}
	}
	for _, x := range [...]struct {
		f Fields
		n *int64
	}{{FieldBytesOut, &ev.BytesOut}, {FieldBytesIn, &ev.BytesIn}, {FieldDuration, &ev.Duration}, {FieldUpstream, &ev.Upstream}} {
		if f&x.f != 0 {
			*x.n = 0
		}
	}
	if f&FieldStatus != 0 {
		ev.Status = 0
	}
	if f&FieldCountry != 0 {
		ev.Country = [2]byte{}
	}
	if f&FieldASN != 0 {
		ev.ASN = 0
	}
	if f&FieldAPI != 0 {
		ev.API = API{}
	}
}

// Each calls use with every field of the set by itself.
func (f Fields) Each(use func(Fields)) {
	for ; f != 0; f &= f - 1 {
		use(1 << bits.TrailingZeros32(uint32(f)))
	}
}

// Names lists the fields by name, in their order.
func (f Fields) Names() []string {
	names := []string{}
	for i, name := range fieldNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// String lists the names.
func (f Fields) String() string { return strings.Join(f.Names(), ", ") }

// FieldsNamed is the set of the fields with these names. Others are left out: a newer
// version may know more.
func FieldsNamed(names []string) (f Fields) {
	for _, name := range names {
		if i := slices.Index(fieldNames[:], name); i >= 0 {
			f |= 1 << i
		}
	}
	return f
}

// MarshalJSON writes the names.
func (f Fields) MarshalJSON() ([]byte, error) { return json.Marshal(f.Names()) }

// UnmarshalJSON reads the names.
func (f *Fields) UnmarshalJSON(data []byte) error {
	var names []string
	if err := json.Unmarshal(data, &names); err != nil {
		return fmt.Errorf("ingest: fields: %w", err)
	}
	*f = FieldsNamed(names)
	return nil
}

// Carried is what the events of a source had lately: in the newest week that the log
// knows, and in the one before. A field that the gateway has ceased to log is gone from it
// after two weeks at most. It does not depend on the order in which events were added.
type Carried struct {
	Week   int64  `json:"week"` // number of the week since 1970
	Now    Fields `json:"now"`
	Before Fields `json:"before"` // in the week before
}

const weekNanos = 7 * 24 * 3600 * 1e9

// Add takes in an event.
func (c *Carried) Add(ev *Event) { c.merge(ev.Time/weekNanos, FieldsOf(ev), 0) }

// Merge takes over what another says of the same source.
func (c *Carried) Merge(o Carried) { c.merge(o.Week, o.Now, o.Before) }

func (c *Carried) merge(week int64, now, before Fields) {
	switch c.Week - week {
	case 0:
		c.Now |= now
		c.Before |= before
	case 1:
		c.Before |= now
	case -1:
		c.Week, c.Before, c.Now = week, c.Now|before, now
	default:
		if week > c.Week {
			*c = Carried{week, now, before}
		}
	}
}

// Fields are those of both weeks.
func (c Carried) Fields() Fields { return c.Now | c.Before }
