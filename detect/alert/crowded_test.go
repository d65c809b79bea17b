package alert

import (
	"fmt"
	"testing"
)

// TestCrowded: of too many alerts the oldest that are resolved go first, what is due last,
// and open ones never.
func TestCrowded(t *testing.T) {
	ch := &channel{name: "desk"}
	e := &Engine{channels: []*channel{ch}, alerts: map[string]*Alert{}, recent: map[string]*Alert{}, acks: map[string]*Ack{}, dirty: map[[2]string]bool{}}
	add := func(i int, state State, due Kind) {
		id := fmt.Sprint(i)
		e.alerts[id] = &Alert{ID: id, Key: id, State: state, Closed: int64(i), Told: map[string]*Delivery{"desk": {Due: due}}}
	}
	for i := range keptMost + 100 {
		switch {
		case i < 10:
			add(i, Open, "")
		case i < 20:
			add(i, Closed, Firing)
		default:
			add(i, Closed, "")
		}
	}
	e.crowded()
	if len(e.alerts) != keptMost || e.alerts["9"] == nil || e.alerts["19"] == nil || e.alerts["119"] != nil || e.alerts["120"] == nil || e.stats.GivenUp != 0 {
		t.Errorf("%d are left, %d given up", len(e.alerts), e.stats.GivenUp)
	}
	for i := range 2*keptMost + 7 {
		add(1_000_000+i, Closed, Firing)
	}
	e.crowded()
	if len(e.alerts) > 2*keptMost || e.alerts["9"] == nil || e.alerts["1000016"] != nil || e.stats.GivenUp == 0 {
		t.Errorf("%d are left, %d given up", len(e.alerts), e.stats.GivenUp)
	}
}
