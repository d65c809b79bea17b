package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/ingest"
)

// indexLog is the requests in Elasticsearch as one log, in the order of their times: each
// line is a document, which the format ecs reads.
type indexLog struct {
	store *elastic.Store
	since int64 // Unix nanoseconds
	until int64
	read  atomic.Int64
}

func (l *indexLog) Name() string { return "elasticsearch" }
func (l *indexLog) Close()       {}

// Done implements replayFile; how much there is is not known.
func (l *indexLog) Done() (done, size int64) { return l.read.Load(), 0 }

// pageOfRequests is how many documents are asked for at once.
const pageOfRequests = 5000

// Run implements ingest.Source; it has no marks. A page begins with the millisecond in
// which the one before ended, whose documents are known then.
func (l *indexLog) Run(ctx context.Context, _ []ingest.Mark, out func(context.Context, *ingest.Batch) error) error {
	l.read.Store(0)
	from, offset := int64(math.MinInt64), int64(0)
	if l.since != math.MinInt64 {
		from = l.since / 1e6
	}
	known := map[string]bool{} // of the millisecond from
	for {
		page, err := l.page(ctx, from)
		if err != nil {
			return err
		}
		b := &ingest.Batch{Source: l.Name(), File: 1, Format: "ecs", Offset: offset}
		for _, doc := range page {
			var line document
			if err := line.parse(doc); err != nil {
				return err
			}
			if line.at > from {
				from = line.at
				clear(known)
			}
			if known[line.place] {
				continue
			}
			known[line.place] = true
			b.Data = append(append(b.Data, line.text...), '\n')
		}
		if len(b.Data) == 0 {
			if len(page) == pageOfRequests {
				return fmt.Errorf("elasticsearch: more than %d requests in one millisecond (%d): they cannot be told apart", pageOfRequests, from)
			}
			return nil
		}
		offset += int64(len(b.Data))
		l.read.Store(offset)
		if err := out(ctx, b); err != nil {
			return err
		}
		if len(page) < pageOfRequests {
			return nil
		}
	}
}

func (l *indexLog) page(ctx context.Context, from int64) ([][]byte, error) {
	p := elastic.Page{By: "@timestamp", Then: "portcullis.offset", Rising: true, Limit: pageOfRequests}
	if from != math.MinInt64 {
		p.Where = append(p.Where, elastic.From("@timestamp", from))
	}
	if l.until != math.MaxInt64 {
		p.Where = append(p.Where, elastic.Below("@timestamp", l.until/1e6))
	}
	return l.store.Find(ctx, elastic.Access, p)
}

// document is one request.
type document struct {
	at    int64 // Unix milliseconds
	place string
	text  []byte
}

func (x *document) parse(doc []byte) error {
	var d struct {
		Time   time.Time `json:"@timestamp"`
		Source string    `json:"portcullis.source"`
		File   string    `json:"portcullis.file"`
		Offset int64     `json:"portcullis.offset"`
	}
	if err := json.Unmarshal(doc, &d); err != nil {
		return fmt.Errorf("elasticsearch: a request: %w", err)
	}
	var text bytes.Buffer
	if err := json.Compact(&text, doc); err != nil {
		return fmt.Errorf("elasticsearch: a request: %w", err)
	}
	x.at, x.text = d.Time.UnixMilli(), text.Bytes()
	x.place = fmt.Sprintf("%s\x00%s\x00%d", d.Source, d.File, d.Offset)
	if d.Time.IsZero() {
		return errors.New("elasticsearch: a request without @timestamp")
	}
	return nil
}
