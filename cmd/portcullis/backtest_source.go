package main

import (
	"context"
	"log/slog"
	"math"

	"github.com/portcullis/portcullis/ingest/bus/kafka"
	"github.com/portcullis/portcullis/ingest/source/backfill"
)

// openSource finds out where the log is, and whether its secrets were replaced there.
func (b *backtestRun) openSource(ctx context.Context, log *slog.Logger) (sealed bool, err error) {
	switch {
	case b.cmd.Kafka:
		return b.s.Kafka.Redact, b.openKafka(ctx)
	case b.cmd.Elastic:
		return true, b.openElastic()
	}
	r := ReplayCmd{Files: b.cmd.Files, Format: b.cmd.Format, Since: b.cmd.Since, Until: b.cmd.Until}
	b.files = func() ([]replayFile, error) { return r.open(log) }
	files, err := b.files()
	if err != nil {
		return false, err
	}
	defer closeAll(files)
	b.formats = map[string]string{}
	for _, f := range files {
		b.formats[f.Name()] = b.cmd.Format
	}
	return false, nil
}

// span reads the bounds of time, in Unix nanoseconds.
func (b *backtestRun) span() (since, until int64, err error) {
	if since, err = backfill.Instant(b.cmd.Since, now(), math.MinInt64); err != nil {
		return 0, 0, usageError{err: err, command: "portcullis backtest"}
	}
	if until, err = backfill.Instant(b.cmd.Until, now(), math.MaxInt64); err != nil {
		return 0, 0, usageError{err: err, command: "portcullis backtest"}
	}
	return since, until, nil
}

func (b *backtestRun) openKafka(ctx context.Context) error {
	since, until, err := b.span()
	if err != nil {
		return err
	}
	k, err := b.app.kafkaOf(ctx)
	if err != nil {
		return err
	}
	b.closers = append(b.closers, func() { _ = k.close(nil) }) // nothing was sent
	ranges, err := k.client.Ranges(ctx, kafka.Access)
	if err != nil {
		return err
	}
	b.formats = formatsOf(b.s)
	l := &topicLog{client: k.client, ranges: ranges, since: since, until: until, timers: func() (*timer, error) { return newEngineTimer(b.s, b.formats) }}
	b.files = func() ([]replayFile, error) { return []replayFile{l}, nil }
	return nil
}

func (b *backtestRun) openElastic() error {
	since, until, err := b.span()
	if err != nil {
		return err
	}
	store, err := b.app.elasticOf()
	if err != nil {
		return err
	}
	b.closers = append(b.closers, store.Close)
	l := &indexLog{store: store, since: since, until: until}
	b.formats = map[string]string{l.Name(): "ecs"}
	b.files = func() ([]replayFile, error) { return []replayFile{l}, nil }
	return nil
}
