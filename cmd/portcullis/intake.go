package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/identity"
)

// intake is the sources of this process, kept together in event time.
type intake struct {
	sources []*liveSource
	ahead   *timer             // reads times for the aligner
	redact  *identity.Redactor // of lines before they are handed on; nil: none
}

// formatsOf maps the name of every source to its format.
func formatsOf(s *Settings) map[string]string {
	formats := map[string]string{}
	for i := range s.Sources {
		formats[s.Sources[i].name()] = s.Sources[i].format()
	}
	return formats
}

// openIntake makes the sources of the settings. Nothing is read yet.
func openIntake(s *Settings, redact bool, log *slog.Logger) (*intake, error) {
	in := &intake{}
	var err error
	if redact {
		_, ident, err := identityOf(s, false)
		if err != nil {
			return nil, err
		}
		if in.redact, err = ident.Redactor(); err != nil {
			return nil, err
		}
	}
	if in.ahead, err = newEngineTimer(s, formatsOf(s)); err != nil {
		return nil, err
	}
	for i := range s.Sources {
		src, err := s.Sources[i].open(s.StateDir, log)
		if err != nil {
			in.close(log)
			return nil, err
		}
		in.sources = append(in.sources, src)
	}
	return in, nil
}

// start starts every source behind its marks; feed gets their batches one after the
// other.
func (in *intake) start(start func(string, func(context.Context) error), marks []ingest.Mark, feed func(context.Context, *ingest.Batch) error) {
	a := newAligner(len(in.sources), in.ahead, func(ctx context.Context, b *ingest.Batch) error {
		if in.redact != nil {
			in.redact.Batch(b)
		}
		return feed(ctx, b)
	})
	if len(in.sources) > 1 {
		start("aligner", a.run)
	}
	for i, f := range in.sources {
		var from []ingest.Mark
		for _, m := range marks {
			if m.Source == f.name {
				from = append(from, m)
			}
		}
		start("source "+f.name, func(ctx context.Context) error {
			return f.Run(ctx, from, func(ctx context.Context, b *ingest.Batch) error { return a.put(ctx, i, b) })
		})
	}
}

// saved tells the sources that what lies before their marks is saved.
func (in *intake) saved(marks []ingest.Mark) {
	for _, m := range marks {
		for _, src := range in.sources {
			if src.name == m.Source {
				src.saved(m)
			}
		}
	}
}

// caughtUp reports whether every source was read to its end.
func (in *intake) caughtUp() bool {
	for _, f := range in.sources {
		if f.Health().Lag > 0 {
			return false
		}
	}
	return true
}

// lags puts what is unread now into the rows of the sources.
func (in *intake) lags(rows []ingest.LedgerRow) {
	for i := range rows {
		for _, f := range in.sources {
			if f.name == rows[i].Source {
				rows[i].LagBytes = f.Health().Lag
			}
		}
	}
}

// trouble is what an operator should know of the sources.
func (in *intake) trouble(add func(what, why string)) {
	for _, f := range in.sources {
		health, what := f.Health(), "source "+f.name
		add(what, health.Error)
		if health.Dropped > 0 {
			add(what, fmt.Sprintf("%d messages were lost on their way in, because nobody could wait (UDP)", health.Dropped))
		}
		if health.Losses > 0 {
			add(what, fmt.Sprintf("%d bytes were destroyed before they could be read, in %s", health.LostBytes, plural(int(health.Losses), "rotation")))
		}
	}
}

// ready says why a source cannot be read, if one cannot.
func (in *intake) ready() error {
	for _, f := range in.sources {
		if e := f.Health().Error; e != "" {
			return fmt.Errorf("source %s: %s", f.name, e)
		}
	}
	return nil
}

func (in *intake) close(log *slog.Logger) {
	for _, s := range in.sources {
		if err := s.close(); err != nil {
			log.Error("close a source", "source", s.name, "error", err)
		}
	}
}
