package gateway

import (
	"crypto/rand"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/portcullis/portcullis/enforce"
)

// lockMark begins a key that is revoked for a while.
const lockMark = "portcullis-revoked-"

// lockLength is how many letters and digits of chance stand behind the mark.
const lockLength = 26

// lockKey is what a key becomes in the gateway while it is revoked: one that nobody can send,
// since it begins by 128 bits of chance. The key itself stands at its end, so that neither
// side can lose it, and a person can take the beginning off by hand.
func lockKey(key string) string { return lockMark + rand.Text()[:lockLength] + "-" + key }

// unlockKey is the key that was locked.
func unlockKey(locked string) (key string, ok bool) {
	rest, ok := strings.CutPrefix(locked, lockMark)
	if !ok || len(rest) < lockLength+2 || rest[lockLength] != '-' || strings.Trim(rest[:lockLength], "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return "", false
	}
	return rest[lockLength+1:], true
}

// lockable bounds a key that is locked: an index of PostgreSQL takes little more.
const lockable = 2048

// holdsKey says why a gateway that keeps keys itself cannot hold an entry on one. It shows
// no key.
func holdsKey(name string, t enforce.Target, a enforce.Action) error {
	key := t.Subject.Value
	switch {
	case a != enforce.Revoke:
		return fmt.Errorf("gateway %s: a key it can revoke, and not %.32q", name, a)
	case t.Route != "":
		return fmt.Errorf("gateway %s: it cannot tell routes apart", name)
	case key == "":
		return fmt.Errorf("gateway %s: a subject of kind \"key\" has no value", name)
	case pseudonym.MatchString(key):
		return fmt.Errorf("gateway %s: it has to be told the keys themselves: set keys_file", name)
	case len(key) > lockable:
		return fmt.Errorf("gateway %s: a key of more than %d bytes it cannot revoke", name, lockable)
	case strings.HasPrefix(key, lockMark):
		return fmt.Errorf("gateway %s: a key that begins with %s is revoked already", name, lockMark)
	case !utf8.ValidString(key) || strings.ContainsAny(key, "\x00\r\n"):
		return fmt.Errorf("gateway %s: a key has bytes that cannot be written for it", name)
	}
	return nil
}

// revokedKeys are the keys that are to be revoked, with the decision that says so.
func revokedKeys(list []enforce.Entry) map[string]string {
	out := map[string]string{}
	for i := range list {
		if e := &list[i]; e.Subject.Kind == "key" && e.Action == enforce.Revoke {
			out[e.Subject.Value] = e.Decision
		}
	}
	return out
}
