package serve

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// Bounds of a keys file. A plain key shorter than minKey could be guessed.
const (
	minKey       = 16
	maxKeys      = 1024
	maxKeysBytes = 1 << 20
)

// key is one line of the file; only a digest of the key is kept.
type key struct {
	name   string // as the file has it; "line 3" for a plain key
	digest [sha256.Size]byte
}

// readKeys reads a keys file. Errors name the line, never what it holds.
func readKeys(path string) ([]key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("serve: keys_file: %w", err)
	}
	if info.Size() > maxKeysBytes {
		return nil, fmt.Errorf("serve: keys_file: %s has %d bytes, at most %d: is it the right file?", path, info.Size(), maxKeysBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("serve: keys_file: %w", err)
	}
	keys, err := parseKeys(string(data))
	if err != nil {
		return nil, fmt.Errorf("serve: keys_file: %s: %w", path, err)
	}
	return keys, nil
}

// parseKeys reads the lines of a keys file.
func parseKeys(data string) ([]key, error) {
	var out []key
	number := 0
	for line := range strings.Lines(data) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		k, err := parseKey(line, number)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	switch {
	case len(out) == 0:
		return nil, fmt.Errorf("holds no key: write one a line, such as the output of: openssl rand -hex 32")
	case len(out) > maxKeys:
		return nil, fmt.Errorf("holds %d keys, at most %d", len(out), maxKeys)
	}
	return out, nil
}

// parseKey reads name:SHA-256 in hex, or a plain key.
func parseKey(line string, number int) (key, error) {
	if i := strings.LastIndexByte(line, ':'); i >= 0 && len(line)-i-1 == 2*sha256.Size {
		if sum, err := hex.DecodeString(line[i+1:]); err == nil {
			return key{name: line[:i], digest: [sha256.Size]byte(sum)}, nil
		}
	}
	if len(line) < minKey {
		return key{}, fmt.Errorf("line %d: a key of fewer than %d characters can be guessed: make one with openssl rand -hex 32", number, minKey)
	}
	return key{name: fmt.Sprintf("line %d", number), digest: sha256.Sum256([]byte(line))}, nil
}

// find compares with every key, so that the time it takes tells nothing.
func find(keys []key, digest [sha256.Size]byte) (name string, ok bool) {
	at := -1
	for i := range keys {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(keys[i].digest[:], digest[:]), i, at)
	}
	if at < 0 {
		return "", false
	}
	return keys[at].name, true
}
