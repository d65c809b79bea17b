package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
)

// rescale divides the partitions of level one anew. The snapshots of the new layout
// have other names than those of the one that holds, and the layout is written last: a
// crash before that leaves all as it was, and one behind it only what nobody reads.
type rescale struct {
	*kafkaSide
	to      int
	abandon bool
	say     func(string) error

	is, next kafka.Layout
	notes    map[string][]byte
	ends     map[int]kafka.Range // of access
	waiting  []string            // what was not taken in
	fronts   []task.Saved
	spread   *task.Spread
}

// step does one thing and says what; nothing where there is nothing to say.
type step func(ctx context.Context) (done []string, err error)

// part is a part of the detection, by the partition that it reads.
type part struct {
	task, topic string
	partition   int
}

// partsOf lists the parts of a layout, level one first.
func partsOf(l kafka.Layout) []part {
	var list []part
	for p := range l.Partitions {
		list = append(list, part{task.Front, kafka.Access, p})
	}
	for p := range l.Wide {
		list = append(list, part{task.Wide, kafka.Partials, p})
	}
	return list
}

// load reads the newest snapshot of a part.
func (k *kafkaSide) load(ctx context.Context, l kafka.Layout, p part) (*kafka.Task, task.Saved, error) {
	t, s, err := k.store.Load(ctx, stateName(l, p.task), p.partition)
	if err != nil {
		return nil, task.Saved{}, err
	}
	return t, task.Saved{Epoch: s.Epoch, Found: s.Found, Meta: s.Meta, Blobs: s.Blobs}, nil
}

// collectors are those that read, or were killed at it.
func collectors(notes map[string][]byte) (list []collectorNote) {
	for name, text := range notes {
		if !strings.HasPrefix(name, noteCollector) {
			continue
		}
		var n collectorNote
		if json.Unmarshal(text, &n) != nil {
			n = collectorNote{Process: "one of a newer version"}
		}
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b collectorNote) int { return strings.Compare(a.Process, b.Process) })
	return list
}

// reading are the collectors that stand in the way.
func (r *rescale) reading() (list []string) {
	if r.abandon {
		return nil
	}
	for _, n := range collectors(r.notes) {
		list = append(list, n.String())
	}
	return list
}

// begin finds the layout that holds.
func (r *rescale) begin(ctx context.Context) error {
	s, err := r.client.Survey(ctx)
	if err != nil {
		return err
	}
	if !s.Found {
		return errors.New("the topics are not made yet: set kafka.partitions, with which the first start makes them")
	}
	r.is, r.notes = s.Layout, s.Notes
	r.next = kafka.Layout{Partitions: r.to, Wide: r.is.Wide, Era: r.is.Era + 1}
	return nil
}

// load reads what level one saved, and what nobody has taken in.
func (r *rescale) load(ctx context.Context) error {
	r.fronts, r.waiting = nil, nil
	ranges := map[string]map[int]kafka.Range{}
	for _, topic := range []string{kafka.Access, kafka.Partials} {
		var err error
		if ranges[topic], err = r.client.Ranges(ctx, topic); err != nil {
			return err
		}
	}
	r.ends = ranges[kafka.Access]
	for _, p := range partsOf(r.is) {
		_, saved, err := r.kafkaSide.load(ctx, r.is, p)
		if err != nil {
			return err
		}
		at, err := saved.Next()
		if err != nil {
			return fmt.Errorf("%s/%d: %w", p.task, p.partition, err)
		}
		if n := ranges[p.topic][p.partition].End - at; n > 0 {
			r.waiting = append(r.waiting, fmt.Sprintf("%s of %s/%d", plural(int(n), "message"), r.client.Topic(p.topic), p.partition))
		}
		if p.task == task.Front {
			r.fronts = append(r.fronts, saved)
		}
	}
	if err := r.unindexed(ctx); err != nil {
		return err
	}
	var err error
	r.spread, err = task.NewSpread(r.fronts)
	return err
}

// unindexed adds the requests that are not in Elasticsearch yet, of partitions that
// nobody will read any more.
func (r *rescale) unindexed(ctx context.Context) error {
	e := r.settings.Elasticsearch
	if !e.Enabled || e.Index.Access == elastic.AccessNone || r.to >= r.is.Partitions {
		return nil
	}
	noted, err := r.client.Committed(ctx, groupIndex, kafka.Access)
	if err != nil {
		return err
	}
	for p := r.to; p < r.is.Partitions; p++ {
		if n := r.ends[p].End - max(noted[p], r.ends[p].First); n > 0 {
			r.waiting = append(r.waiting, fmt.Sprintf("%s of %s/%d for Elasticsearch", plural(int(n), "message"), r.client.Topic(kafka.Access), p))
		}
	}
	return nil
}

