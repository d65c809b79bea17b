package main

import (
	"context"
	"errors"
	"fmt"
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
	return false, b.openFiles(log)
}

// openFiles takes the files that were named, and those of the settings' sources where
// these are wanted.
func (b *backtestRun) openFiles(log *slog.Logger) error {
	r := ReplayCmd{Files: b.cmd.Files, Format: b.cmd.Format, Since: b.cmd.Since, Until: b.cmd.Until}
	b.formats = map[string]string{}
	b.files = func() ([]replayFile, error) {
		files, err := r.open(log)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			b.formats[f.Name()] = b.cmd.Format
		}
		if b.cmd.Sources {
			more, err := b.ofSources(log)
			if err != nil {
				closeAll(files)
				return nil, err
			}
			files = append(files, more...)
		}
		return files, nil
	}
	files, err := b.files()
	closeAll(files)
	return err
}

// ofSources opens the files of the settings' sources. What came over the network is not
// kept in files, and is left out.
func (b *backtestRun) ofSources(log *slog.Logger) (files []replayFile, err error) {
	for i := range b.s.Sources {
		src := &b.s.Sources[i]
		if src.kind() != kindFile {
			log.Warn("backtest: what this source read is kept in no file, and is left out", "source", src.name())
			continue
		}
		paths, err := src.Logs()
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", src.name(), err)
		}
		one, err := backfill.New(backfill.Config{Name: src.name(), Paths: paths, Since: b.cmd.Since, Until: b.cmd.Until,
			TimeOf: timeReader(src.format()), Now: now, Log: log})
		if err != nil {
			return nil, usageError{err: err, command: "portcullis backtest"}
		}
		b.formats[src.name()] = src.format()
		files = append(files, &rotation{one, src.name()})
	}
	if len(files) == 0 && len(b.cmd.Files) == 0 {
		return nil, errors.New("none of the sources in the settings is a file: name the logs, or give --kafka or --elasticsearch")
	}
	return files, nil
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
