package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/store/output"
	"github.com/portcullis/portcullis/ingest"
)

// The feeds of outputs in one process: its database is the place where findings and
// decisions wait, and a spool that for the lines of the log.
const (
	feedFindings  = "findings"
	feedDecisions = "decisions"
	feedCommands  = "commands"
	feedEvents    = "events"
)

// outputNotes begins the names under which the database keeps how far outputs are.
const outputNotes = "output/"

// sendEvery is how often the database is asked for what is new.
const sendEvery = 500 * time.Millisecond

// openOutputs makes the outputs, and opens their spools.
func (p *pipeline) openOutputs(ctx context.Context) error {
	var err error
	p.outputs, err = p.newOutputs(func(_ context.Context, name string, d elastic.Doc, reason string) error {
		return p.rejects.add(p.settings.StateDir, name, d, reason)
	})
	if err != nil {
		return err
	}
	if err := p.db.FollowFindings(ctx, p.outputs != nil, outputNotes); err != nil {
		return err
	}
	dir := filepath.Join(p.settings.StateDir, "outputs")
	p.leftBehind(dir)
	if p.outputs == nil {
		return nil
	}
	for _, s := range p.outputs.list {
		if !s.Wants(elastic.Access) {
			continue
		}
		if s.lines, err = output.OpenLines(filepath.Join(dir, s.ID()), s.Spool, p.log); err != nil {
			return err
		}
	}
	return nil
}

// leftBehind says which spools belong to no output any more.
func (p *pipeline) leftBehind(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // there never was one
	}
	for _, e := range entries {
		if !slices.ContainsFunc(p.settings.Outputs, func(c output.Config) bool { return c.ID() == e.Name() && c.Wants(elastic.Access) }) {
			p.log.Warn("lines of the log wait for an output that is not there any more: remove the folder if it is not to come back", "dir", filepath.Join(dir, e.Name()))
		}
	}
}

// tap keeps a batch of lines on its way to detection.
func (o *outputs) tap(b *ingest.Batch) {
	if o == nil {
		return
	}
	for _, s := range o.list {
		if s.lines != nil {
			s.lines.Keep(b)
		}
	}
}

// close gives the spools back.
func (o *outputs) close() {
	if o == nil {
		return
	}
	for _, s := range o.list {
		if s.lines == nil {
			continue
		}
		if err := s.lines.Close(); err != nil {
			o.b.log.Error("close the spool of an output", "output", s.ID(), "error", err)
		}
	}
}

// sendOutputs sends until ctx ends.
func (p *pipeline) sendOutputs(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, s := range p.outputs.list {
		wg.Go(func() { s.run(ctx, p.feeds(s)) })
	}
	return nil
}

// feeds are what an output is fed in one process.
func (p *pipeline) feeds(s *sending) (feeds []output.Feed) {
	if s.Findings {
		feeds = append(feeds, p.tableFeed(s, feedFindings, p.changedFindings, p.db.Unsent))
	}
	if s.Decisions || s.Audit {
		feeds = append(feeds, p.tableFeed(s, feedDecisions, func(ctx context.Context, from int64) ([]elastic.Doc, int64, error) {
			docs, next, err := p.changedDecisions(ctx, p.outputs.index, from)
			return s.wanted(docs), next, err
		}, nil))
	}
	if s.Audit {
		feeds = append(feeds, p.tableFeed(s, feedCommands, func(ctx context.Context, from int64) ([]elastic.Doc, int64, error) {
			return p.answeredCommands(ctx, p.outputs.index, from)
		}, nil))
	}
	if s.lines != nil {
		feeds = append(feeds, p.eventFeed(s))
	}
	return feeds
}

func (p *pipeline) changedFindings(ctx context.Context, from int64) ([]elastic.Doc, int64, error) {
	list, next, err := p.db.Changed(ctx, from, stepsAtOnce)
	if err != nil {
		return nil, from, err
	}
	docs, err := each(list, p.outputs.docs.FindingDoc)
	return docs, next, err
}

// tableFeed reads rows that are numbered as they come. page returns the documents of those
// behind a number, and the last of their numbers.
func (p *pipeline) tableFeed(s *sending, name string, page func(ctx context.Context, from int64) ([]elastic.Doc, int64, error), unsent func(context.Context, int64) (int64, error)) output.Feed {
	key := outputNotes + s.ID() + "/" + name
	from := func(ctx context.Context) (string, error) { return p.db.Meta(ctx, key) }
	return output.Feed{
		Name: name, From: from,
		Commit: func(ctx context.Context, next string) error { return p.db.SetMeta(ctx, key, next) },
		Read: func(ctx context.Context, from string, each func(output.Piece) error) error {
			at, err := placed(from)
			if err != nil {
				return err
			}
			tick := time.NewTicker(sendEvery)
			defer tick.Stop()
			for {
				docs, next, err := page(ctx, at)
				if err != nil {
					return err
				}
				if next != at {
					at = next
					if err := each(output.Piece{Docs: docs, Next: place(at)}); err != nil {
						return err
					}
					continue
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-tick.C:
				}
			}
		},
		Waiting: func() int64 {
			if unsent == nil {
				return 0
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			text, err := from(ctx)
			at, err2 := placed(text)
			n, err3 := unsent(ctx, at)
			if errors.Join(err, err2, err3) != nil {
				return 0 // the database's trouble is told elsewhere
			}
			return n
		},
	}
}

// place is a number as a place in a feed: in order by name, too.
func place(n int64) string { return fmt.Sprintf("%016x", n) }

func placed(place string) (int64, error) {
	if place == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(place, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%.64q is no place in a feed: %w", place, err)
	}
	return n, nil
}

// eventFeed reads and inspects again what the spool holds.
func (p *pipeline) eventFeed(s *sending) output.Feed {
	key := outputNotes + s.ID() + "/" + feedEvents
	return output.Feed{
		Name: feedEvents, Waiting: s.lines.Waiting,
		From: func(ctx context.Context) (string, error) {
			note, err := p.db.Meta(ctx, key)
			if err != nil {
				return "", err
			}
			return s.lines.Restore(note)
		},
		Commit: func(ctx context.Context, next string) error {
			if err := p.db.SetMeta(ctx, key, s.lines.Note(next)); err != nil {
				return err
			}
			s.lines.Sent(next)
			return nil
		},
		Read: func(ctx context.Context, from string, each func(output.Piece) error) error {
			r, err := p.requestsOf(p.outputs.docs, s.keeps, engineOptions{formats: formatsOf(p.settings), log: p.quiet, enrich: p.enrich}, p.settings.Identity.Redact.Bus)
			if err != nil {
				return err
			}
			return s.lines.Read(ctx, from, r.Convert, each)
		},
	}
}

// keeps reports whether a request is sent.
func (s *sending) keeps(_ ingest.Position, suspicious bool) bool {
	return suspicious || s.Events == output.EventsAll
}

// feedKind is the kind of a feed, as it stands in metrics: its name without a partition.
func feedKind(name string) string {
	kind, _, _ := strings.Cut(name, "-")
	return kind
}