// steps are what is done while no other is at work. The layout is the last but one.
func (r *rescale) steps() []step {
	list := []step{r.again, r.grow, r.sweep}
	for p := range r.to {
		list = append(list, func(ctx context.Context) ([]string, error) { return r.save(ctx, p) })
	}
	return append(list, r.settle, r.sweep)
}

// again looks once more, now that nobody can begin.
func (r *rescale) again(ctx context.Context) ([]string, error) {
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	return nil, errors.Join(r.load(ctx), r.unchanged(ctx))
}

// unchanged says whether somebody was at work since the state was read.
func (r *rescale) unchanged(ctx context.Context) error {
	book, err := r.client.Notebook(ctx)
	if err != nil {
		return err
	}
	r.notes = book.Notes
	switch {
	case book.Layout != r.is:
		return errors.New("another rescale was at work at the same time")
	case len(r.reading()) > 0:
		return fmt.Errorf("a collector began to read: %s", strings.Join(r.reading(), "; "))
	case len(r.waiting) > 0:
		return fmt.Errorf("something came that no detector has taken in: %s", strings.Join(r.waiting, ", "))
	}
	ends, err := r.client.Ranges(ctx, kafka.Access)
	if err != nil {
		return err
	}
	for p, was := range r.ends {
		if ends[p].End != was.End {
			return fmt.Errorf("something was written to %s/%d meanwhile", r.client.Topic(kafka.Access), p)
		}
	}
	return nil
}

// grow adds the partitions that lack.
func (r *rescale) grow(ctx context.Context) ([]string, error) {
	changed, err := r.client.Grow(ctx, r.next)
	if err != nil {
		return changed, err
	}
	ends, err := r.client.Ranges(ctx, kafka.Access)
	if err != nil {
		return changed, err
	}
	for p := range r.to {
		if _, known := r.ends[p]; !known {
			r.ends[p] = ends[p]
		}
	}
	return changed, nil
}

// sweep deletes what level one saved under a layout that does not hold: before the
// layout is written that of a rescale that was killed, then that of before.
func (r *rescale) sweep(ctx context.Context) ([]string, error) {
	ranges, err := r.client.Ranges(ctx, kafka.State)
	if err != nil {
		return nil, err
	}
	name := stateName(r.client.Layout(), task.Front)
	stale := func(t string) bool {
		return t != name && (t == task.Front || strings.HasPrefix(t, task.Front+"."))
	}
	for p := range ranges {
		if err := r.store.Sweep(ctx, p, stale); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// save makes and saves the snapshot of one new partition.
func (r *rescale) save(ctx context.Context, p int) ([]string, error) {
	meta, blobs, err := r.spread.Make(p, r.to, r.ends[p].End, func() (*detect.Engine, error) {
		return newEngine(r.settings, engineOptions{workers: 1, live: true, forward: true, sealed: r.settings.Kafka.Redact, log: slog.New(slog.DiscardHandler)})
	})
	if err != nil {
		return nil, err
	}
	t, was, err := r.kafkaSide.load(ctx, r.next, part{task.Front, kafka.Access, p})
	if err != nil {
		return nil, err
	}
	// Above all owners of before, whose words of how they do are then passed over.
	epoch := max(r.spread.Epoch(), was.Epoch) + 1
	if err := t.Save(ctx, epoch, meta, blobs, nil); err != nil {
		return nil, err
	}
	return []string{fmt.Sprintf("state of partition %d of %d written", p, r.to)}, nil
}

// settle writes the layout: from here on it is the new one that holds.
func (r *rescale) settle(ctx context.Context) ([]string, error) {
	if err := r.unchanged(ctx); err != nil {
		return nil, err
	}
	if err := r.client.SetLayout(ctx, r.next); err != nil {
		return nil, err
	}
	for name := range r.notes {
		if strings.HasPrefix(name, noteCollector) { // abandoned
			if err := r.client.Note(ctx, r.producer, name, nil); err != nil {
				return nil, err
			}
		}
	}
	return []string{fmt.Sprintf("clients are spread over %s, before %d", plural(r.to, "partition"), r.is.Partitions)}, nil
}
