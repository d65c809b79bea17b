package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
)

// heartbeat is what the service leaves in the database every few seconds, for
// commands in other processes to see how it is doing.
type heartbeat struct {
	PID            int           `json:"pid"`
	Version        string        `json:"version"`
	Started        string        `json:"started"`
	At             string        `json:"at"`
	Console        string        `json:"console,omitempty"` // its address
	LinesPerSecond float64       `json:"lines_per_second"`
	Panic          string        `json:"panic,omitempty"`   // who switched it on and why
	Trouble        []string      `json:"trouble,omitempty"` // in words, for a person
	Gateways       []gatewayBeat `json:"gateways"`
	Roles          []string      `json:"roles,omitempty"` // of one process of several; none: it does it all
}

// gatewayBeat is how one gateway is doing.
type gatewayBeat struct {
	Name     string  `json:"name"`
	Entries  int     `json:"entries"`
	PushedAt string  `json:"pushed_at,omitempty"`
	TookMS   float64 `json:"took_ms"`
	Behind   bool    `json:"behind,omitempty"`
	Fails    int     `json:"fails,omitempty"`
	Error    string  `json:"error,omitempty"`
}

// Beats come every heartbeatEvery; a service whose last one is older than
// heartbeatFresh counts as gone. The span leaves room for a snapshot that holds
// the database for seconds.
const (
	heartbeatKey   = "status"
	heartbeatEvery = 2 * time.Second
	heartbeatFresh = 15 * time.Second
)

// gatewayBeats takes over what the enforcer says of its gateways.
func gatewayBeats(h enforce.Health) []gatewayBeat {
	out := make([]gatewayBeat, 0, len(h.Gateways))
	for _, g := range h.Gateways {
		b := gatewayBeat{Name: g.Name, Entries: g.Entries, TookMS: float64(g.Took) / float64(time.Millisecond),
			Behind: g.Behind, Fails: g.Fails, Error: g.Error}
		if !g.At.IsZero() {
			b.PushedAt = detect.FormatTime(g.At.UnixNano())
		}
		out = append(out, b)
	}
	return out
}

// save leaves the heartbeat in the database.
func (h heartbeat) save(ctx context.Context, db *store.DB) error {
	text, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	return db.SetMeta(ctx, heartbeatKey, string(text))
}

// goneWithin is how long the last heartbeat waits for others who write.
const goneWithin = 10 * time.Second

// gone leaves a heartbeat that says that nobody is here any more. It has a time of its
// own, since a long last save leaves none, and is no failure where it cannot be left:
// nothing is lost with it.
func (b *base) gone(beat func(context.Context, time.Time) error) {
	ctx, cancel := context.WithTimeout(context.Background(), goneWithin)
	defer cancel()
	if err := beat(ctx, time.Unix(0, 1)); err != nil {
		b.log.Warn("that the service was stopped could not be said; status will say when it was last seen", "error", err)
	}
}

// lastHeartbeat reads the heartbeat; nil = there never was one.
func lastHeartbeat(ctx context.Context, db *store.DB) (*heartbeat, error) {
	text, err := db.Meta(ctx, heartbeatKey)
	if err != nil || text == "" {
		return nil, err
	}
	var h heartbeat
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return nil, fmt.Errorf("heartbeat: %w", err)
	}
	return &h, nil
}

// fresh reports whether the service that left this beat still runs.
func (h *heartbeat) fresh(at time.Time) bool {
	beat, err := time.Parse(time.RFC3339, h.At)
	return err == nil && at.Sub(beat) < heartbeatFresh
}

// aliveDaemon returns the heartbeat of the running service, nil if there is none.
func aliveDaemon(ctx context.Context, db *store.DB) (*heartbeat, error) {
	h, err := lastHeartbeat(ctx, db)
	if err != nil || h == nil || !h.fresh(now()) {
		return nil, err
	}
	return h, nil
}
