package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/identity"
	"github.com/portcullis/portcullis/internal/cliout"
	"github.com/portcullis/portcullis/internal/config"
)

// try gives settings of detectors, written RULE.KEY=VALUE, other values.
func (s *Settings) try(changes []string) error {
	for _, c := range changes {
		path, value, found := strings.Cut(c, "=")
		name, key, named := strings.Cut(path, ".")
		if !found || !named {
			return fmt.Errorf("%.80q: want RULE.KEY=VALUE, such as auth-burst.limit=20", c)
		}
		if err := s.tryOne(name, key, value); err != nil {
			return fmt.Errorf("%.80q: %w", path, err)
		}
	}
	return nil
}

func (s *Settings) tryOne(name, key, value string) error {
	var names []string
	for _, sec := range s.Detectors {
		if names = append(names, sec.Name); sec.Name != name || sec.Value == nil {
			continue
		}
		if err := config.Set(sec.Value, key, value); err != nil {
			return err
		}
		var problems []error
		if c, ok := sec.Value.(config.Checker); ok {
			c.Check(func(key, message string) { problems = append(problems, fmt.Errorf("%s %s", key, message)) })
		}
		return errors.Join(problems...)
	}
	hint := ""
	if near, ok := config.Nearest(name, names); ok {
		hint = ": did you mean " + near + "?"
	}
	return fmt.Errorf("there is no detector %.80q with settings%s", name, hint)
}

// attend makes ctx end when standard input does: then whoever started this process has
// lost interest, or is dead. What waits for that end goes with the process.
func attend(ctx context.Context, app *App) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, app.In)
		stop()
	}()
	return ctx, stop
}

// conceal hides the addresses where the installation does, for people who look at the
// console; who runs the command has the log itself.
func (b *backtestRun) conceal() error {
	if !b.cmd.Attended || !b.s.Identity.HideAddresses {
		return nil
	}
	ring, _, err := identityOf(b.s, false)
	if err != nil {
		return err
	}
	cloak, err := identity.NewCloak(ring.Root)
	if err != nil {
		return err
	}
	b.report.Conceal(cloak.HideText)
	return nil
}

// read gives all batches of the logs to use, merged by time.
func (b *backtestRun) read(ctx context.Context, use func(*ingest.Batch)) error {
	files, err := b.files()
	if err != nil {
		return err
	}
	defer closeAll(files)
	b.reading++
	if b.cmd.Attended {
		said := &saidProgress{w: b.app.Out, reading: b.reading, total: func() int64 { return total(files) }}
		said.say(0)
		return readAll(ctx, files, b.ahead, said, use)
	}
	drawn := cliout.NewProgress(b.app.Err, total(files))
	defer drawn.Stop()
	return readAll(ctx, files, b.ahead, drawn, use)
}

// sayEvery is how often a process of the console says how far it is.
const sayEvery = 250 * time.Millisecond

// saidProgress says how far the reading is to another process.
type saidProgress struct {
	w       io.Writer
	reading int
	total   func() int64
	said    time.Time
}

// Set implements progress.
func (p *saidProgress) Set(done, _ int64) {
	if now().Sub(p.said) >= sayEvery {
		p.say(done)
	}
}

func (p *saidProgress) say(done int64) {
	p.said = now()
	// Where nobody listens any more, standard input ends too.
	_ = json.NewEncoder(p.w).Encode(struct {
		Reading int   `json:"reading"`
		Read    int64 `json:"read"`
		Total   int64 `json:"total"`
	}{p.reading, done, p.total()})
}
