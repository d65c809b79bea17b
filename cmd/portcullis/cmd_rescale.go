package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/ingest/bus/kafka"
)

// KafkaRescaleCmd is "portcullis kafka rescale".
type KafkaRescaleCmd struct {
	Partitions int  `name:"partitions" required:"" placeholder:"N" help:"Over how many partitions clients are to be spread, 1 to 256: so many detectors can share the work."`
	Abandon    bool `name:"abandon" help:"Do not wait for collectors that were killed and will never be back. One that comes back all the same may send lines that were counted already."`
}

// Help implements kong.HelpProvider.
func (*KafkaRescaleCmd) Help() string {
	return `Nobody may be at work, and what was read must be detected. The order:

  1. stop the collectors (SIGTERM); the logs wait in their files
  2. wait until nothing waits: "portcullis kafka check" shows it
  3. stop the detectors
  4. portcullis kafka rescale --partitions N, with the settings and the key of a detector
  5. start the detectors, then the collectors

Enforcers and consoles go on. Until the last step everything can be started as it was: a rescale that was killed has changed nothing that counts. It needs the memory that all detectors together need for their clients. Partitions that a topic has beyond N stay, without use: Kafka takes none away.

Example:
  portcullis kafka rescale --partitions 16 -c portcullis.yaml`
}

// Run implements the command.
func (c *KafkaRescaleCmd) Run(ctx context.Context, app *App) error {
	if c.Partitions < 1 || c.Partitions > 256 {
		return usagef("--partitions is %d: want 1 to 256, since clients are spread over 256 shards", c.Partitions)
	}
	k, err := app.kafkaOf(ctx)
	if err != nil {
		return err
	}
	r := &rescale{kafkaSide: k, to: c.Partitions, abandon: c.Abandon, say: func(what string) error {
		if app.JSONL() {
			return app.object(map[string]string{"done": what})
		}
		_, err := fmt.Fprintln(app.Out, what)
		return err
	}}
	err = k.sharedKeyOf()
	if err == nil {
		err = r.run(ctx)
	}
	return k.close(err)
}

// run does it all, unless it is not the time.
func (r *rescale) run(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	if r.is.Partitions == r.to {
		return r.say(fmt.Sprintf("clients are spread over %s already", plural(r.to, "partition")))
	}
	if err := r.obstacles(ctx); err != nil {
		return err
	}
	err := r.client.Exclusive(ctx, groupRescale, func(ctx context.Context) error {
		// Collectors that start from now on find it, and leave again.
		if err := r.client.Note(ctx, r.producer, noteRescale, []byte(processID())); err != nil {
			return err
		}
		err := r.client.Exclusive(ctx, groupDetect, r.work)
		if err != nil {
			return err
		}
		return r.client.Note(ctx, r.producer, noteRescale, nil)
	})
	var busy *kafka.BusyError
	if errors.As(err, &busy) {
		return fmt.Errorf("%w: somebody started a moment ago; nothing was changed", err)
	}
	if err != nil {
		return err
	}
	return r.say(fmt.Sprintf("done: start the detectors, then the collectors; and set kafka.partitions to %d, which new topics would be made with", r.to))
}

// work does the steps, one after another.
func (r *rescale) work(ctx context.Context) error {
	for _, s := range r.steps() {
		done, err := s(ctx)
		switch {
		case err != nil && r.next == r.client.Layout():
			return fmt.Errorf("%w (the new partitions are in force all the same: what is left of the old state is deleted by the next rescale)", err)
		case err != nil:
			return fmt.Errorf("%w (nothing that counts was changed: the layout of before holds)", err)
		}
		for _, what := range done {
			if err := r.say(what); err != nil {
				return err
			}
		}
	}
	return nil
}

// obstacles says what has to be done first, in order.
func (r *rescale) obstacles(ctx context.Context) error {
	others, err := r.client.Members(ctx, groupRescale)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return fmt.Errorf("another rescale is at work on %s", strings.Join(others, ", "))
	}
	if err := r.load(ctx); err != nil {
		return err
	}
	var list []string
	if open := r.reading(); len(open) > 0 {
		list = append(list, fmt.Sprintf("stop the collectors: %s (one that was killed: start it again, and stop it with SIGTERM; where it will never be back, say --abandon)", strings.Join(open, "; ")))
	}
	who, err := r.client.Members(ctx, groupDetect)
	if err != nil {
		return err
	}
	if len(r.waiting) > 0 {
		how := "start the detectors, and wait"
		if len(who) > 0 {
			how = "wait"
		}
		list = append(list, fmt.Sprintf("%s until the detectors have taken in, and saved, what waits: %s", how, strings.Join(r.waiting, ", ")))
	}
	if len(who) > 0 {
		list = append(list, fmt.Sprintf("stop the detectors: %s, on %s (one that was killed counts until kafka.session_timeout is over)", plural(len(who), "member"), strings.Join(who, ", ")))
	}
	if len(list) == 0 {
		return nil
	}
	for i := range list {
		list[i] = fmt.Sprintf("%d. %s", i+1, list[i])
	}
	return fmt.Errorf("it is not the time to divide the partitions anew; nothing was changed. In this order:\n  %s\nand then run this again", strings.Join(list, "\n  "))
}
