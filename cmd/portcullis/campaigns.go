package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/campaign"
	"github.com/portcullis/portcullis/detect/store"
)

// campaigns groups stored findings into campaigns, the hours anew that had new findings.
// What a crash left ungrouped is grouped by the next start. It may be used from any
// goroutine.
type campaigns struct {
	cfg *campaign.Config // nil: switched off
	db  interface {
		Findings(ctx context.Context, q store.FindingQuery) ([]detect.Finding, error)
	}

	mu      sync.Mutex
	dirty   map[int64]bool // windows, by their start
	started bool
	last    time.Time     // when hours were grouped
	cost    time.Duration // how long that took
}

// campaignsEvery is how often hours are grouped anew at the most: a campaign is about
// minutes, and an hour may hold thousands of findings.
const campaignsEvery = 2 * time.Second

// Grouping reads all findings of an hour while findings wait: with a hundred thousand of
// them that takes seconds. So it rests campaignsRest times as long as it took, but no longer
// than campaignsLate, and what it costs others stays small.
const (
	campaignsRest = 20
	campaignsLate = 2 * time.Minute
)

// pause is how long to rest after the last grouping.
func (c *campaigns) pause() time.Duration {
	return max(campaignsEvery, min(campaignsRest*c.cost, campaignsLate))
}

// newCampaigns groups what db holds.
func newCampaigns(s *Settings, db *store.DB) *campaigns {
	return &campaigns{cfg: s.campaigns(), db: db, dirty: map[int64]bool{}}
}

// campaigns are the settings of campaigns, nil where they are switched off.
func (s *Settings) campaigns() *campaign.Config {
	for _, r := range s.rules() {
		if r.Name == campaign.Rule {
			return r.Config.(*campaign.Config)
		}
	}
	return nil
}

const hourNanos = detect.FindingWindow * int64(time.Second)

// note hears of findings that are new or changed. The hour behind theirs says how its
// campaigns grew since: it is grouped anew too.
func (c *campaigns) note(list ...detect.Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range list {
		if w := list[i].Window; list[i].Rule != campaign.Rule {
			c.dirty[w], c.dirty[w+hourNanos] = true, true
		}
	}
}

// due takes the hours that are to be grouped now, in order.
func (c *campaigns) due(ctx context.Context, at time.Time) ([]int64, error) {
	if c.cfg == nil {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started {
		newest, err := c.db.Findings(ctx, store.FindingQuery{Limit: 1})
		if err != nil {
			return nil, err
		}
		for _, f := range newest {
			c.dirty[f.Window], c.dirty[f.Window+hourNanos] = true, true
		}
		c.started = true
	}
	if len(c.dirty) == 0 || at.Sub(c.last) < c.pause() {
		return nil, nil
	}
	c.last = at
	var out []int64
	for w := range c.dirty {
		out = append(out, w)
	}
	clear(c.dirty)
	slices.Sort(out)
	return out, nil
}

// group returns the campaigns that are new or changed. Those of an hour that save fails
// for come again.
func (c *campaigns) group(ctx context.Context, at time.Time, save func([]detect.Finding) error) error {
	hours, err := c.due(ctx, at)
	if err != nil || len(hours) == 0 {
		return err
	}
	began := now()
	defer func() {
		c.mu.Lock()
		c.cost = now().Sub(began)
		c.last = c.last.Add(c.cost)
		c.mu.Unlock()
	}()
	for i, w := range hours {
		if err := c.groupHour(ctx, w, save); err != nil {
			c.mu.Lock()
			for _, w := range hours[i:] {
				c.dirty[w] = true
			}
			c.mu.Unlock()
			return err
		}
	}
	return nil
}

func (c *campaigns) groupHour(ctx context.Context, w int64, save func([]detect.Finding) error) error {
	list, err := c.ofHour(ctx, w, "")
	if err != nil || len(list) == 0 {
		return err
	}
	before, err := c.ofHour(ctx, w-hourNanos, campaign.Rule)
	if err != nil {
		return err
	}
	known := map[string]detect.Finding{}
	for _, f := range list {
		known[f.ID] = f
	}
	changed := slices.DeleteFunc(campaign.Group(c.cfg, before, list), func(f detect.Finding) bool { return known[f.ID] == f })
	if len(changed) == 0 {
		return nil
	}
	return save(changed)
}

// ofHour reads the findings of a window. A finding fires in its window, or soon behind
// its end when that closes.
func (c *campaigns) ofHour(ctx context.Context, w int64, rule string) (out []detect.Finding, err error) {
	q := store.FindingQuery{Since: w, Until: w + 2*hourNanos, Rule: rule, Limit: 10_000}
	for {
		page, err := c.db.Findings(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, f := range page {
			if f.Window == w {
				out = append(out, f)
			}
		}
		if len(page) < q.Limit {
			return out, nil
		}
		q.After = page[len(page)-1].ID
	}
}

// addCampaigns groups the findings of a replay, hour by hour.
func addCampaigns(s *Settings, found map[string]detect.Finding) {
	cfg := s.campaigns()
	if cfg == nil {
		return
	}
	hours := map[int64][]detect.Finding{}
	for _, f := range found {
		hours[f.Window] = append(hours[f.Window], f)
	}
	var order []int64
	for w := range hours {
		order = append(order, w)
	}
	slices.Sort(order)
	groups := map[int64][]detect.Finding{}
	for _, w := range order {
		groups[w] = campaign.Group(cfg, groups[w-hourNanos], hours[w])
		merge(found, groups[w])
	}
}
