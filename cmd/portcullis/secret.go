package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/portcullis/portcullis/ingest/identity"
)

// keyFile holds the installation's keys within the state folder.
const keyFile = "installation.key"

// ringOf reads the installation's keys; with create it makes them where there are
// none. Without any (a replay on a machine with no installation) they are fixed, so that
// two replays agree: pseudonyms are then only as good as a plain hash.
func ringOf(dir string, create bool) (identity.Ring, error) {
	path := filepath.Join(dir, keyFile)
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		ring, err := identity.ParseRing(data)
		if err != nil {
			return ring, fmt.Errorf("installation key %s: %w: restore it from a backup, or remove it to start with new pseudonyms", path, err)
		}
		return ring, private(path, create)
	case !errors.Is(err, fs.ErrNotExist) && (create || !errors.Is(err, fs.ErrPermission)):
		return identity.Ring{}, fmt.Errorf("installation key: %w (it lies in state_dir: name a folder there, or with --state-dir)", err)
	case !create:
		return identity.RingOf(sha256.Sum256([]byte("portcullis: replay without an installation"))), nil
	}
	ring, err := identity.NewRing(rand.Reader, now())
	if err != nil {
		return ring, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return ring, fmt.Errorf("state folder: %w (set state_dir, or --state-dir)", err)
	}
	return ring, saveRing(path, ring)
}

// private takes a key file's bits away from everybody but its owner; only the service
// does, other commands may be run by somebody else.
func private(path string, service bool) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o077 == 0 || !service {
		return err
	}
	err = os.Chmod(path, info.Mode().Perm()&^0o077)
	if errors.Is(err, syscall.EROFS) {
		return nil // mounted read-only, as secrets are into containers: its bits are theirs who mounted it
	}
	if err != nil {
		return fmt.Errorf("installation key %s can be read by others: %w: chmod 600 it", path, err)
	}
	return nil
}

// saveRing replaces the key file as a whole: a kill leaves the old one or the new one.
func saveRing(path string, ring identity.Ring) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("installation key: %w", err)
	}
	_, err = f.Write(ring.Bytes())
	if err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("installation key: %w", err)
	}
	return os.Rename(path+".new", path)
}

// seedOf derives the hash seed of the engine's tables from a key.
func seedOf(key [identity.KeyBytes]byte) uint64 {
	sum := sha256.Sum256(append([]byte("engine seed"), key[:]...))
	return binary.BigEndian.Uint64(sum[:8])
}
