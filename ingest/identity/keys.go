package identity

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// KeyBytes is the length of each of the installation's keys.
const KeyBytes = 32

// maxGenerations bounds the pseudonym keys that are in use at a time: every one
// costs each new secret another HMAC, and each sealed pseudonym 17 bytes.
const maxGenerations = 4

// Generation is one pseudonym key. A pseudonym does not say of which it is.
type Generation struct {
	ID      int // 1, 2, ...
	Key     [KeyBytes]byte
	Created time.Time // zero: not known, a key file from before there were generations
}

// Ring is the content of the key file. Root outlives rotations: what must not
// change with them is derived from it (seals, hidden addresses, hash seeds).
// It tells nothing of the pseudonym keys, nor they of it.
type Ring struct {
	Root [KeyBytes]byte
	Keys []Generation // oldest first, never empty; the last one makes new pseudonyms
}

// NewRing makes a ring of one generation from a source of random bytes.
func NewRing(random io.Reader, now time.Time) (Ring, error) {
	r := Ring{Keys: []Generation{{ID: 1, Created: now.UTC().Truncate(time.Second)}}}
	for _, key := range []*[KeyBytes]byte{&r.Root, &r.Keys[0].Key} {
		if _, err := io.ReadFull(random, key[:]); err != nil {
			return Ring{}, fmt.Errorf("identity: a new key: %w", err)
		}
	}
	return r, nil
}

// RingOf makes the ring of an installation that has one bare key.
func RingOf(key [KeyBytes]byte) Ring {
	return Ring{Root: derive(key, "root"), Keys: []Generation{{ID: 1, Key: key}}}
}

// derive makes an independent key for one purpose (HKDF with SHA-256, RFC 5869).
func derive(key [KeyBytes]byte, purpose string) (out [KeyBytes]byte) {
	b, err := hkdf.Key(sha256.New, key[:], nil, "portcullis "+purpose, len(out))
	if err != nil { // only for lengths beyond 255 hashes
		return sha256.Sum256(append([]byte(purpose), key[:]...))
	}
	copy(out[:], b)
	return out
}

// Secret makes a key of its own for one purpose, which does not change with rotations.
func (r Ring) Secret(purpose string) [KeyBytes]byte { return derive(r.Root, purpose) }

// Rotate returns the ring with a new generation in use. Generations that were
// replaced longer than overlap before now are dropped for good.
func (r Ring) Rotate(random io.Reader, now time.Time, overlap time.Duration) (Ring, error) {
	next := Ring{Root: r.Root, Keys: append([]Generation(nil), r.live(now, overlap)...)}
	if len(next.Keys) >= maxGenerations {
		return r, fmt.Errorf("identity: %d generations of pseudonym keys are still in use, which is the most: rotate again once the oldest has run out (identity.key_overlap is %s)", len(next.Keys), overlap)
	}
	g := Generation{ID: next.Keys[len(next.Keys)-1].ID + 1, Created: now.UTC().Truncate(time.Second)}
	if _, err := io.ReadFull(random, g.Key[:]); err != nil {
		return r, fmt.Errorf("identity: a new key: %w", err)
	}
	next.Keys = append(next.Keys, g)
	return next, nil
}

// live are the generations in use at a time: the newest, and those whose
// successor is younger than overlap.
func (r Ring) live(now time.Time, overlap time.Duration) []Generation {
	first := len(r.Keys) - 1
	for first > 0 && now.Sub(r.Keys[first].Created) < overlap {
		first--
	}
	return r.Keys[first:]
}

// Apply puts the ring's keys into the config: the newest makes pseudonyms, those
// replaced within overlap are still resolved.
func (r Ring) Apply(c *Config, now time.Time) {
	live := r.live(now, c.KeyOverlap)
	c.Root, c.Key, c.Older = r.Root, live[len(live)-1].Key, nil
	for i := len(live) - 2; i >= 0; i-- {
		c.Older = append(c.Older, live[i].Key)
	}
}

const ringHead = `# Keys of this Portcullis installation: back this file up, show it to nobody.
# "portcullis keys rotate" adds a generation. Format: id:64 hexadecimal digits, created.
`

// Bytes is the ring as the key file holds it.
func (r Ring) Bytes() []byte {
	b := bytes.NewBufferString(ringHead)
	fmt.Fprintf(b, "root:%x\n", r.Root)
	for _, g := range r.Keys {
		fmt.Fprintf(b, "%d:%x", g.ID, g.Key)
		if !g.Created.IsZero() {
			fmt.Fprintf(b, " %s", g.Created.Format(time.RFC3339))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// ParseRing reads a key file: lines as Bytes writes them, or one bare key. Its
// errors name the line and never show a key.
func ParseRing(data []byte) (Ring, error) {
	text := strings.TrimSpace(string(data))
	if !strings.ContainsAny(text, ":#\n") {
		key, err := parseKey(text)
		return RingOf(key), err
	}
	var r Ring
	for n, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if err := r.add(line); err != nil {
			return Ring{}, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	switch {
	case len(r.Keys) == 0:
		return Ring{}, fmt.Errorf("no key in it: want lines of id:%d hexadecimal digits", 2*KeyBytes)
	case r.Root == [KeyBytes]byte{}:
		return Ring{}, fmt.Errorf("its line root:... is missing")
	}
	return r, nil
}

// add takes one line of a key file.
func (r *Ring) add(line string) error {
	id, rest, _ := strings.Cut(line, ":")
	digits, created, _ := strings.Cut(rest, " ")
	key, err := parseKey(digits)
	if err != nil {
		return err
	}
	if id == "root" {
		r.Root = key
		return nil
	}
	g := Generation{Key: key}
	if g.ID, err = strconv.Atoi(id); err != nil || g.ID < 1 {
		return fmt.Errorf("want a number or root before the colon")
	}
	if n := len(r.Keys); n > 0 && g.ID <= r.Keys[n-1].ID {
		return fmt.Errorf("generation %d does not follow %d", g.ID, r.Keys[n-1].ID)
	}
	if created = strings.TrimSpace(created); created != "" {
		if g.Created, err = time.Parse(time.RFC3339, created); err != nil {
			return fmt.Errorf("want the time of creation like 2026-03-02T10:00:00Z")
		}
	}
	r.Keys = append(r.Keys, g)
	return nil
}

func parseKey(digits string) (key [KeyBytes]byte, err error) {
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != len(key) {
		return key, fmt.Errorf("want %d hexadecimal digits", 2*len(key))
	}
	copy(key[:], b)
	if key == [KeyBytes]byte{} {
		return key, fmt.Errorf("a key of zeros is none")
	}
	return key, nil
}
