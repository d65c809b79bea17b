// Package journal is what enforcers, consoles and detectors of one installation
// write to the decisions topic and read from it: keyed records, of which the
// newest of a key counts, and the fence that tells a leader's from those of one
// that leads no longer.
package journal

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Version is that of the values. A record of a newer one is kept out: this
// program cannot know what it means.
const Version = 1

// ValueMax caps a value. The largest, a decision with sixteen findings, stays
// below 8 KiB.
const ValueMax = 64 << 10

// Record is one message of the decisions topic.
type Record struct {
	Key    string
	Value  []byte // nil deletes what stands under the key
	Epoch  int64  // of the leader that wrote it; 0 with a request, which anybody may write
	Offset int64  // in the topic; only said by those who read it
}

// The kinds of records: the first part of a key.
const (
	Decision = "decision" // decision/ID: a decision as it stands
	Change   = "change"   // change/ID/N: one step in its life, from 0
	Counted  = "counted"  // counted/KIND/VALUE/FINDING: how a finding weighs on a subject
	Allow    = "allow"    // allow/VALUE: an entry of the allow-list
	Command  = "command"  // command/UID: what a person wanted, and what came of it
	Request  = "request"  // request/UID: what a person wants
	Meta     = "meta"     // meta/panic: the panic switch
	Watch    = "watch"    // watch/KIND/VALUE: whose requests detectors report
	Leader   = "leader"   // leader/EPOCH/MEMBER: from here on this member leads
	Mark     = "mark"     // mark: the end of an append, so that its leader sees it come back
)

// Key makes a key of a kind and its parts, which may hold any bytes.
func Key(kind string, parts ...string) string {
	var b strings.Builder
	b.WriteString(kind)
	for _, p := range parts {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(p))
	}
	return b.String()
}

// Split is the inverse of Key. It takes only what Key makes.
func Split(key string) (kind string, parts []string, ok bool) {
	fields := strings.Split(key, "/")
	kind = fields[0]
	if strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz") != "" {
		return "", nil, false
	}
	for _, f := range fields[1:] {
		p, err := url.PathUnescape(f)
		if err != nil {
			return "", nil, false
		}
		parts = append(parts, p)
	}
	return kind, parts, kind != "" && Key(kind, parts...) == key
}

// Term is the time in which one member leads.
type Term struct {
	Epoch  int64
	Member string
	At     int64 // when it began by the member's clock, Unix nanoseconds
	Needs  int   // the lowest Version that can lead after it
}

type termValue struct {
	V     int   `json:"v"`
	At    int64 `json:"at"`
	Needs int   `json:"needs"`
}

// Record is what begins the term.
func (t Term) Record() Record {
	value, _ := json.Marshal(termValue{V: Version, At: t.At, Needs: t.Needs}) // numbers always marshal
	return Record{Key: Key(Leader, strconv.FormatInt(t.Epoch, 10), t.Member), Value: value, Epoch: t.Epoch}
}

// parseTerm reads a leader's record. The value of a newer version may hold
// more; what is read here stays.
func parseTerm(r Record, parts []string) (Term, error) {
	t, err := TermKey(parts)
	if err != nil {
		return Term{}, err
	}
	if t.Epoch != r.Epoch {
		return Term{}, fmt.Errorf("journal: the key of a leader says epoch %d, the record %d", t.Epoch, r.Epoch)
	}
	var v termValue
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return Term{}, fmt.Errorf("journal: read a leader: %w", err)
	}
	t.At, t.Needs = v.At, v.Needs
	return t, nil
}

// TermKey reads the parts of a leader's key.
func TermKey(parts []string) (Term, error) {
	if len(parts) != 2 || parts[1] == "" {
		return Term{}, fmt.Errorf("journal: the key of a leader has an epoch and a member")
	}
	epoch, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil || epoch < 1 || strconv.FormatInt(epoch, 10) != parts[0] {
		return Term{}, fmt.Errorf("journal: %.40q is no epoch", parts[0])
	}
	return Term{Epoch: epoch, Member: parts[1]}, nil
}
