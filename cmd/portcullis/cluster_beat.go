package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/follow"
)

// keepBooks tells the others how this process is doing, leaves heartbeats and
// deletes what is past its time, until ctx ends.
func (c *cluster) keepBooks(ctx context.Context) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	var beat, hour time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-second.C:
		}
		t := now()
		if err := c.tell(ctx, t); err != nil {
			return err
		}
		c.look(ctx, t)
		if t.Sub(beat) >= heartbeatEvery {
			beat = t
			if err := c.beat(ctx, t); err != nil && ctx.Err() == nil {
				c.log.Warn("heartbeat", "error", err)
			}
		}
		if t.Sub(hour) >= time.Hour {
			hour = t
			c.prune(ctx, t)
		}
	}
}

// tell says to all others how this process is doing.
func (c *cluster) tell(ctx context.Context, t time.Time) error {
	p := task.Process{ID: c.id, Roles: c.roles, Version: buildInfo().Version, Started: c.started.UnixNano(), At: t.UnixNano(),
		Console: c.consoleURL(), Trouble: slices.Concat(c.ownTrouble(), c.alerting.troubles(), c.outputs.troubles())}
	if c.collect != nil {
		p.Rows = c.collect.collector.Rows()
		c.collect.intake.lags(p.Rows)
	}
	if c.detect != nil {
		for _, k := range c.detect.fleet.Keys() {
			p.Tasks = append(p.Tasks, k.String())
		}
		p.Layout = [2]int{c.layout.Partitions, c.layout.Wide}
	}
	if c.enforce != nil {
		p.Lead = c.enforce.lead(ctx, c)
	}
	p.Index = c.indexBeat()
	value, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("words of the process: %w", err)
	}
	// Where Kafka is away nobody hears it, and it must not keep us from the rest.
	if trouble, _ := c.producer.Health(); trouble != "" {
		return nil
	}
	return c.topics.Tell(ctx, task.KindProcess, p.ID, value)
}

// ownTrouble is what an operator should know of this process.
func (c *cluster) ownTrouble() []string {
	var list []string
	add := func(what, why string) {
		if why != "" {
			list = append(list, what+": "+why)
		}
	}
	if trouble, since := c.producer.Health(); trouble != "" {
		add("kafka", fmt.Sprintf("%s, since %s", trouble, since.UTC().Format(time.RFC3339)))
	}
	c.refused.mu.Lock()
	if c.refused.last != "" {
		add("kafka refused messages for good", c.refused.last)
	}
	c.refused.mu.Unlock()
	if c.collect != nil {
		c.collect.intake.trouble(add)
		add("clock", skew(c.collect.collector.Stats().Newest, now()))
	}
	if c.detect != nil {
		list = append(list, c.detect.fleet.Trouble()...)
	}
	if c.follow != nil {
		h := c.follow.Health()
		add("what was found cannot be written to the database", h.Error)
		list = append(list, c.foreign.trouble()...)
		if h.Unread > 0 {
			add("findings topic", fmt.Sprintf("%d messages cannot be read here; is a newer version running?", h.Unread))
		}
	}
	if c.enforce != nil {
		list = append(list, c.enforce.trouble(c)...)
	}
	if b := c.indexBeat(); b != nil {
		add("elasticsearch", b.Error)
	}
	return list
}

// overview is what is known of the whole pipeline.
type overview struct {
	books     follow.Books
	missing   map[string]int64
	tasks     []task.Beat
	processes []task.Process
	rate      float64
	lines     int64
	at        time.Time
	layout    [2]int // partitions of level one and two
}

// clusterObject is what status shows of a pipeline of several processes.
type clusterObject struct {
	Processes []task.Process   `json:"processes"`
	Tasks     []task.Beat      `json:"tasks"`
	Waiting   int64            `json:"waiting"` // messages that detectors have not taken in
	Missing   map[string]int64 `json:"missing,omitempty"`
	Layout    [2]int           `json:"layout"` // partitions of level one and two
}

// clusterKey is where the overview is in the database's small values.
const clusterKey = "cluster"

// look puts together what the processes said, for status and the console.
func (c *cluster) look(ctx context.Context, t time.Time) {
	if c.follow == nil {
		return
	}
	last := c.view.Load()
	tasks, processes := c.follow.Beats()
	layout := c.latestLayout(processes)
	tasks = slices.DeleteFunc(tasks, func(b task.Beat) bool { return b.Task == task.Front && b.Partition >= layout[0] }) // of before a rescale
	o := &overview{books: follow.Add(tasks, processes), tasks: tasks, processes: processes, at: t, layout: layout}
	o.missing = c.gap.Missing(o.books, t)
	for _, r := range o.books.Rows {
		o.lines += r.Read
	}
	if last != nil && t.After(last.at) {
		o.rate = max(0, float64(o.lines-last.lines)/t.Sub(last.at).Seconds())
	}
	c.view.Store(o)
	if err := c.db.Save(ctx, store.State{Ledger: o.books.Rows}); err != nil && ctx.Err() == nil {
		c.log.Warn("books", "error", err)
	}
	text, err := json.Marshal(clusterObject{Processes: processes, Tasks: tasks, Waiting: o.books.Waiting, Missing: o.missing, Layout: layout})
	if err == nil {
		err = c.db.SetMeta(ctx, clusterKey, string(text))
	}
	if err != nil && ctx.Err() == nil {
		c.log.Warn("overview", "error", err)
	}
}

