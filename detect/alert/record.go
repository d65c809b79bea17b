package alert

import (
	"context"
	"encoding/json"
	"fmt"
)

// The kinds of records. Those of people are written by whoever a person talks to; the
// others only by the process that sends.
const (
	kindAlert   = "alert"
	kindChannel = "channel"
	kindEngine  = "engine"
	KindLead    = "lead" // a sender begins; by who shares the records with others

	kindSilence = "silence"
	kindAck     = "ack"
	kindAudit   = "audit"
)

// OfPeople reports whether records of a kind are written for people.
func OfPeople(kind string) bool {
	return kind == kindSilence || kind == kindAck || kind == kindAudit
}

// Record is one thing that is remembered: JSON by kind and key.
type Record struct {
	Kind  string
	Key   string
	Value []byte // nil deletes it
}

// Store remembers. It may be called from any goroutine.
type Store interface {
	// Load returns all records.
	Load(ctx context.Context) ([]Record, error)
	// Put writes records at once: on nil they are durable, and the caller is the one that
	// may send. An error leaves open whether they were written.
	Put(ctx context.Context, recs []Record) error
	// Since returns the records of people that were written after a place, and the place
	// to go on from.
	Since(ctx context.Context, place int64) ([]Record, int64, error)
}

// Silence keeps alerts quiet for a while.
type Silence struct {
	ID    string   `json:"id"`
	Match Matchers `json:"match"`
	From  int64    `json:"from"`  // wall clock, Unix nanoseconds
	Until int64    `json:"until"` // when it is over
	Who   string   `json:"who"`
	Why   string   `json:"why"`
	Ended int64    `json:"ended,omitempty"` // somebody ended it before its time
}

// Active reports whether it holds at a time.
func (s *Silence) Active(nanos int64) bool {
	return s.Ended == 0 && nanos >= s.From && nanos < s.Until
}

// Ack says that a person looks after an alert.
type Ack struct {
	Alert string `json:"alert"`
	At    int64  `json:"at"`
	Who   string `json:"who"`
	Why   string `json:"why"`
}

// Entry is one line of the record of who did what.
type Entry struct {
	At   int64  `json:"at"`
	Who  string `json:"who"`
	What string `json:"what"` // silence, end silence, acknowledge, test
	On   string `json:"on"`   // id of the silence or alert, name of the channel
	Why  string `json:"why"`
}

// place is how far the stored findings were looked at.
type place struct {
	Seen int64 `json:"seen"` // event time of the newest finding
	At   int64 `json:"at"`   // wall clock
}

// recordOf encodes a value.
func recordOf(kind, key string, v any) (Record, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Record{}, fmt.Errorf("alert: encode %s %.80q: %w", kind, key, err)
	}
	return Record{Kind: kind, Key: key, Value: data}, nil
}

// decode reads a value.
func decode[T any](r Record) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(r.Value, v); err != nil {
		return nil, fmt.Errorf("alert: stored %s %.80q: %w", r.Kind, r.Key, err)
	}
	return v, nil
}
