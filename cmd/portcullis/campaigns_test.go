package main

import (
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/campaign"
)

// TestCampaignsRest: what takes long is done less often, so that findings do not wait for
// it, but never put off for good.
func TestCampaignsRest(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	for cost, want := range map[time.Duration]time.Duration{
		0: campaignsEvery, time.Millisecond: campaignsEvery, time.Second: 20 * time.Second, time.Hour: campaignsLate,
	} {
		c := &campaigns{cfg: &campaign.Config{Members: 4}, dirty: map[int64]bool{}, started: true, last: at, cost: cost}
		c.note(detect.Finding{Rule: "auth-burst", Window: 3600e9})
		early, err := c.due(t.Context(), at.Add(want-time.Millisecond))
		if err != nil || early != nil {
			t.Errorf("after %s of work, hours %v are due too early, %v", cost, early, err)
		}
		if due, err := c.due(t.Context(), at.Add(want)); err != nil || len(due) != 2 {
			t.Errorf("after %s of work and %s of rest, hours %v are due, %v", cost, want, due, err)
		}
	}
}
