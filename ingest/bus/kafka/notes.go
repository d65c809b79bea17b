package kafka

import (
	"context"
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/ingest/bus"
)

// notePrefix begins the keys of notes, in partition 0 of the state topic.
const notePrefix = "note/"

// Note writes a small record that lasts: the newest of its name counts, and nil takes
// it away. It waits until all in-sync replicas have it.
func (c *Client) Note(ctx context.Context, p *Producer, name string, value []byte) error {
	if _, err := p.SendWait(ctx, State, 0, bus.Message{Key: []byte(notePrefix + name), Value: value}); err != nil {
		return fmt.Errorf("kafka: note %.80q: %w", name, err)
	}
	return nil
}

// Notebook is what the state topic holds beside snapshots.
type Notebook struct {
	Layout Layout
	Found  bool // whether the layout is there
	Notes  map[string][]byte
}

// Notebook reads the layout and all notes as they are now.
func (c *Client) Notebook(ctx context.Context) (*Notebook, error) {
	out := &Notebook{Notes: map[string][]byte{}}
	err := c.ReadAll(ctx, State, 0, func(m *bus.Message) error {
		key := string(m.Key)
		name, note := strings.CutPrefix(key, notePrefix)
		switch {
		case key == layoutKey && m.Value != nil:
			is, err := decodeLayout(m.Value)
			out.Layout, out.Found = is, err == nil
			return err
		case note && m.Value == nil:
			delete(out.Notes, name)
		case note:
			out.Notes[name] = m.Value
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("kafka: notes: %w", err)
	}
	return out, nil
}
