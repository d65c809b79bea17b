package authn

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/internal/keptfile"
)

// keyPrefix begins every client key, so that a scanner of repositories and of logs knows one.
// Behind it are the id, which may be shown, and the secret: pcc_ID_SECRET.
const (
	keyPrefix = "pcc_"
	idLength  = 12 // base32: 60 bits, to tell keys apart
	keyLength = len(keyPrefix) + idLength + 1 + 26
)

// Bounds of the keys of an installation, and of their file in bytes.
const (
	maxKeys    = 200_000
	maxKeyFile = 128 << 20
	maxRoutes  = 64
)

// SecretBytes is the length of the secret under which keys are stored.
const SecretBytes = 32

// KeyName is how a client key may be called.
var KeyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Keys are the client keys of an installation as they stand in their file.
type Keys struct {
	Keys []Key `json:"keys"`
}

// Key is one client key. During a rotation it has two secrets.
type Key struct {
	Name     string    `json:"name"`
	Consumer string    `json:"consumer"`
	Plan     string    `json:"plan,omitempty"` // names a quota
	Scopes   []string  `json:"scopes,omitempty"`
	Routes   []Route   `json:"routes,omitempty"` // none = every route
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"` // zero = never
	Revoked  time.Time `json:"revoked,omitzero"` // zero = not
	Secrets  []Secret  `json:"secrets"`          // the newest first
}

// Route is a route that a key opens.
type Route struct {
	Route   string   `json:"route"`
	Methods []string `json:"methods,omitempty"` // none = all
}

// ParseRoute reads a route as the command line has it: "/orders/*" or "GET,POST /orders/*".
func ParseRoute(text string) (Route, error) {
	var r Route
	methods, path, ok := strings.Cut(strings.TrimSpace(text), " ")
	if !ok {
		methods, path = "", methods
	}
	if r.Route = strings.TrimSpace(path); methods != "" {
		r.Methods = strings.Split(methods, ",")
	}
	if _, err := compile(r.Route, r.Methods); err != nil {
		return r, errors.New(err.text)
	}
	return r, nil
}

// String is the route as ParseRoute reads it.
func (r Route) String() string {
	return strings.TrimSpace(strings.Join(r.Methods, ",") + " " + r.Route)
}

// Secret stands for a secret that was shown once.
type Secret struct {
	ID    string    `json:"id"`             // stands in the key, in logs and in events
	MAC   string    `json:"hmac_sha256"`    // of the whole key, keyed by the installation's secret
	Until time.Time `json:"until,omitzero"` // when a rotation ends it; zero = with the key
}

// Live reports whether the key is neither expired nor revoked.
func (k Key) Live(now time.Time) bool {
	return k.Revoked.IsZero() && (k.Expires.IsZero() || now.Before(k.Expires))
}

var keyFile = keptfile.Form{Setting: "authn: client_keys_file", Command: "portcullis keys client", Most: maxKeyFile}

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

// UpdateKeys changes the file, which no other command changes meanwhile.
func UpdateKeys(path string, change func(*Keys) error) error {
	return keptfile.UpdateJSON(path, "set authz.client_keys_file, or --state-dir",
		func(data []byte) (Keys, error) { return parseKeys(data, path) }, change)
}

func (k Keys) check() error {
	if len(k.Keys) > maxKeys {
		return fmt.Errorf("authn: client_keys_file: at most %d keys", maxKeys)
	}
	for i := range k.Keys {
		if err := k.Keys[i].check(); err != nil {
			return fmt.Errorf("authn: client_keys_file: the key %.64q: %w", k.Keys[i].Name, err)
		}
	}
	return nil
}

