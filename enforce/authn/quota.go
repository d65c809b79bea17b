package authn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/internal/keptfile"
)

// Quota is how many requests a consumer has in a calendar day and month, in UTC.
type Quota struct {
	Consumer string `yaml:"consumer" default:"" doc:"whose it is; * = every consumer that no entry before it fits"`
	Plan     string `yaml:"plan" default:"" doc:"consumers with keys of this plan (keys client issue --plan), in the place of a name"`
	Day      int64  `yaml:"day" default:"0" doc:"requests in a day; 0 = any number"`
	Month    int64  `yaml:"month" default:"0" doc:"requests in a month; 0 = any number"`
}

// Bounds of quotas. Consumers beyond maxCounted are not counted, and pass; Stats tell how many
// requests that were.
const (
	maxQuotas  = 10_000
	maxCounted = 1 << 20
	saveEvery  = 5 * time.Second
)

func (q *Quota) check(report func(key, message string)) {
	switch {
	case (q.Consumer == "") == (q.Plan == ""):
		report("consumer", "name either a consumer (* for all) or a plan")
	case q.Day < 0 || q.Month < 0:
		report("day", "day and month must not be negative")
	case q.Day == 0 && q.Month == 0:
		report("day", "set day, month or both")
	}
}

// Usage is what a quota says of a request.
type Usage struct {
	Name string // day or month: the tighter one; "" = no quota counts the request
	Max  int64
	Left int64
	Wait time.Duration // until it begins anew
	Over bool          // the request is too much
}

// used are a consumer's requests in one day and one month.
type used struct {
	mu    sync.Mutex
	Day   string `json:"day"`
	Month string `json:"month"`
	InDay int64  `json:"in_day"`
	InMon int64  `json:"in_month"`
}

// quotas count requests by consumer, over restarts: the counts are saved every few seconds
// and at the end, so that a kill loses a few seconds of them.
type quotas struct {
	names map[string]*Quota
	plans map[string]*Quota
	all   *Quota
	path  string // "" = not kept
	log   *slog.Logger

	mu    sync.RWMutex
	used  map[string]*used
	dirty atomic.Bool
	skips atomic.Int64
}

func newQuotas(list []Quota, path string, log *slog.Logger) *quotas {
	q := &quotas{names: map[string]*Quota{}, plans: map[string]*Quota{}, path: path, log: log, used: map[string]*used{}}
	for i := len(list) - 1; i >= 0; i-- { // the first one of a name counts
		switch l := &list[i]; {
		case l.Plan != "":
			q.plans[l.Plan] = l
		case l.Consumer == "*":
			q.all = l
		default:
			q.names[l.Consumer] = l
		}
	}
	return q
}

func (q *quotas) of(who *Identity) *Quota {
	if l := q.names[who.Consumer]; l != nil {
		return l
	}
	if l := q.plans[who.Plan]; l != nil && who.Plan != "" {
		return l
	}
	return q.all
}

// counter is where a consumer is counted; nil where there is no room.
func (q *quotas) counter(consumer string) *used {
	q.mu.RLock()
	u := q.used[consumer]
	q.mu.RUnlock()
	if u != nil {
		return u
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if u = q.used[consumer]; u == nil && len(q.used) < maxCounted {
		u = new(used)
		q.used[consumer] = u
	}
	return u
}

// take counts n requests, all or none of them.
func (q *quotas) take(who *Identity, now time.Time, n int64) Usage {
	if who.Kind == "" || who.Consumer == "" {
		return Usage{}
	}
	l := q.of(who)
	if l == nil {
		return Usage{}
	}
	u := q.counter(who.Consumer)
	if u == nil {
		q.skips.Add(n)
		return Usage{}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	now = now.UTC()
	u.turn(now)
	out := Usage{Over: l.Day > 0 && u.InDay+n > l.Day || l.Month > 0 && u.InMon+n > l.Month}
	if !out.Over {
		u.InDay, u.InMon = u.InDay+n, u.InMon+n
		q.dirty.Store(true)
	}
	day, month := l.Day-u.InDay, l.Month-u.InMon
	y, m, d := now.Date()
	if l.Day > 0 && (l.Month == 0 || day <= month && !(out.Over && month < n)) {
		out.Name, out.Max, out.Left, out.Wait = "day", l.Day, max(day, 0), time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC).Sub(now)
	} else {
		out.Name, out.Max, out.Left, out.Wait = "month", l.Month, max(month, 0), time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC).Sub(now)
	}
	return out
}

// turn begins a new day and month. A clock that goes back begins none.
func (u *used) turn(now time.Time) {
	if day := now.Format(time.DateOnly); day > u.Day {
		u.Day, u.InDay = day, 0
	}
	if month := now.Format("2006-01"); month > u.Month {
		u.Month, u.InMon = month, 0
	}
}

// load reads what was counted before.
func (q *quotas) load() {
	if q.path == "" || len(q.names)+len(q.plans) == 0 && q.all == nil {
		return
	}
	data, err := os.ReadFile(q.path)
	kept := map[string]*used{}
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			q.log.Error("what consumers have used of their quotas cannot be read: they are counted anew", "error", err)
		}
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for consumer, u := range kept {
		if u != nil && len(q.used) < maxCounted {
			q.used[consumer] = u
		}
	}
}

// follow saves the counts until ctx ends, and then once more.
func (q *quotas) follow(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			q.save()
			return
		case <-tick.C:
			q.save()
		}
	}
}

func (q *quotas) save() {
	if q.path == "" || !q.dirty.Swap(false) {
		return
	}
	err := keptfile.Update(q.path, func([]byte) ([]byte, error) { return q.bytes() })
	if err != nil {
		q.dirty.Store(true)
		q.log.Error("what consumers have used of their quotas cannot be saved", "error", err)
	}
}

// bytes are the counts as they are saved.
func (q *quotas) bytes() ([]byte, error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	out := make(map[string]json.RawMessage, len(q.used))
	for consumer, u := range q.used {
		u.mu.Lock()
		data, err := json.Marshal(u)
		u.mu.Unlock()
		if err != nil {
			return nil, fmt.Errorf("authz: quotas: %w", err)
		}
		out[consumer] = data
	}
	return json.Marshal(out)
}
