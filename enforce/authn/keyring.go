package authn

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"hash"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// lookEvery is how often the file of keys is looked at: a revoked key is refused within
// that long.
const lookEvery = 250 * time.Millisecond

// keyring is the file of keys as it is used. A request reads one immutable table; the
// file is read beside it. While it cannot be read the keys known last stay in force, and
// before it could be read once nothing can be decided.
type keyring struct {
	path string
	log  *slog.Logger
	macs sync.Pool

	table atomic.Pointer[map[string]*entry] // by id; nil: not read yet

	mu   sync.Mutex
	seen os.FileInfo
	said string // why the file could not be read, when it was last said
}

// entry is one secret of a key.
type entry struct {
	mac    [sha256.Size]byte
	until  time.Time // zero = with the key
	key    *Key
	routes []pattern
	who    Identity
}

func newKeyring(path string, secret [SecretBytes]byte, log *slog.Logger) *keyring {
	k := &keyring{path: path, log: log}
	k.macs.New = func() any { return hmac.New(sha256.New, secret[:]) }
	k.look()
	return k
}

// follow looks at the file until ctx ends.
func (k *keyring) follow(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.look()
		}
	}
}

// look reads the file if it changed.
func (k *keyring) look() {
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.path)
	if err == nil && k.seen != nil && os.SameFile(info, k.seen) && info.ModTime().Equal(k.seen.ModTime()) && info.Size() == k.seen.Size() {
		return
	}
	keys, err := ReadKeys(k.path)
	if err != nil {
		if k.said != err.Error() {
			k.said = err.Error()
			k.log.Error("the clients' keys cannot be read; those known last stay in force", "error", err)
		}
		return
	}
	if info == nil && k.seen == nil && k.table.Load() != nil {
		return // there is no file still
	}
	k.said, k.seen = "", info
	table := make(map[string]*entry, len(keys.Keys))
	for i := range keys.Keys {
		addKey(table, &keys.Keys[i])
	}
	k.table.Store(&table)
}

// addKey puts the secrets of a key, which was checked, into a table.
func addKey(table map[string]*entry, key *Key) {
	var routes []pattern
	for _, r := range key.Routes {
		if p, err := compile(r.Route, r.Methods); err == nil {
			routes = append(routes, p)
		}
	}
	for _, s := range key.Secrets {
		e := &entry{until: s.Until, key: key, routes: routes,
			who: Identity{Consumer: key.Consumer, Plan: key.Plan, KeyID: s.ID, Kind: NeedKey, Scopes: key.Scopes, joined: strings.Join(key.Scopes, " ")}}
		sum, err := hex.DecodeString(s.MAC)
		if err == nil && copy(e.mac[:], sum) == len(e.mac) {
			table[s.ID] = e
		}
	}
}

// size is how many secrets are known.
func (k *keyring) size() int {
	if t := k.table.Load(); t != nil {
		return len(*t)
	}
	return 0
}

// health says that the file could not be read yet.
func (k *keyring) health() error {
	if k.table.Load() != nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return fmt.Errorf("authz: the clients' keys could not be read yet: %s", k.said)
}

// isKey tells what has the shape of a client key.
func isKey(shown string) bool {
	return len(shown) == keyLength && strings.HasPrefix(shown, keyPrefix) && shown[len(keyPrefix)+idLength] == '_'
}

// find looks a key up. Ids are no secret; how long the rest takes does not depend on how much of
// a secret is right.
func (k *keyring) find(shown string, now time.Time) (*entry, fault) {
	table := k.table.Load()
	if table == nil {
		return nil, faultBlind
	}
	if !isKey(shown) {
		return nil, faultUnknown
	}
	var sum [sha256.Size]byte
	mac, _ := k.macs.Get().(hash.Hash)
	mac.Reset()
	_, _ = mac.Write([]byte(shown)) // a hash takes everything
	mac.Sum(sum[:0])
	k.macs.Put(mac)
	id := shown[len(keyPrefix) : len(keyPrefix)+idLength]
	e := (*table)[id]
	if e == nil {
		// It may have been issued a moment ago: one look at the file's time tells.
		k.look()
		e = (*k.table.Load())[id]
	}
	have := [sha256.Size]byte{}
	if e != nil {
		have = e.mac
	}
	if subtle.ConstantTimeCompare(have[:], sum[:]) != 1 || e == nil {
		return nil, faultUnknown
	}
	switch {
	case !e.key.Revoked.IsZero():
		return nil, faultRevoked
	case !e.key.Live(now), !e.until.IsZero() && !now.Before(e.until):
		return nil, faultExpired
	}
	return e, faultNone
}

// opens tells whether a key's own routes allow every reading of a path.
func (e *entry) opens(paths, methods []string) bool {
	if len(e.routes) == 0 {
		return true
	}
	for _, method := range methods {
		for _, path := range paths {
			if !e.opensOne(path, method) {
				return false
			}
		}
	}
	return true
}

// opensOne does not fold: a key for /orders does not open /ORDERS.
func (e *entry) opensOne(path, method string) bool {
	for i := range e.routes {
		if e.routes[i].takes(method) && e.routes[i].fits(path, false) {
			return true
		}
	}
	return false
}
