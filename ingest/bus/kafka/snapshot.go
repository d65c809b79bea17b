package kafka

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// The keys of a task's snapshot in its partition of the state topic:
//
//	TASK/blob/NAME/EPOCH.SEQ/CHUNK   a piece of a blob, as it was saved then
//	TASK/head/EPOCH                  the newest save of that owner, in JSON
//
// A head is written when all it names is there, and no blob is ever written over,
// so what a head names does not change.

// chunkBytes is the size of a piece.
const chunkBytes = 512 << 10

// metaBlob is the blob that holds a save's meta; names of callers begin otherwise.
const metaBlob = ".meta"

// maxHead bounds a head, so that it fits in a message: about 8000 blobs.
const maxHead = 1 << 20

// head is the table of contents of a snapshot.
type head struct {
	Version int       `json:"version"`
	Epoch   int64     `json:"epoch"` // of the owner who saved it
	Seq     int64     `json:"seq"`   // of its saves
	Blobs   []blobRef `json:"blobs"`
}

// headVersion is what this program writes and reads.
const headVersion = 1

// blobRef is a blob as it was saved at one time.
type blobRef struct {
	Name   string `json:"name"`
	Epoch  int64  `json:"epoch"`
	Seq    int64  `json:"seq"`
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"`
}

// chunks is how many pieces it has.
func (r *blobRef) chunks() int { return (r.Size + chunkBytes - 1) / chunkBytes }

// key of a piece.
func (r *blobRef) key(task string, chunk int) string {
	return fmt.Sprintf("%s/blob/%s/%d.%d/%d", task, r.Name, r.Epoch, r.Seq, chunk)
}

func headKey(task string, epoch int64) string { return fmt.Sprintf("%s/head/%d", task, epoch) }

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// validName is what a task or a blob may be called.
var validName = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]*(/[a-zA-Z0-9_][a-zA-Z0-9._-]*)*$`)

func checkName(what, name string) error {
	if !validName.MatchString(name) || len(name) > 200 || strings.Contains("/"+name+"/", "/blob/") || strings.Contains("/"+name+"/", "/head/") {
		return fmt.Errorf("kafka: state: %.80q cannot be the name of a %s: use up to 200 letters, digits, dots, dashes, underscores, and slashes between them", name, what)
	}
	return nil
}

// place is what a key of a task says.
type place struct {
	head       bool
	epoch, seq int64
}

// parseKey reads what stands behind "TASK/" in a key; ok is false for others.
func parseKey(rest string) (p place, ok bool) {
	if number, is := strings.CutPrefix(rest, "head/"); is {
		p.epoch, ok = parseCount(number)
		p.head = true
		return p, ok
	}
	rest, is := strings.CutPrefix(rest, "blob/")
	at := strings.LastIndexByte(rest, '/')
	if !is || at < 0 {
		return p, false
	}
	_, chunk := parseCount(rest[at+1:])
	rest = rest[:at]
	at = strings.LastIndexByte(rest, '/')
	if at < 1 || !chunk {
		return p, false
	}
	epoch, seq, _ := strings.Cut(rest[at+1:], ".")
	var okSeq bool
	p.epoch, ok = parseCount(epoch)
	p.seq, okSeq = parseCount(seq)
	return p, ok && okSeq
}

// parseCount reads a number from 0, written in the one usual way.
func parseCount(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && strconv.FormatInt(n, 10) == s
}

// decodeHead reads a head and checks that it can be one.
func decodeHead(b []byte) (*head, error) {
	var h head
	if err := json.Unmarshal(b, &h); err != nil {
		return nil, fmt.Errorf("its head is no JSON of ours: %w", err)
	}
	if h.Version != headVersion {
		return nil, fmt.Errorf("its head has version %d, and this program reads %d", h.Version, headVersion)
	}
	seen := map[string]bool{}
	for _, r := range h.Blobs {
		if r.Size < 0 || r.Size > math.MaxInt32 || r.Epoch < 0 || r.Epoch > h.Epoch || r.Seq < 0 || r.Epoch == h.Epoch && r.Seq > h.Seq {
			return nil, fmt.Errorf("its head names blob %.80q of size %d at %d.%d, which cannot be", r.Name, r.Size, r.Epoch, r.Seq)
		}
		if seen[r.Name] {
			return nil, fmt.Errorf("its head names blob %.80q twice", r.Name)
		}
		seen[r.Name] = true
	}
	if !seen[metaBlob] {
		return nil, errors.New("its head names no meta")
	}
	return &h, nil
}

// CorruptError is a snapshot that is not as it was saved.
type CorruptError struct {
	Topic     string // in full
	Partition int
	Task      string
	Err       error
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("kafka: %s/%d: the snapshot of %s is damaged: %v (was the topic's cleanup.policy other than compact, were records deleted, or has a newer version of portcullis written it? "+
		"to begin anew with the oldest lines that are there, and without what was known before: portcullis kafka forget %s/%d)", e.Topic, e.Partition, e.Task, e.Err, e.Task, e.Partition)
}

// Unwrap returns what was found.
func (e *CorruptError) Unwrap() error { return e.Err }
