package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

const apisixConsumers = "/apisix/admin/consumers"

// apisixLook is how often consumers are looked at for something of ours where there was none:
// an etcd may be put back from a backup.
const apisixLook = 10 * time.Minute

// apisixWork brings the consumers from what they are to what is wanted.
type apisixWork struct {
	g       *APISIX
	want    map[string]*enforce.Entry // by name
	revoked map[string]string         // keys, with their decisions
	changed int
	marked  int     // consumers that have something of ours
	stuck   []error // what stops one alone
}

// consumers makes the plugins and keys of the consumers those that are wanted.
func (g *APISIX) consumers(ctx context.Context, list []enforce.Entry) (changed int, stuck []error, err error) {
	w := apisixWork{g: g, want: map[string]*enforce.Entry{}, revoked: revokedKeys(list)}
	for i := range list {
		if e := &list[i]; e.Subject.Kind == "consumer" {
			w.want[e.Subject.Value] = e
		}
	}
	if len(w.want) == 0 && len(w.revoked) == 0 && time.Now().Before(g.untouched) {
		return 0, nil, nil
	}
	g.untouched = time.Time{}
	have, err := g.list(ctx, apisixConsumers, "username")
	if err != nil {
		return 0, nil, err
	}
	missing := maps.Clone(w.revoked)
	for i := range have {
		was, _ := unlockKey(have[i].key())
		delete(missing, was)
		delete(missing, have[i].key())
	}
	for i := range have {
		if err := w.consumer(ctx, &have[i], len(missing) > 0); err != nil {
			return 0, nil, err
		}
	}
	if w.marked == 0 && len(w.stuck) == 0 {
		g.untouched = time.Now().Add(apisixLook)
	}
	return w.changed, w.stuck, nil
}

// consumer does one: with all its credentials, if some key has not been found elsewhere.
func (w *apisixWork) consumer(ctx context.Context, c *apisixConsumer, search bool) error {
	e := w.want[c.name]
	labels := c.part("labels", false)
	_, differs := c.turn(w.revoked)
	var credentials []apisixConsumer
	if labels[apisixKeysLabel] != nil || search {
		var err error
		if credentials, err = w.g.credentialsOf(ctx, c.name); err != nil {
			return err
		}
	}
	keep, turned := false, []int{}
	for i := range credentials {
		_, turns := credentials[i].turn(w.revoked)
		if turns {
			turned = append(turned, i)
		}
		_, isLocked := unlockKey(credentials[i].key())
		keep = keep || isLocked != turns // it is, or will be
	}
	if _, locked := unlockKey(c.key()); e != nil || locked || differs || keep || labels[apisixLabel] != nil {
		w.marked++
	}
	if keep && labels[apisixKeysLabel] == nil { // where to look is written down first
		stuck := len(w.stuck)
		if err := w.change(ctx, c, labelled); err != nil || len(w.stuck) > stuck {
			return err
		}
	}
	for _, i := range turned {
		if err := w.credential(ctx, c.name, &credentials[i]); err != nil {
			return err
		}
	}
	if err := w.change(ctx, c, w.rekeyed); err != nil {
		return err
	}
	return w.change(ctx, c, func(c *apisixConsumer) (n int, err error) { return w.edit(c, e, keep) })
}

// labelled says that some of its credentials are locked.
func labelled(c *apisixConsumer) (n int, err error) {
	c.part("labels", true)[apisixKeysLabel] = "locked"
	return 0, nil
}

// rekeyed locks the key of its own, or gives it back.
func (w *apisixWork) rekeyed(c *apisixConsumer) (n int, err error) {
	key, differs := c.turn(w.revoked)
	if !differs {
		return 0, nil
	}
	c.rekey(key)
	return 1, nil
}

// edit gives a consumer its plugin, and counts what was changed.
func (w *apisixWork) edit(c *apisixConsumer, e *enforce.Entry, keep bool) (n int, err error) {
	changed, err := c.become(e)
	if changed {
		n++
	}
	if labels := c.part("labels", false); !keep && labels[apisixKeysLabel] != nil && len(w.stuck) == 0 {
		delete(labels, apisixKeysLabel)
		c.tidy()
	}
	return n, err
}

// change edits a consumer. What has to be written is read anew, edited and written at once:
// the API has no condition under which it would write.
func (w *apisixWork) change(ctx context.Context, c *apisixConsumer, edit func(c *apisixConsumer) (int, error)) error {
	differs, _, err := c.edited(edit)
	if err != nil {
		w.stuck = append(w.stuck, err)
		return nil
	}
	if !differs {
		return nil
	}
	path := apisixConsumers + "/" + url.PathEscape(c.name)
	now, err := w.g.read(ctx, path, c.name)
	if err != nil || now == nil {
		return err
	}
	differs, n, err := now.edited(edit)
	if err != nil {
		w.stuck = append(w.stuck, err)
		return nil
	}
	if !differs {
		return nil
	}
	return w.put(ctx, path, now, n, "a consumer cannot be changed, such as because another one has its key by now")
}

// edited tells whether an edit changes anything, and what it counts.
func (c *apisixConsumer) edited(edit func(c *apisixConsumer) (int, error)) (differs bool, n int, err error) {
	before, err := json.Marshal(c.value)
	if err != nil {
		return false, 0, err
	}
	if n, err = edit(c); err != nil {
		return false, 0, err
	}
	after, err := json.Marshal(c.value)
	return string(before) != string(after), n, err
}

// put writes one back, by which n entries change; what APISIX refuses of it stops no other.
// Its errors do not say what APISIX says: that may repeat a key.
func (w *apisixWork) put(ctx context.Context, path string, c *apisixConsumer, n int, what string) error {
	delete(c.value, "update_time") // it is that of the change
	_, err := w.g.api.call(ctx, "PUT", path, c.value, nil)
	switch {
	case refusedWith(err, 400):
		w.stuck = append(w.stuck, fmt.Errorf("%s: %w", what, withoutAnswer(err)))
		return nil
	case err != nil:
		return withoutAnswer(err)
	}
	w.changed += n
	return nil
}

// credential turns the key of one credential, unless somebody changed it since it was read.
func (w *apisixWork) credential(ctx context.Context, consumer string, c *apisixConsumer) error {
	path := apisixConsumers + "/" + url.PathEscape(consumer) + "/credentials/" + url.PathEscape(c.name)
	now, err := w.g.read(ctx, path, c.name)
	if err != nil || now == nil {
		return err
	}
	key, differs := now.turn(w.revoked)
	if now.key() != c.key() || !differs {
		return fmt.Errorf("a credential of a consumer was changed meanwhile")
	}
	now.rekey(key)
	return w.put(ctx, path, now, 1, "a credential of a consumer cannot be changed, such as because another one has its key by now")
}

// read reads one; nil = it is not there any more.
func (g *APISIX) read(ctx context.Context, path, name string) (*apisixConsumer, error) {
	var got struct {
		Value json.RawMessage `json:"value"`
	}
	_, err := g.api.call(ctx, "GET", path, nil, &got)
	if refusedWith(err, 404) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := &apisixConsumer{name: name}
	return c, c.read(got.Value)
}
