package main

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/store/output"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
)

// groupOutput begins the names of the consumer groups that send to outputs: each output
// has its own, so that one that is away does not hold up others, and of all processes one
// sends a partition.
const groupOutput = "output-"

// openOutputs makes the outputs, where this process is one to send.
func (c *cluster) openOutputs() error {
	if !c.roles.has(roleDetect) {
		return nil
	}
	var err error
	c.outputs, err = c.newOutputs(func(ctx context.Context, name string, d elastic.Doc, reason string) error {
		m := &bus.Message{Topic: "output " + name + " " + string(d.Kind), Key: []byte(d.ID), Value: d.Source}
		return c.topics.Foreign(ctx, m, errors.New(reason))
	})
	return err
}

// startOutputs sends the partitions that the groups give to this process.
func (c *cluster) startOutputs(start func(string, func(context.Context) error)) {
	if c.outputs == nil {
		return
	}
	for _, s := range c.outputs.list {
		group := groupOutput + s.ID()
		start("output "+s.ID(), func(ctx context.Context) error {
			return c.kafka.Join(ctx, group, s.topics(), func(turn context.Context, g *kafka.Generation) {
				var feeds []output.Feed
				for topic, partitions := range g.Partitions {
					for _, p := range partitions {
						feeds = append(feeds, c.topicFeed(s, g, group, topic, p))
					}
				}
				s.run(turn, feeds)
			})
		})
	}
}

// topics are those that an output is fed from.
func (s *sending) topics() (list []string) {
	if s.Findings {
		list = append(list, kafka.Findings)
	}
	if s.Decisions || s.Audit {
		list = append(list, kafka.Decisions)
	}
	if s.Wants(elastic.Access) {
		list = append(list, kafka.Access)
	}
	return list
}

// topicFeed reads a partition.
func (c *cluster) topicFeed(s *sending, g *kafka.Generation, group, topic string, partition int) output.Feed {
	var sent, end atomic.Int64
	name := map[string]string{kafka.Findings: feedFindings, kafka.Decisions: feedDecisions, kafka.Access: feedEvents}[topic]
	return output.Feed{
		Name:    name + "-" + strconv.Itoa(partition),
		Waiting: func() int64 { return max(0, end.Load()-sent.Load()) },
		From: func(ctx context.Context) (string, error) {
			noted, err := c.kafka.Committed(ctx, group, topic)
			if err != nil || noted[partition] == 0 {
				return "", err
			}
			return place(noted[partition]), nil
		},
		Commit: func(ctx context.Context, next string) error {
			at, err := placed(next)
			if err != nil {
				return err
			}
			if err := g.Commit(ctx, topic, map[int]int64{partition: at}); err != nil {
				return err
			}
			sent.Store(at)
			return nil
		},
		Read: func(ctx context.Context, from string, each func(output.Piece) error) error {
			at, err := placed(from)
			if err != nil {
				return err
			}
			sent.Store(at)
			convert, err := c.converter(c.outputs.docs, s.keeps, topic)
			if err != nil {
				return err
			}
			return c.read(ctx, topic, partition, at, func(m *bus.Message, last int64) error {
				end.Store(last)
				docs, err := convert(m)
				if err != nil {
					if err := c.topics.Foreign(ctx, m, err); err != nil {
						return err
					}
					docs = nil
				}
				return each(output.Piece{Docs: s.wanted(docs), Next: place(m.Offset + 1)})
			}, nil, func(from, to int64) {
				c.log.Error("messages were deleted from a topic before they were sent to an output: raise its retention", "output", s.ID(), "topic", topic, "partition", partition, "from", from, "to", to)
			})
		},
	}
}
