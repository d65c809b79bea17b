// Package detect decides which clients misbehave: detectors keep bounded state
// per subject in event time, and an engine feeds them, closes seconds and keeps
// snapshots. The same events give the same findings, whatever their order
// within the late bound and however many workers there are.
package detect

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Family groups rules; policy switches families between observe and enforce.
type Family string

// The families of rules.
const (
	Credential Family = "credential"
	Rate       Family = "rate"
	Injection  Family = "injection"
	Recon      Family = "recon"
	API        Family = "api"
)

// Severity of a finding, ordered.
type Severity uint8

// The severities.
const (
	Info Severity = iota
	Low
	Medium
	High
	Critical
)

var severityNames = [...]string{"info", "low", "medium", "high", "critical"}

// String returns the name used in output and config.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return "unknown"
}

// ParseSeverity is the inverse of String.
func ParseSeverity(name string) (Severity, bool) {
	for i, n := range severityNames {
		if n == name {
			return Severity(i), true
		}
	}
	return 0, false
}

// Subject is whom a finding or a decision is about.
type Subject struct {
	Kind  string // ip, cidr, consumer, account, key, session, fingerprint, asn, country, route, class, campaign, global
	Value string
}

// MaxEvidence bounds the lines kept with a finding.
const MaxEvidence = 5

// Evidence is one line that contributed, redacted and capped.
type Evidence struct {
	Source string
	Offset int64
	Time   int64  // Unix nanoseconds
	Line   string // at most EvidenceBytes, owned
	Agent  string // the user agent in it, at most AgentBytes; may be empty
	Note   string // what was matched in it, in words; may be empty
}

// EvidenceBytes caps a line of evidence.
const EvidenceBytes = 512

// AgentBytes caps the user agent of a line of evidence.
const AgentBytes = 96

// Standing is what is known for good of a subject when a rule fired: who else
// would be hit by acting on it (the blast radius).
type Standing struct {
	Successes int64 // requests answered below 400 in the last 24 h
	People    int64 // estimated distinct consumers and agents behind the subject with successes
	Since     int64 // first seen, Unix nanoseconds
}

// Finding says that a rule fired for a subject in an event-time window. It is
// comparable; writing it twice is harmless, since its id depends only on the
// rule, the subject and the start of the window.
type Finding struct {
	ID         string
	Rule       string
	Version    int
	Family     Family
	Severity   Severity
	Confidence float64 // 0 to 1
	Subject    Subject
	Window     int64 // start of the finding's window, Unix nanoseconds
	FirstSeen  int64 // Unix nanoseconds, like all times here
	LastSeen   int64
	FiredAt    int64 // event time at which the rule first fired
	Updated    int64 // event time at which it was last judged: the later state of two
	Count      int64
	Why        string // one sentence for a person
	Route      string // the route most concerned, where that is meaningful
	Standing   Standing
	Members    string                // who together are the subject, see PackMembers; empty where it is one
	Suspects   string                // what they have in common and others have not, see PackSuspects
	Evidence   [MaxEvidence]Evidence // filled from the front; Line == "" ends it
}

// FindingID is the deterministic id of a finding.
func FindingID(rule string, subject Subject, window int64) string {
	h := sha256.New()
	var n [8]byte
	for _, s := range [...]string{rule, subject.Kind, subject.Value} {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	binary.BigEndian.PutUint64(n[:], uint64(window))
	h.Write(n[:])
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// EvidenceLines returns the evidence that is there.
func (f *Finding) EvidenceLines() []Evidence {
	for i := range f.Evidence {
		if f.Evidence[i] == (Evidence{}) {
			return f.Evidence[:i]
		}
	}
	return f.Evidence[:]
}
