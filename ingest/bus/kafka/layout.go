package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
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

	// Era grows each time that the partitions of access are divided anew. The
	// snapshots of level one have it in their names, so that those of the next era
	// can be written while the ones that hold are untouched.
	Era int64 `json:"era,omitempty"`
}

// StateName is what a task's snapshots are called in the state topic. Those of the
// tasks that read access are of an era.
func (l Layout) StateName(task string, reads string) string {
	if reads != Access || l.Era == 0 {
		return task
	}
	return task + "." + strconv.FormatInt(l.Era, 10)
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
	if is.Partitions != want.Partitions || is.Wide != want.Wide {
		c.log.Info("kafka: the topics were made with other numbers of partitions than the settings say; those of the topics hold",
			"partitions", is.Partitions, "wide_partitions", is.Wide, "hint", "to change them: portcullis kafka rescale")
	}
	c.adopt(is)
	return is, nil
}

// adopt makes a layout that was read the one that holds here.
func (c *Client) adopt(l Layout) {
	c.layout.mu.Lock()
	defer c.layout.mu.Unlock()
	c.layout.is = l
}

// readLayout looks for the layout in the state topic.
func (c *Client) readLayout(ctx context.Context) (is Layout, found bool, err error) {
	book, err := c.Notebook(ctx)
	if err != nil {
		return is, false, fmt.Errorf("kafka: layout: %w", err)
	}
	return book.Layout, book.Found, nil
}

func decodeLayout(b []byte) (l Layout, err error) {
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("%w (was it written by a newer version?)", err)
	}
	if l.Partitions < 1 || l.Partitions > 256 || l.Wide < 1 || l.Wide > 256 || l.Era < 0 {
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
	c.adopt(l)
	return nil
}

// pauseShort is for what is soon mended.
func pauseShort() *kafkanet.Pause {
	return &kafkanet.Pause{First: 100 * time.Millisecond, Last: time.Second}
}

func sleep(ctx context.Context, p *kafkanet.Pause) bool { return kafkanet.Sleep(ctx, p.Next()) }
