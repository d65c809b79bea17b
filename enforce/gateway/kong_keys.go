package gateway

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// kongKey is a credential of the plugin key-auth, as the Admin API has it. It has no switch
// that turns it off, and deleting it would lose it.
type kongKey struct {
	ID       string   `json:"id"`
	Key      string   `json:"key"`
	Tags     []string `json:"tags"`
	TTL      float64  `json:"ttl"` // seconds that it still lasts; 0 = for ever
	Consumer struct {
		ID string `json:"id"`
	} `json:"consumer"`
}

// lock makes the keys that are revoked those that are wanted, with their decisions: first
// those that come, then those that go. What stops one alone is in stuck, and stops no other.
func (g *Kong) lock(ctx context.Context, want map[string]string) (changed int, stuck []error, err error) {
	locked, err := kongPages[kongKey](ctx, g.api, "/key-auths?size=1000&tags="+kongTag)
	if refusedWith(err, 404) {
		return 0, nil, nil // without the plugin key-auth there are no keys
	}
	if err != nil {
		return 0, nil, err
	}
	missing, over := maps.Clone(want), []kongKey{}
	for _, c := range locked {
		key, ok := unlockKey(c.Key)
		if _, stays := want[key]; ok && !stays {
			over = append(over, c)
		}
		delete(missing, key)
	}
	var fresh []kongKey
	if len(missing) > 0 {
		if fresh, err = kongPages[kongKey](ctx, g.api, "/key-auths?size=1000"); err != nil {
			return 0, nil, err
		}
	}
	for _, c := range fresh {
		decision, ok := missing[c.Key]
		if !ok {
			continue
		}
		if err := g.rekey(ctx, c, lockKey(c.Key), append(slices.Clone(c.Tags), kongTag)); err != nil {
			return changed, stuck, fmt.Errorf("decision %.64q: its key: %w", decision, err)
		}
		changed++
	}
	for _, c := range over {
		key, _ := unlockKey(c.Key) // asked above
		tags := slices.DeleteFunc(slices.Clone(c.Tags), func(t string) bool { return t == kongTag })
		err := g.rekey(ctx, c, key, tags)
		switch {
		case refusedWith(err, 409):
			stuck = append(stuck, fmt.Errorf("the credential %.64q cannot be given its key back, since another one has that key by now: delete one of them", c.ID))
		case err != nil:
			return changed, stuck, err
		default:
			changed++
		}
	}
	return changed, stuck, nil
}

// rekey gives a credential another key in one step, unless somebody changed it since it was
// read: that is for the next Apply. Its errors show no key.
func (g *Kong) rekey(ctx context.Context, c kongKey, key string, tags []string) error {
	path := "/consumers/" + url.PathEscape(c.Consumer.ID) + "/key-auth/" + url.PathEscape(c.ID)
	var now kongKey
	_, err := g.api.call(ctx, "GET", path, nil, &now)
	switch {
	case refusedWith(err, 404):
		return nil // somebody deleted it
	case err != nil:
		return err
	case now.Key != c.Key:
		return fmt.Errorf("the credential %.64q was changed meanwhile", c.ID)
	}
	change := object{"key": key, "tags": tags}
	if len(tags) == 0 {
		change["tags"] = nil
	}
	if now.TTL > 0 {
		change["ttl"] = int(now.TTL) // else it would last for ever, by some versions
	}
	_, err = g.api.call(ctx, "PATCH", path, change, nil)
	return withoutAnswer(err)
}

// withoutAnswer is a refusal whose words may repeat a key, without them.
func withoutAnswer(err error) error {
	if r, ok := err.(*refusal); ok {
		return &refusal{r.method, r.path, r.status, ""}
	}
	return err
}

// kongPages reads a collection, page by page.
func kongPages[T any](ctx context.Context, api *rest, path string) (out []T, err error) {
	start, _, _ := strings.Cut(path, "?")
	for path != "" {
		var page struct {
			Data []T    `json:"data"`
			Next string `json:"next"`
		}
		if _, err := api.call(ctx, "GET", path, nil, &page); err != nil {
			return nil, err
		}
		out = append(out, page.Data...)
		if page.Next != "" && !strings.HasPrefix(page.Next, start+"?") {
			return nil, fmt.Errorf("the next page is said to be at %.100q", page.Next)
		}
		path = page.Next
	}
	return out, nil
}
