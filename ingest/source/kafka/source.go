package kafka

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/kafkanet"
	"github.com/portcullis/portcullis/ingest/source"
)

// Source reads one topic. It implements ingest.Source and ingest.Saver; one Run
// at a time.
type Source struct {
	cfg     Config
	network *kafkanet.Network
	stats   counters
	trouble kafkanet.Trouble
	saved   atomic.Pointer[string] // places of the newest saved mark
}

var (
	_ ingest.Source = (*Source)(nil)
	_ ingest.Saver  = (*Source)(nil)
)

// New checks the settings and returns a source that has connected to nothing yet:
// brokers that are away and a topic that is missing are waited for.
func New(cfg Config) (*Source, error) {
	var errs []error
	cfg.Check(func(key, message string) { errs = append(errs, errors.New("kafka: "+key+": "+message)) })
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	cfg = cfg.withDefaults()
	n, err := kafkanet.New(cfg.access())
	if err != nil {
		return nil, err
	}
	return &Source{cfg: cfg, network: n, trouble: kafkanet.Trouble{
		Log: cfg.Log, Down: "kafka: the topic cannot be read", Up: "kafka: the topic can be read again",
		Args: []any{"source", cfg.Name},
	}}, nil
}

// counters are written by Run's goroutines and read by anyone.
type counters struct {
	partitions, records, bytes, lag, losses, lost atomic.Int64
}

// perRecord is the size of a record so far, on average.
func (c *counters) perRecord() int64 { return c.bytes.Load() / max(c.records.Load(), 1) }

// Stats is what a topic's reader knows in Kafka's own unit.
type Stats struct {
	Partitions  int64 // being read
	Records     int64 // handed out since start
	LagRecords  int64 // high-water marks minus our offsets, as of the last answers
	LostRecords int64 // deleted by the broker before they were read, as far as known
}

// Stats may be called at any time by any goroutine.
func (s *Source) Stats() Stats {
	return Stats{
		Partitions: s.stats.partitions.Load(), Records: s.stats.records.Load(),
		LagRecords: s.stats.lag.Load(), LostRecords: s.stats.lost.Load(),
	}
}

// Health may be called at any time by any goroutine. Bytes are estimates: records
// times the average size of those that were read.
func (s *Source) Health() source.Health {
	size := s.stats.perRecord()
	trouble, _ := s.trouble.Now()
	return source.Health{
		Lag: s.stats.lag.Load() * size, Losses: s.stats.losses.Load(),
		LostBytes: s.stats.lost.Load() * size, Error: trouble,
	}
}

// Saved implements ingest.Saver: where a group is named, what m says is committed
// to it within seconds.
func (s *Source) Saved(m ingest.Mark) {
	if s.cfg.Group != "" {
		s.saved.Store(&m.Path)
	}
}

// item is what a partition's reader gives to Run.
type item struct {
	partition int
	next      int64         // offset behind it
	batch     *ingest.Batch // nil: only the place where reading begins
}

// listing is what the topic consists of, sent when it grew.
type listing struct {
	ids  []int
	born bool // the topic was not there when we came
}

// run is the state of one Run; its goroutine alone uses what is not a channel.
type run struct {
	*Source
	items  chan item
	found  chan listing
	places places
	ids    []int // of places, sorted
	fresh  bool  // nothing known before: Start says where partitions begin
	text   []byte
}

