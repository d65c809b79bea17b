package kafka

import (
	"context"
	"errors"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"
)

// Survey is what is there, as Client.Survey saw it.
type Survey struct {
	Notebook // its layout is that of the settings where none is written
	Topics   []SurveyTopic
	Wrong    Deviations
}

// SurveyTopic is a topic of the pipeline.
type SurveyTopic struct {
	Name       string        `json:"topic"`      // in full
	Short      string        `json:"-"`          // without the prefix
	Partitions int           `json:"partitions"` // that are there; 0 = no such topic
	Used       int           `json:"used"`       // by the layout
	Messages   int64         `json:"messages"`   // that are kept
	Ranges     map[int]Range `json:"-"`
}

// Survey looks at the topics and changes nothing there; the layout is known from then
// on. What is only unusual is logged.
func (c *Client) Survey(ctx context.Context) (*Survey, error) {
	out := &Survey{}
	book, err := c.Notebook(ctx)
	switch {
	case err == nil:
		out.Notebook = *book
	case !errors.Is(err, kafkago.UnknownTopicOrPartition): // that is: there is no state topic
		return nil, err
	}
	if !out.Found {
		out.Layout = Layout{Partitions: c.cfg.Partitions, Wide: c.cfg.WidePartitions}
	}
	c.adopt(out.Layout)
	for _, s := range c.specs(out.Layout) {
		t := SurveyTopic{Name: s.name, Short: s.short, Used: s.partitions}
		switch _, err := c.link.Describe(ctx, s.name); {
		case errors.Is(err, kafkago.UnknownTopicOrPartition):
			out.Wrong = append(out.Wrong, fmt.Errorf("kafka: topic %q does not exist (a start of portcullis collect, detect or enforce makes it)", s.name))
		case err != nil:
			out.Wrong = append(out.Wrong, c.explain(s.short, err))
		default:
			if t.Ranges, err = c.Ranges(ctx, s.short); err != nil {
				return nil, err
			}
			out.Wrong = append(out.Wrong, c.inspect(ctx, &s)...)
		}
		for _, r := range t.Ranges {
			t.Partitions++
			t.Messages += r.End - r.First
		}
		out.Topics = append(out.Topics, t)
	}
	return out, nil
}
