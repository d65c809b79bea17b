package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/kafkanet"
)

// Layout is over how many partitions clients are spread. It is fixed when the
// topics are made: a client's state is in the partition of its shard.
type Layout struct {
	Partitions int `json:"partitions"` // of access
	Wide       int `json:"wide"`       // of partials
}

// layoutKey is the key of the layout, in partition 0 of the state topic.
const layoutKey = "layout"

// layoutBox holds the layout once it is known.
type layoutBox struct {
	mu sync.Mutex
	is Layout
}

// Layout is the layout that holds; of zeros before Ensure.
func (c *Client) Layout() Layout {
	c.layout.mu.Lock()
	defer c.layout.mu.Unlock()
	return c.layout.is
}

// settle finds the layout that holds. Who made the state topic writes it; the
// others wait for it, and write it where that one died in between.
func (c *Client) settle(ctx context.Context, want Layout, first bool) (Layout, error) {
	var is Layout
	found := false
	pause := pauseShort()
	for deadline := time.Now().Add(5 * time.Second); !first; {
		var err error
		is, found, err = c.readLayout(ctx)
		late := time.Now().After(deadline)
		if err != nil {
			return is, err
		}
		if found || late || !sleep(ctx, pause) {
			break
		}
	}
	if !found {
		if err := c.SetLayout(ctx, want); err != nil {
			return is, err
		}
		is = want
	}
	if is != want {
		c.log.Info("kafka: the topics were made with other numbers of partitions than the settings say; those of the topics hold",
			"partitions", is.Partitions, "wide_partitions", is.Wide, "hint", "to change them: portcullis kafka rescale")
	}
	c.layout.mu.Lock()
	defer c.layout.mu.Unlock()
	c.layout.is = is
	return is, nil
}

// readLayout looks for the layout in the state topic.
func (c *Client) readLayout(ctx context.Context) (is Layout, found bool, err error) {
	err = c.ReadAll(ctx, State, 0, func(m *bus.Message) error {
		if string(m.Key) != layoutKey || m.Value == nil {
			return nil
		}
		is, err = decodeLayout(m.Value)
		found = err == nil
		return err
	})
	if err != nil {
		return is, false, fmt.Errorf("kafka: layout: %w", err)
	}
	return is, found, nil
}

func decodeLayout(b []byte) (l Layout, err error) {
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("%w (was it written by a newer version?)", err)
	}
	if l.Partitions < 1 || l.Partitions > 256 || l.Wide < 1 || l.Wide > 256 {
		return l, fmt.Errorf("%d and %d partitions are out of range (was it written by a newer version?)", l.Partitions, l.Wide)
	}
	return l, nil
}

// SetLayout writes the layout that holds from now on. Nobody may be at work: it
// is for who makes the topics, and for portcullis kafka rescale.
func (c *Client) SetLayout(ctx context.Context, l Layout) error {
	value, err := json.Marshal(l)
	if err == nil {
		_, err = decodeLayout(value)
	}
	if err != nil {
		return fmt.Errorf("kafka: layout: %w", err)
	}
	p := c.Producer()
	defer p.Close()
	if _, err := p.SendWait(ctx, State, 0, bus.Message{Key: []byte(layoutKey), Value: value}); err != nil {
		return fmt.Errorf("kafka: write the layout: %w", err)
	}
	c.layout.mu.Lock()
	defer c.layout.mu.Unlock()
	c.layout.is = l
	return nil
}

// pauseShort is for what is soon mended.
func pauseShort() *kafkanet.Pause {
	return &kafkanet.Pause{First: 100 * time.Millisecond, Last: time.Second}
}

func sleep(ctx context.Context, p *kafkanet.Pause) bool { return kafkanet.Sleep(ctx, p.Next()) }
