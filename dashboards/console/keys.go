package console

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/internal/keptfile"
)

// keyPrefix begins every API key, so that a scanner of repositories and of logs knows one.
const keyPrefix = "pck_"

// maxKeys bounds the keys of an installation, and maxKeyFile their file in bytes.
const (
	maxKeys    = 1000
	maxKeyFile = 1 << 20
)

// KeyName is how an API key may be called.
var KeyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Keys are the API keys of an installation as they stand in their file: names, roles and
// SHA-256 sums. A key has 128 bits or more of chance in it, so a sum gives nothing away
// and needs no salt.
type Keys struct {
	Keys []Key `json:"keys"`
}

// Key is one API key. During a rotation it has two secrets.
type Key struct {
	Name    string    `json:"name"`
	Role    Role      `json:"role"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero = never
	Secrets []Secret  `json:"secrets"`          // the newest first
}

// Secret stands for a secret that was shown once.
type Secret struct {
	SHA256 string    `json:"sha256"`
	Until  time.Time `json:"until,omitzero"` // when a rotation ends it; zero = with the key
}

// Live reports whether the key has not expired.
func (k Key) Live(now time.Time) bool { return k.Expires.IsZero() || now.Before(k.Expires) }

var keyFile = keptfile.Form{Setting: "console: keys_file", Command: "portcullis keys api", Most: maxKeyFile}

// ReadKeys reads the file; where there is none, there are no keys.
func ReadKeys(path string) (Keys, error) {
	data, err := keyFile.Read(path)
	if data == nil || err != nil {
		return Keys{}, err
	}
	return parseKeys(data, path)
}

func parseKeys(data []byte, path string) (Keys, error) {
	var k Keys
	if err := keyFile.Parse(data, path, &k); err != nil {
		return Keys{}, err
	}
	return k, k.check()
}

func (k Keys) check() error {
	if len(k.Keys) > maxKeys {
		return fmt.Errorf("console: keys_file: at most %d keys", maxKeys)
	}
	for _, key := range k.Keys {
		if _, err := ParseRole(string(key.Role)); err != nil {
			return err
		}
		for _, s := range key.Secrets {
			if b, err := hex.DecodeString(s.SHA256); err != nil || len(b) != sha256.Size {
				return fmt.Errorf("console: keys_file: the key %.64q has a sum that is no SHA-256", key.Name)
			}
		}
	}
	return nil
}

// UpdateKeys changes the file, which only its owner may read, and which no other command
// changes meanwhile.
func UpdateKeys(path string, change func(*Keys) error) error {
	return keptfile.UpdateJSON(path, "set console.keys_file, or --state-dir",
		func(data []byte) (Keys, error) { return parseKeys(data, path) }, change)
}

func (k *Keys) find(name string) int {
	return slices.IndexFunc(k.Keys, func(x Key) bool { return x.Name == name })
}

// newSecret makes a secret to be shown, and what is kept of it.
func newSecret() (text string, kept Secret) {
	text = keyPrefix + rand.Text() + rand.Text()
	return text, Secret{SHA256: sumOf(text)}
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Add makes a key and returns its secret, which is not to be had again. A zero expires
// means never.
func (k *Keys) Add(name string, role Role, now, expires time.Time) (secret string, err error) {
	switch {
	case !KeyName.MatchString(name):
		return "", fmt.Errorf("console: %.80q: a name has letters, digits and ._- only, 64 at most", name)
	case k.find(name) >= 0:
		return "", fmt.Errorf("console: there is a key named %s already: rotate or remove it, or take another name", name)
	case len(k.Keys) >= maxKeys:
		return "", fmt.Errorf("console: there are %d keys already: remove some", len(k.Keys))
	}
	secret, kept := newSecret()
	k.Keys = append(k.Keys, Key{Name: name, Role: role, Created: now.UTC(), Expires: expires.UTC(), Secrets: []Secret{kept}})
	if expires.IsZero() {
		k.Keys[len(k.Keys)-1].Expires = time.Time{}
	}
	return secret, nil
}

// Rotate gives a key a new secret; the one before is good for as long as overlap.
func (k *Keys) Rotate(name string, now time.Time, overlap time.Duration) (secret string, err error) {
	at := k.find(name)
	if at < 0 {
		return "", fmt.Errorf("console: there is no key named %.80q: see portcullis keys api list", name)
	}
	key := &k.Keys[at]
	secret, kept := newSecret()
	list := []Secret{kept}
	if overlap > 0 && len(key.Secrets) > 0 {
		last := key.Secrets[0]
		last.Until = now.Add(overlap).UTC()
		list = append(list, last)
	}
	key.Secrets = list
	return secret, nil
}

// Remove takes a key away.
func (k *Keys) Remove(name string) error {
	at := k.find(name)
	if at < 0 {
		return fmt.Errorf("console: there is no key named %.80q: see portcullis keys api list", name)
	}
	k.Keys = slices.Delete(k.Keys, at, at+1)
	return nil
}

// keyring is the keys file as the server uses it: it is read again when it changes, so
// that a removed key is refused at once. While the file cannot be read, the keys known
// last stay in force; complain hears of it, once for each reason.
type keyring struct {
	path     string // "" = no keys
	complain func(error)

	mu      sync.Mutex
	changed time.Time
	size    int64
	bySum   map[string]Key
	list    []Key
	ends    map[string]time.Time // of a sum
	said    string               // why the file could not be read, when it was last said
}

func newKeyring(path string, complain func(error)) *keyring {
	return &keyring{path: path, complain: complain}
}

func (k *keyring) refresh() {
	info, err := os.Stat(k.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.changed, k.size, k.bySum, k.list, k.ends = time.Time{}, 0, nil, nil, nil
		return
	case err == nil && info.ModTime().Equal(k.changed) && info.Size() == k.size:
		return
	}
	keys, err := ReadKeys(k.path)
	if err != nil {
		if k.said != err.Error() {
			k.said = err.Error()
			k.complain(err)
		}
		return
	}
	k.said = ""
	if info != nil {
		k.changed, k.size = info.ModTime(), info.Size()
	}
	k.bySum, k.list, k.ends = map[string]Key{}, keys.Keys, map[string]time.Time{}
	for _, key := range keys.Keys {
		for _, s := range key.Secrets {
			k.bySum[s.SHA256], k.ends[s.SHA256] = key, s.Until
		}
	}
}

// known returns the key that a secret opens.
func (k *keyring) known(secret string, now time.Time) (Key, bool) {
	if !strings.HasPrefix(secret, keyPrefix) {
		return Key{}, false
	}
	return k.opened(sumOf(secret), now)
}

// opened returns the key that the secret of a sum opens.
func (k *keyring) opened(sum string, now time.Time) (Key, bool) {
	if k.path == "" {
		return Key{}, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refresh()
	key, ok := k.bySum[sum]
	if end := k.ends[sum]; !ok || !key.Live(now) || !end.IsZero() && !now.Before(end) {
		return Key{}, false
	}
	return key, true
}

func (k *keyring) all() []Key {
	if k.path == "" {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refresh()
	return k.list
}
