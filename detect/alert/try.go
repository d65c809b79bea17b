package alert

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/portcullis/portcullis/internal/config"
)

// Try sends a test notice to one channel of the settings, past routes, limits and
// silences: on nil the other side took it.
func Try(ctx context.Context, c *Config, name, version string, now time.Time) error {
	names := make([]string, len(c.Channels))
	for i := range c.Channels {
		cfg := &c.Channels[i]
		if names[i] = cfg.ID(); names[i] != name {
			continue
		}
		ch, err := openChannel(cfg)
		if err != nil {
			return err
		}
		n := exampleNotice(Test, ch.redacts())
		n.At, n.Opened, n.First, n.Last = now.UTC(), now.UTC(), now.UTC(), now.UTC()
		n.Version, n.Alert, n.Channel, n.Link = version, "test-"+newID(), name, strings.TrimSuffix(c.ConsoleURL, "/")
		n.Why, n.Text = "somebody tries this channel; nothing was found", "somebody tries this channel; nothing was found"
		n.ID = n.Alert + "-" + name
		if err := n.render(ch.title, ch.text); err != nil {
			return fmt.Errorf("alert: channel %s: template: %w", name, err)
		}
		ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
		defer cancel()
		if err := ch.to.Notify(ctx, n); err != nil {
			return fmt.Errorf("alert: channel %s did not take it: %w", name, err)
		}
		return nil
	}
	hint := ""
	if near, ok := config.Nearest(name, names); ok {
		hint = fmt.Sprintf("; did you mean %s?", near)
	}
	return fmt.Errorf("alert: there is no channel %.64q in alerts.channels: there are %s%s", name, strings.Join(names, ", "), hint)
}