// Run implements ingest.Source. One goroutine reads each partition, one looks for
// new ones, and one commits where a group is named; Run joins them. It returns
// the error of ctx or of out.
func (s *Source) Run(ctx context.Context, from []ingest.Mark, out func(context.Context, *ingest.Batch) error) error {
	places, err := placesOf(from, s.cfg.Name, s.cfg.Topic)
	if err != nil {
		s.cfg.Log.Warn("kafka: a saved position is passed over", "source", s.cfg.Name, "error", err.Error(),
			"hint", "does another source have this name, or was the topic changed? partitions without a position begin at "+s.cfg.Start)
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &run{
		Source: s, items: make(chan item), found: make(chan listing),
		places: places, ids: places.ids(), fresh: len(places) == 0,
	}
	link := &link{s.network.Open(ctx, []string{s.cfg.Topic}, min(s.cfg.Refresh, 6*time.Second)), &s.cfg}
	var all sync.WaitGroup
	defer func() {
		cancel()
		all.Wait()
		link.Close()
		s.stats.lag.Store(0)
		s.stats.partitions.Store(0)
	}()
	all.Go(func() { r.watch(ctx, link) })
	if s.cfg.Group != "" {
		all.Go(func() { r.commit(ctx, link) })
	}
	return r.loop(ctx, link, &all, out)
}

// loop starts a reader for each partition that is found and hands out what they
// read.
func (r *run) loop(ctx context.Context, link *link, all *sync.WaitGroup, out func(context.Context, *ingest.Batch) error) error {
	reading := map[int]bool{}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-r.found:
			r.fresh = r.fresh && !now.born
			for _, id := range now.ids {
				if !reading[id] {
					reading[id] = true
					p := r.partition(id, link)
					all.Go(func() { p.run(ctx) })
				}
			}
			r.stats.partitions.Store(int64(len(reading)))
			r.fresh = false // what is found later was made later: all of it is new
		case it := <-r.items:
			if err := out(ctx, r.batch(it)); err != nil {
				return err
			}
		}
	}
}

// batch completes what a partition's reader made: with the mark that says where
// each partition is to be resumed.
func (r *run) batch(it item) *ingest.Batch {
	if _, known := r.places[it.partition]; !known {
		r.places[it.partition] = it.next
		r.ids = r.places.ids()
	}
	r.places[it.partition] = it.next
	b := it.batch
	if b == nil {
		b = &ingest.Batch{Source: r.cfg.Name, File: fileOf(r.cfg.Topic, it.partition), Offset: positionOf(it.next)}
	}
	r.text = r.places.text(r.text[:0], r.cfg.Topic, r.ids)
	b.Mark = ingest.Mark{Source: r.cfg.Name, Path: string(r.text), File: b.File, Offset: positionOf(it.next)}
	b.Lag = r.stats.lag.Load() * r.stats.perRecord()
	return b
}

// watch looks for partitions until ctx ends.
func (r *run) watch(ctx context.Context, link *link) {
	known, born := 0, false
	pause := kafkanet.NewPause()
	for {
		ids, err := link.Partitions(ctx, r.cfg.Topic)
		wait := r.cfg.Refresh
		if err != nil {
			r.trouble.Say(ctx, kafkanet.Everywhere, r.explain(err))
			wait = pause.Next()
			born = born || errors.Is(err, kafkago.UnknownTopicOrPartition)
		} else {
			r.trouble.Well(kafkanet.Everywhere)
			pause.Reset()
		}
		if len(ids) > known {
			known = len(ids)
			select {
			case r.found <- listing{ids, born}:
			case <-ctx.Done():
			}
		}
		if !kafkanet.Sleep(ctx, wait) {
			return
		}
	}
}

// commitEvery is how often saved offsets are told to the group; Kafka's own
// consumer does it as often (auto.commit.interval.ms).
const commitEvery = 5 * time.Second

// commit tells the group what was saved, until ctx ends.
func (r *run) commit(ctx context.Context, link *link) {
	var last *string
	said := ""
	for kafkanet.Sleep(ctx, commitEvery) {
		now := r.saved.Load()
		if now == nil || now == last {
			continue
		}
		p, err := parsePlaces(*now, r.cfg.Topic)
		if err == nil {
			err = link.commit(ctx, p)
		}
		switch {
		case err == nil:
			last, said = now, ""
		case err.Error() != said && ctx.Err() == nil:
			said = err.Error()
			r.cfg.Log.Warn("kafka: offsets cannot be committed to the group; reading goes on without",
				"source", r.cfg.Name, "group", r.cfg.Group, "error", said,
				"hint", "let the user read the group (ACL), and let no consumer be a member of it")
		}
	}
}

// partition makes the reader of a partition. A partition that is not in the saved
// position of others came after it: it is read from its beginning.
func (r *run) partition(id int, link *link) *partition {
	next, known := r.places[id]
	switch {
	case known:
	case r.fresh && r.cfg.Start == "newest":
		next = kafkago.LastOffset
	default:
		next = kafkago.FirstOffset
	}
	return &partition{Source: r.Source, id: id, file: fileOf(r.cfg.Topic, id), link: link, items: r.items, next: next,
		ask: kafkanet.Fetch{MinBytes: r.cfg.MinBytes, MaxBytes: r.cfg.MaxBytes, MaxWait: r.cfg.MaxWait}}
}