func (k *Key) check() error {
	switch {
	case !KeyName.MatchString(k.Name):
		return errors.New("a name has letters, digits and ._- only, 64 at most")
	case !plainText(k.Consumer):
		return fmt.Errorf("the consumer %.40q must be up to 128 printable ASCII characters without quotes: it stands in headers", k.Consumer)
	case k.Plan != "" && !plainText(k.Plan):
		return fmt.Errorf("the plan %.40q must be up to 128 printable ASCII characters without quotes", k.Plan)
	case len(k.Scopes) > maxScopes || len(k.Routes) > maxRoutes:
		return fmt.Errorf("at most %d scopes and %d routes", maxScopes, maxRoutes)
	}
	for _, s := range k.Scopes {
		if !ScopeName(s) {
			return fmt.Errorf("%.40q is no scope: it has no blanks, quotes or backslashes", s)
		}
	}
	for _, r := range k.Routes {
		if _, err := compile(r.Route, r.Methods); err != nil {
			return errors.New(err.text)
		}
	}
	for _, s := range k.Secrets {
		if b, err := hex.DecodeString(s.MAC); err != nil || len(b) != sha256.Size || len(s.ID) != idLength {
			return errors.New("one of its secrets is no HMAC-SHA-256 with an id")
		}
	}
	return nil
}

func (k *Keys) find(name string) int {
	return slices.IndexFunc(k.Keys, func(x Key) bool { return x.Name == name })
}

// Issue adds a key and returns it as it is shown, this one time. secret is the
// installation's. The name of a key that is revoked or run out may be taken again.
func (k *Keys) Issue(secret [SecretBytes]byte, key Key, now time.Time) (shown string, err error) {
	if at := k.find(key.Name); at >= 0 {
		if k.Keys[at].Live(now) {
			return "", fmt.Errorf("authn: there is a key named %.64s already: rotate or revoke it, or take another name", key.Name)
		}
		k.Keys = slices.Delete(k.Keys, at, at+1)
	}
	if len(k.Keys) >= maxKeys {
		return "", fmt.Errorf("authn: there are %d keys already: take some out of the file", len(k.Keys))
	}
	shown, kept := newSecret(secret)
	key.Created, key.Expires, key.Secrets = now.UTC(), key.Expires.UTC(), []Secret{kept}
	k.Keys = append(k.Keys, key)
	return shown, nil
}

// Rotate gives a key a new secret; the one before is good for as long as overlap.
func (k *Keys) Rotate(secret [SecretBytes]byte, name string, now time.Time, overlap time.Duration) (shown string, err error) {
	at := k.find(name)
	switch {
	case at < 0:
		return "", errNoKey(name)
	case !k.Keys[at].Live(now):
		return "", fmt.Errorf("authn: the key %.64s is revoked or run out: issue it anew", name)
	}
	key := &k.Keys[at]
	shown, kept := newSecret(secret)
	list := []Secret{kept}
	if overlap > 0 && len(key.Secrets) > 0 {
		last := key.Secrets[0]
		last.Until = now.Add(overlap).UTC()
		list = append(list, last)
	}
	key.Secrets = list
	return shown, nil
}

// Revoke ends a key at once, which is found by its name or by an id that it has.
func (k *Keys) Revoke(name string, now time.Time) (Key, error) {
	at := slices.IndexFunc(k.Keys, func(x Key) bool {
		return x.Name == name || slices.ContainsFunc(x.Secrets, func(s Secret) bool { return s.ID == name })
	})
	if at < 0 {
		return Key{}, errNoKey(name)
	}
	if k.Keys[at].Revoked.IsZero() {
		k.Keys[at].Revoked = now.UTC()
	}
	return k.Keys[at], nil
}

func errNoKey(name string) error {
	return fmt.Errorf("authn: there is no key named %.80q: see portcullis keys client list", name)
}

// newSecret makes a key to be shown, and what is kept of it.
func newSecret(secret [SecretBytes]byte) (shown string, kept Secret) {
	id := rand.Text()[:idLength]
	shown = keyPrefix + id + "_" + rand.Text()
	mac := hmac.New(sha256.New, secret[:])
	mac.Write([]byte(shown))
	return shown, Secret{ID: id, MAC: hex.EncodeToString(mac.Sum(nil))}
}
