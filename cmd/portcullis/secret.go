package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/portcullis/portcullis/ingest/identity"
)

// keyFile holds the installation's secret within the state folder.
const keyFile = "installation.key"

// secretOf reads the installation's secret; with create it makes one where there
// is none. Without one (a replay on a machine with no installation) it is fixed,
// so that two replays agree: pseudonyms are then only as good as a plain hash.
func secretOf(dir string, create bool) ([identity.KeyBytes]byte, error) {
	var key [identity.KeyBytes]byte
	path := filepath.Join(dir, keyFile)
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		if _, err := hex.Decode(key[:], []byte(strings.TrimSpace(string(data)))); err != nil || len(strings.TrimSpace(string(data))) != 2*len(key) {
			return key, fmt.Errorf("installation key %s: want %d hexadecimal digits: restore it from a backup, or remove it to start with new pseudonyms", path, 2*len(key))
		}
		return key, nil
	case !errors.Is(err, fs.ErrNotExist) && (create || !errors.Is(err, fs.ErrPermission)):
		return key, fmt.Errorf("installation key: %w (it lies in state_dir: name a folder there, or with --state-dir)", err)
	case !create:
		return sha256.Sum256([]byte("portcullis: replay without an installation")), nil
	}
	if _, err := rand.Read(key[:]); err != nil {
		return key, fmt.Errorf("installation key: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return key, fmt.Errorf("state folder: %w (set state_dir, or --state-dir)", err)
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(hex.EncodeToString(key[:])+"\n"), 0o600); err != nil {
		return key, fmt.Errorf("installation key: %w", err)
	}
	return key, os.Rename(tmp, path)
}

// seedOf derives the hash seed of the engine's tables from the secret.
func seedOf(key [identity.KeyBytes]byte) uint64 {
	sum := sha256.Sum256(append([]byte("engine seed"), key[:]...))
	return binary.BigEndian.Uint64(sum[:8])
}