// latestLayout is that of the detector that started last: this process may be from
// before a rescale.
func (c *cluster) latestLayout(processes []task.Process) [2]int {
	layout, since := [2]int{c.layout.Partitions, c.layout.Wide}, c.started.UnixNano()
	for _, p := range processes {
		if p.Layout != [2]int{} && p.Started > since {
			layout, since = p.Layout, p.Started
		}
	}
	return layout
}

// trouble is that of all processes, this one's first.
func (c *cluster) trouble() []string {
	list := slices.Concat(c.ownTrouble(), c.alerting.troubles(), c.outputs.troubles())
	o := c.view.Load()
	if o == nil {
		return list
	}
	for _, t := range o.tasks {
		if t.Trouble != "" {
			list = append(list, fmt.Sprintf("task %s/%d: %s", t.Task, t.Partition, t.Trouble))
		}
		if t.Lost > 0 {
			list = append(list, fmt.Sprintf("task %s/%d: %d messages were deleted from the topic before they were read", t.Task, t.Partition, t.Lost))
		}
	}
	if want := o.layout[0] + o.layout[1]; o.books.Tasks < want {
		list = append(list, fmt.Sprintf("%d of %d parts of the detection are at work: start portcullis detect", o.books.Tasks, want))
	}
	for source, n := range o.missing {
		list = append(list, fmt.Sprintf("source %s: %d lines that were read are neither events nor rejects", source, n))
	}
	for _, p := range o.processes {
		if p.ID == c.id {
			continue
		}
		for _, t := range p.Trouble {
			list = append(list, p.ID+": "+t)
		}
	}
	return list
}

// lead is what the active enforcer last said; nil = none is heard of.
func (o *overview) lead() *task.Lead {
	var best *task.Lead
	for _, p := range o.processes {
		if p.Lead != nil && (best == nil || p.Lead.Epoch > best.Epoch) {
			best = p.Lead
		}
	}
	return best
}

// lag is how far detection is behind the log, 0 when all was read.
func (c *cluster) lag(t time.Time) time.Duration {
	o := c.view.Load()
	if o == nil || o.books.Newest == 0 {
		return 0
	}
	unread := o.books.Waiting
	for _, r := range o.books.Rows {
		unread += r.LagBytes
	}
	if unread == 0 {
		return 0
	}
	return max(0, t.Sub(time.Unix(o.books.Newest, 0)))
}

func (c *cluster) beat(ctx context.Context, t time.Time) error {
	h := heartbeat{PID: os.Getpid(), Version: buildInfo().Version, Started: detect.FormatTime(c.started.UnixNano()), At: detect.FormatTime(t.UnixNano()),
		Console: c.consoleURL(), Trouble: c.trouble(), Gateways: []gatewayBeat{}, Roles: c.roles}
	if o := c.view.Load(); o != nil {
		h.LinesPerSecond = o.rate
		if l := o.lead(); l != nil {
			h.Panic = l.Panic
			for _, g := range l.Gateways {
				h.Gateways = append(h.Gateways, gatewayBeat{Name: g.Name, Entries: g.Entries, TookMS: g.TookMS, Behind: g.Behind, Fails: g.Fails, Error: g.Error,
					PushedAt: detect.FormatTime(g.PushedAt)})
			}
		}
	}
	return h.save(ctx, c.db)
}

// status is what the console shows.
func (c *cluster) status() console.Status {
	s := console.Status{Version: buildInfo().Version, Roles: c.roles, Started: c.started, Simulation: c.settings.Enforce.Policy.Simulate.All,
		Trouble: c.trouble(), Lag: c.lag(now())}
	s.Observing, s.Enforcing = families(c.settings.Enforce.Policy.Families)
	o := c.view.Load()
	if o == nil {
		return s
	}
	s.LinesPerSecond, s.Sources, s.Blind = o.rate, o.books.Rows, c.settings.blindnesses(o.books.Rows...)
	for _, t := range o.tasks {
		if t.Task == task.Front {
			s.Tracked += int64(t.Clients)
		}
	}
	for _, r := range o.books.Rows {
		s.LagBytes += r.LagBytes
	}
	if o.books.Newest > 0 {
		s.EventTime = time.Unix(o.books.Newest, 0)
	}
	s.Blocked, s.Throttled = c.inForce()
	if l := o.lead(); l != nil {
		s.Panic, s.Waiting = l.Panic, int64(l.Decisions[string(enforce.Proposed)])
		for _, g := range l.Gateways {
			s.Gateways = append(s.Gateways, console.Gateway{Name: g.Name, Entries: g.Entries, PushedAt: time.Unix(0, g.PushedAt),
				Took: time.Duration(g.TookMS * float64(time.Millisecond)), Behind: g.Behind, Fails: g.Fails, Error: g.Error})
		}
	}
	return s
}

// ready says why this process does not do its work, if it does not.
func (c *cluster) ready() error {
	if list := c.ownTrouble(); len(list) > 0 {
		return fmt.Errorf("%s", strings.Join(list, "; "))
	}
	return nil
}
