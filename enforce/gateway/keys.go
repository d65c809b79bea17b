package gateway

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/portcullis/portcullis/enforce"
)

// Keys are API keys, tokens or session ids that a gateway may be told, by the digits of
// their pseudonyms: findings know a key by its pseudonym only, a gateway by itself.
type Keys map[string]string

// keyMax bounds a key.
const keyMax = 8 << 10

// ReadKeys reads a file of keys, one a line; digits gives those of the pseudonyms of a key,
// by the newest key of the installation and by earlier ones. Its errors show no key.
func ReadKeys(path string, digits func(secret string) []string) (Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("gateway: keys_file: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().Perm()&0o004 != 0 {
		return nil, fmt.Errorf("gateway: keys_file: %s can be read by everybody: chmod o-r", path)
	}
	keys := Keys{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, keyMax)
	for lines.Scan() {
		key := strings.TrimSpace(lines.Text())
		if key == "" || key[0] == '#' {
			continue
		}
		for _, d := range digits(key) {
			keys[d] = key
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("gateway: keys_file: %s: %w", path, err)
	}
	return keys, nil
}

// pseudonym is how findings name a key, a token or a session.
var pseudonym = regexp.MustCompile(`^[kts]_[0-9a-f]{16}$`)

// WithKeys is a gateway that is told keys themselves. One that is not among them cannot be
// held.
func WithKeys(gw enforce.Gateway, keys Keys) enforce.Gateway { return keyed{gw, keys} }

type keyed struct {
	enforce.Gateway
	keys Keys
}

// told is a target as the gateway knows it.
func (k keyed) told(t enforce.Target) (enforce.Target, error) {
	if !pseudonym.MatchString(t.Subject.Value) || t.Subject.Kind != "key" && t.Subject.Kind != "session" {
		return t, nil
	}
	key, ok := k.keys[t.Subject.Value[2:]]
	if !ok {
		return t, fmt.Errorf("gateway %s: the %s %s is not in its keys_file", k.Name(), t.Subject.Kind, t.Subject.Value)
	}
	t.Subject.Value = key
	return t, nil
}

// Holds implements enforce.Holder.
func (k keyed) Holds(t enforce.Target, a enforce.Action) error {
	t, err := k.told(t)
	if err != nil {
		return err
	}
	return enforce.Holds(k.Gateway, t, a)
}

// Apply implements enforce.Gateway.
func (k keyed) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	told := make([]enforce.Entry, len(want))
	for i, e := range want {
		t, err := k.told(e.Target())
		if err != nil {
			return enforce.Applied{}, err
		}
		e.Subject = t.Subject
		told[i] = e
	}
	return k.Gateway.Apply(ctx, told)
}
