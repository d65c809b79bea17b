package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
	"github.com/portcullis/portcullis/ingest/enrich"
)

// groupDetect is the consumer group of the detectors.
const groupDetect = "detect"

// detectRole runs the parts of the detection that the group gives to this process.
type detectRole struct {
	fleet  *task.Fleet
	enrich *enrich.Enricher
	store  *kafka.Store
	watch  *watchers // tells the engines whom to follow
}

func (c *cluster) openDetect() error {
	r := &detectRole{watch: newWatchers(), store: c.kafka.Store(c.producer)}
	var err error
	if r.enrich, err = newEnricher(c.settings, true, c.quiet); err != nil {
		return err
	}
	r.fleet = &task.Fleet{Log: c.log, Make: c.makeTask}
	c.detect = r
	// What every task will do is tried once, so that settings that are wrong are
	// said at the start.
	e, err := newEngine(c.settings, engineOptions{workers: 1, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	e.Close()
	return nil
}

func (c *cluster) startDetect(start func(string, func(context.Context) error)) {
	start("detectors", func(ctx context.Context) error {
		defer c.detect.enrich.Close()
		defer c.detect.fleet.Stop()
		return c.kafka.Join(ctx, groupDetect, []string{kafka.Access, kafka.Partials}, func(turn context.Context, g *kafka.Generation) {
			var keys []task.Key
			for _, p := range g.Partitions[kafka.Access] {
				keys = append(keys, task.Key{Name: task.Front, Partition: p})
			}
			for _, p := range g.Partitions[kafka.Partials] {
				keys = append(keys, task.Key{Name: task.Wide, Partition: p})
			}
			c.detect.fleet.Assign(ctx, task.Owner{Epoch: int64(g.ID) << epochBits, Check: g.Check, Note: func(ctx context.Context, k task.Key, next int64) error {
				return g.Commit(ctx, topicOf[k.Name], map[int]int64{k.Partition: next})
			}}, keys)
			c.log.Info("parts of the detection are given out", "generation", g.ID, "here", fmt.Sprint(keys))
			<-turn.Done()
			if ctx.Err() != nil {
				c.detect.fleet.Stop() // saved before others take over
			}
		})
	})
}

// topicOf are the topics that the tasks read.
var topicOf = map[string]string{task.Front: kafka.Access, task.Wide: kafka.Partials}

// epochBits leave room for a task that starts anew within a generation: its epoch is
// then above the stored one, and must still be below that of the next generation's
// owner, or a process that has lost the task would write over what that one saves.
const epochBits = 20

// makeTask makes the task of a key.
func (c *cluster) makeTask(k task.Key) (*task.Task, error) {
	t := &task.Task{Partition: k.Partition, States: states{c.detect.store, c.layout}, Out: c.topics, Every: max(c.settings.Snapshot, 0), Now: now, Log: c.quiet}
	switch k.Name {
	case task.Front:
		t.In = input{c, kafka.Access, k.Partition}
		return task.NewFront(t, task.FrontConfig{
			Wide: c.layout.Wide, Identity: c.identity, Watch: c.detect.watch.join,
			Engine: func(emit func(detect.Finding), saw func(detect.Sighting)) (*detect.Engine, error) {
				return newEngine(c.settings, engineOptions{workers: 1, live: true, forward: true, log: c.quiet, hide: c.idText(), enrich: c.detect.enrich,
					sealed: c.settings.Kafka.Redact, costs: c.costs, emit: c.meters.counting(emit), saw: saw, now: func() int64 { return now().Unix() }})
			},
			Sightings: c.topics.Sightings,
		}), nil
	case task.Wide:
		t.In = input{c, kafka.Partials, k.Partition}
		return task.NewWide(t, func(emit func(detect.Finding)) (*detect.Wide, error) {
			return newWide(c.settings, c.layout.Partitions, engineOptions{workers: 1, live: true, log: c.quiet, hide: c.idText(), emit: c.meters.counting(emit)})
		}), nil
	}
	return nil, fmt.Errorf("there is no task %q", k.Name)
}

// input is a partition as task.Input.
type input struct {
	c         *cluster
	topic     string
	partition int
}

// Read implements task.Input.
func (i input) Read(ctx context.Context, from int64, each func(*bus.Message, int64) error, gap func(from, to int64)) error {
	return i.c.read(ctx, i.topic, i.partition, from, each, nil, gap)
}

// states is the state topic as task.States.
type states struct {
	s      *kafka.Store
	layout kafka.Layout
}

// stateName is what the snapshots of a task are called in a layout.
func stateName(l kafka.Layout, name string) string {
	reads := kafka.Partials
	if name == task.Front {
		reads = kafka.Access
	}
	return l.StateName(name, reads)
}

// Load implements task.States.
func (s states) Load(ctx context.Context, name string, partition int) (task.Saver, task.Saved, error) {
	t, saved, err := s.s.Load(ctx, stateName(s.layout, name), partition)
	if err != nil {
		return nil, task.Saved{}, err
	}
	return t, task.Saved{Epoch: saved.Epoch, Found: saved.Found, Meta: saved.Meta, Blobs: saved.Blobs}, nil
}
