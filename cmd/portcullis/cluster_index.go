package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect/index"
	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/enforce/indexed"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
)

// groupIndex is the consumer group that writes to Elasticsearch.
const groupIndex = "index"

// newElastic makes the store of the settings; nil where there is none.
func (b *base) newElastic(rejected func(context.Context, elastic.Doc, string) error) (*elastic.Store, error) {
	s := b.settings.Elasticsearch
	if !s.Enabled {
		return nil, nil
	}
	return elastic.New(s, elastic.Options{Rejected: rejected, Cloak: b.cloak, Hide: b.hide, Log: b.log})
}

// openIndex prepares the writing of what was found to Elasticsearch.
func (c *cluster) openIndex() error {
	var err error
	if c.elastic, err = c.newElastic(c.rejectedDoc); err != nil || c.elastic == nil || !c.roles.has(roleDetect) {
		return err
	}
	c.index = index.New(index.Config{
		Pump: c.elastic.Pump, Foreign: c.topics.Foreign, Log: c.log,
		New: func(topic string) (index.Convert, error) {
			return c.converter(c.elastic, c.settings.Elasticsearch.Keeps, topic)
		},
		Read: func(ctx context.Context, p index.Place, from int64, each func(*bus.Message, int64) error, gap func(from, to int64)) error {
			return c.read(ctx, p.Topic, p.Partition, from, each, nil, gap)
		},
	})
	return nil
}

// rejectedDoc puts a document that Elasticsearch refuses for good into the rejected
// topic.
func (c *cluster) rejectedDoc(ctx context.Context, d elastic.Doc, reason string) error {
	m := &bus.Message{Topic: "elasticsearch " + string(d.Kind), Key: []byte(d.ID), Value: d.Source}
	return c.topics.Foreign(ctx, m, errors.New(reason))
}

// converter makes the converter of a topic into documents of a store; keeps says which
// requests.
func (c *cluster) converter(es *elastic.Store, keeps func(ingest.Position, bool) bool, topic string) (index.Convert, error) {
	switch topic {
	case kafka.Findings:
		return index.Findings(es), nil
	case kafka.Decisions:
		convert := indexed.New(es, c.cloak).Records()
		return func(m *bus.Message) ([]elastic.Doc, error) { return convert(recordOf(m)) }, nil
	case kafka.Access:
		r, err := c.requestsOf(es, keeps, engineOptions{log: c.quiet, enrich: c.detect.enrich}, c.settings.Kafka.Redact)
		if err != nil {
			return nil, err
		}
		return r.Convert, nil
	}
	return nil, fmt.Errorf("topic %s has nothing for Elasticsearch or outputs", topic)
}

// indexed are the topics that are written to Elasticsearch.
func (c *cluster) indexed() []string {
	topics := []string{kafka.Findings, kafka.Decisions}
	if c.settings.Elasticsearch.Index.Access != elastic.AccessNone {
		topics = append(topics, kafka.Access)
	}
	return topics
}

// startIndex installs what Elasticsearch needs, and indexes the partitions that the
// group gives to this process.
func (c *cluster) startIndex(start func(string, func(context.Context) error)) {
	start("index", func(ctx context.Context) error {
		if err := installElastic(ctx, c.elastic, c.log); err != nil {
			return err
		}
		return c.kafka.Join(ctx, groupIndex, c.indexed(), func(turn context.Context, g *kafka.Generation) {
			for pause := 200 * time.Millisecond; turn.Err() == nil; pause = min(2*pause, 10*time.Second) {
				err := c.indexTurn(turn, g)
				if turn.Err() != nil {
					return
				}
				c.log.Error("indexing stopped and is started anew from what was noted last", "error", err)
				select {
				case <-turn.Done():
				case <-time.After(pause):
				}
			}
		})
	})
	start("retention in elasticsearch", c.pruneElastic)
}

// installElastic makes the templates, trying until Elasticsearch is there.
func installElastic(ctx context.Context, es *elastic.Store, log *slog.Logger) error {
	said := ""
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		made, err := es.Install(ctx)
		es.NotReady(err)
		if err == nil {
			if len(made) > 0 {
				log.Info("elasticsearch: made", "what", strings.Join(made, ", "))
			}
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		if said != err.Error() {
			said = err.Error()
			log.Error("elasticsearch cannot be set up; it is tried until it works, and what was found waits", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (c *cluster) indexTurn(turn context.Context, g *kafka.Generation) error {
	from := map[index.Place]int64{}
	for _, topic := range c.indexed() {
		if len(g.Partitions[topic]) == 0 {
			continue
		}
		noted, err := c.kafka.Committed(turn, groupIndex, topic)
		if err != nil {
			return err
		}
		for _, p := range g.Partitions[topic] {
			from[index.Place{Topic: topic, Partition: p}] = noted[p]
		}
	}
	if len(from) == 0 {
		<-turn.Done()
		return nil
	}
	return c.index.Run(turn, from, g.Commit)
}

// pruneElastic removes what is past its time, where Elasticsearch does not do it.
func (c *cluster) pruneElastic(ctx context.Context) error {
	hour := time.NewTicker(time.Hour)
	defer hour.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hour.C:
		}
		if _, err := c.elastic.Prune(ctx, now()); err != nil && ctx.Err() == nil {
			c.log.Warn("elasticsearch: retention", "error", err)
		}
	}
}

// indexBeat is how the writing to Elasticsearch goes; nil where nothing is written.
func (c *cluster) indexBeat() *task.Index {
	if c.index == nil {
		return nil
	}
	s, h := c.index.Stats(), c.elastic.Health()
	return &task.Index{Documents: s.Documents, Rejected: h.Rejected + s.Foreign, Waiting: s.Waiting, Error: h.Error}
}
