package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/internal/cliout"
)

// answerWithin is how long post waits for the service; it looks at its inbox
// about every second.
const answerWithin = 3 * time.Second

// post puts a command into the inbox of the service and reports what came of it.
func (a *App) post(ctx context.Context, c enforce.Command) error {
	c.Who, c.At = whoAmI(a), now().UnixNano()
	return a.withLedger(ctx, func(db *store.DB, l *enforce.Ledger) error {
		if err := a.named(c.Arg, c.Why); err != nil {
			return err
		}
		alive, err := aliveDaemon(ctx, db)
		if err != nil {
			return err
		}
		id, err := l.Post(ctx, c)
		if err != nil {
			return err
		}
		c.ID, c.Arg = id, l.Hidden(c.Arg)
		if alive == nil {
			return a.noted(c, "the service is not running, it is carried out at its next start")
		}
		return a.await(ctx, l, c)
	})
}

// noted says that a command waits.
func (a *App) noted(c enforce.Command, until string) error {
	if a.JSONL() {
		return a.object(commandObject{ID: c.ID, Verb: c.Verb, Arg: c.Arg})
	}
	_, err := fmt.Fprintf(a.Out, "noted as command %d: %s\n", c.ID, until)
	return err
}

// object writes one object for programs.
func (a *App) object(v any) error {
	j := cliout.NewJSONL(a.Out)
	if err := j.Write(v); err != nil {
		return err
	}
	return j.Flush()
}

// await waits for the result of a command and writes it.
func (a *App) await(ctx context.Context, l *enforce.Ledger, posted enforce.Command) error {
	const look = 50 * time.Millisecond
	limit := time.NewTimer(answerWithin)
	defer limit.Stop()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		c, ok, err := l.Command(ctx, posted.ID)
		switch {
		case err != nil:
			return err
		case ok && c.Done:
			return a.result(c)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return a.noted(posted, fmt.Sprintf("the service has not answered within %s, it is carried out when it does; see \"portcullis status\"", answerWithin))
		case <-tick.C:
		}
	}
}

// result writes what the service answered.
func (a *App) result(c enforce.Command) error {
	text, failed := strings.CutPrefix(c.Result, "error: ")
	var err error
	switch {
	case a.JSONL():
		err = a.object(commandObject{ID: c.ID, Verb: c.Verb, Arg: c.Arg, Done: c.Done, Failed: failed, Result: text})
	case !failed:
		_, err = fmt.Fprintln(a.Out, cliout.Safe(text, 0))
	}
	if failed {
		return errors.Join(err, errors.New(cliout.Safe(text, 0)))
	}
	return err
}

// whoAmI names the person for the ledger: who logged in, also behind sudo.
func whoAmI(a *App) string {
	name := a.getenv("SUDO_USER")
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		} else {
			name = fmt.Sprintf("uid %d", os.Getuid())
		}
	}
	return "cli:" + name
}
