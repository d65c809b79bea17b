package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/ingest/bus/kafka"
	"github.com/portcullis/portcullis/internal/cliout"
)

// KafkaCmd is "portcullis kafka".
type KafkaCmd struct {
	Check   KafkaCheckCmd   `cmd:"" group:"sub" help:"Say what is there and what has to be mended: topics, partitions, who is at work, what waits."`
	Rescale KafkaRescaleCmd `cmd:"" group:"sub" help:"Spread clients over another number of partitions, and their state with them."`
	Forget  KafkaForgetCmd  `cmd:"" group:"sub" help:"Delete a damaged snapshot, so that its part of the detection begins anew."`
}

// KafkaCheckCmd is "portcullis kafka check".
type KafkaCheckCmd struct{}

// KafkaForgetCmd is "portcullis kafka forget".
type KafkaForgetCmd struct {
	Snapshot string `arg:"" placeholder:"TASK/PARTITION" help:"The snapshot, as the error that says that it is damaged names it."`
}

// Help implements kong.HelpProvider.
func (*KafkaCheckCmd) Help() string {
	return `Changes nothing. Ends with status 1 if something has to be mended. It reads the snapshots to say what waits, so it takes as long as a start of all detectors.

Example:
  portcullis kafka check -c portcullis.yaml`
}

// Help implements kong.HelpProvider.
func (*KafkaForgetCmd) Help() string {
	return `The detectors have to be stopped. The part begins anew with the oldest lines that the topic holds, and without what it knew before: limits that were nearly reached are reached later, or not at all.

Example:
  portcullis kafka forget front/3`
}

// kafkaSide is a command's connection to Kafka.
type kafkaSide struct {
	settings *Settings
	client   *kafka.Client
	producer *kafka.Producer
	store    *kafka.Store
}

// kafkaOf connects to the Kafka of the settings.
func (a *App) kafkaOf(ctx context.Context) (*kafkaSide, error) {
	s, err := a.Settings()
	if err != nil {
		return nil, err
	}
	if !s.Kafka.Enabled {
		return nil, errors.New("kafka.enabled is not set: name the brokers under kafka.brokers, and enable it")
	}
	level := s.Log.Level
	if level == "info" { // what goes well is in the output
		level = "warn"
	}
	log, err := a.Logger(level, s.Log.Format)
	if err != nil {
		return nil, err
	}
	k := &kafkaSide{settings: s}
	if k.client, err = kafka.Open(ctx, s.Kafka.Config, log); err != nil {
		return nil, err
	}
	k.producer = k.client.Producer()
	k.store = k.client.Store(k.producer)
	return k, nil
}

func (k *kafkaSide) close(err error) error {
	err = errors.Join(err, k.producer.Close())
	k.client.Close()
	return err
}

// Run implements the command.
func (c *KafkaForgetCmd) Run(ctx context.Context, app *App) error {
	at := strings.LastIndexByte(c.Snapshot, '/')
	partition, err := strconv.Atoi(c.Snapshot[at+1:])
	if at < 1 || err != nil || partition < 0 {
		return usagef("%.80q is no snapshot: it is written TASK/PARTITION, such as front/3", c.Snapshot)
	}
	k, err := app.kafkaOf(ctx)
	if err != nil {
		return err
	}
	err = k.client.Exclusive(ctx, groupDetect, func(ctx context.Context) error {
		return k.store.Forget(ctx, c.Snapshot[:at], partition)
	})
	var busy *kafka.BusyError
	if errors.As(err, &busy) {
		err = fmt.Errorf("the detectors are at work on %s: stop them first", strings.Join(busy.Members, ", "))
	}
	if err = k.close(err); err != nil || app.JSONL() {
		return err
	}
	_, err = fmt.Fprintf(app.Out, "%s is forgotten; start the detectors again\n", cliout.Safe(c.Snapshot, 0))
	return err
}

// kafkaObject is what "kafka check" found.
type kafkaObject struct {
	Layout     kafka.Layout        `json:"layout"`
	Topics     []kafka.SurveyTopic `json:"topics"`
	Tasks      []kafkaTask         `json:"tasks"`
	Groups     map[string][]string `json:"groups"`     // addresses of members
	Collectors []string            `json:"collectors"` // that read, or were killed at it
	Problems   []string            `json:"problems"`
}

// kafkaTask is how far the newest snapshot of a part of the detection reads.
type kafkaTask struct {
	Task      string `json:"task"`
	Partition int    `json:"partition"`
	Next      int64  `json:"next"` // offset
	Waiting   int64  `json:"waiting"`
}

// Run implements the command.
func (*KafkaCheckCmd) Run(ctx context.Context, app *App) error {
	k, err := app.kafkaOf(ctx)
	if err != nil {
		return err
	}
	o, err := k.look(ctx)
	if err = k.close(err); err != nil {
		return err
	}
	if app.JSONL() {
		err = app.object(o)
	} else {
		err = o.show(app)
	}
	if err == nil && len(o.Problems) > 0 {
		err = fmt.Errorf("%s to be mended in Kafka", plural(len(o.Problems), "thing"))
	}
	return err
}

// look looks at everything.
func (k *kafkaSide) look(ctx context.Context) (*kafkaObject, error) {
	s, err := k.client.Survey(ctx)
	if err != nil {
		return nil, err
	}
	o := &kafkaObject{Layout: s.Layout, Topics: s.Topics, Groups: map[string][]string{}, Collectors: []string{}, Problems: []string{}, Tasks: []kafkaTask{}}
	for _, err := range s.Wrong {
		o.Problems = append(o.Problems, err.Error())
	}
	for _, group := range []string{groupDetect, groupEnforce, groupIndex, groupRescale} {
		if o.Groups[group], err = k.client.Members(ctx, group); err != nil {
			return nil, err
		}
	}
	if s.Notes[noteRescale] != nil && len(o.Groups[groupRescale]) == 0 {
		o.Problems = append(o.Problems, "portcullis kafka rescale was ended before it was done: the layout of before holds, and nothing is lost (to finish it, run it again)")
	}
	for _, n := range collectors(s.Notes) {
		o.Collectors = append(o.Collectors, n.String())
	}
	ranges := map[string]map[int]kafka.Range{}
	for _, t := range s.Topics {
		ranges[t.Short] = t.Ranges
	}
	if !s.Found {
		return o, nil
	}
	for _, p := range partsOf(s.Layout) {
		r, there := ranges[p.topic][p.partition]
		if !there {
			continue // the topic's problem is told
		}
		_, saved, err := k.load(ctx, s.Layout, p)
		var at int64
		if err == nil {
			at, err = saved.Next()
		}
		if err != nil {
			o.Problems = append(o.Problems, err.Error())
			continue
		}
		o.Tasks = append(o.Tasks, kafkaTask{p.task, p.partition, at, max(0, r.End-at)})
	}
	return o, nil
}

// show writes it for a person.
func (o *kafkaObject) show(app *App) error {
	t := app.Table(cliout.Column{Title: "TOPIC", Keep: true}, cliout.Column{Title: "PARTITIONS", Right: true}, cliout.Column{Title: "USED", Right: true},
		cliout.Column{Title: "MESSAGES", Right: true}, cliout.Column{Title: "STATE"})
	for _, topic := range o.Topics {
		state := "in order"
		switch n := topic.Partitions - topic.Used; {
		case topic.Partitions == 0:
			state = "missing"
		case n < 0:
			state = plural(-n, "partition") + " too few"
		case n > 0:
			state = plural(n, "partition") + " not in use"
		}
		t.Row(topic.Name, strconv.Itoa(topic.Partitions), strconv.Itoa(topic.Used), cliout.Count(topic.Messages), state)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	lines := []string{"", fmt.Sprintf("clients are spread over %s, accounts and routes over %d", plural(o.Layout.Partitions, "partition"), o.Layout.Wide)}
	for _, g := range []string{groupDetect, groupEnforce, groupIndex, groupRescale} {
		if who := o.Groups[g]; len(who) > 0 {
			lines = append(lines, fmt.Sprintf("group %s: %s, on %s", g, plural(len(who), "member"), strings.Join(who, ", ")))
		}
	}
	for _, c := range o.Collectors {
		lines = append(lines, "collector (or was killed): "+c)
	}
	var waiting []string
	for _, x := range o.Tasks {
		if x.Waiting > 0 {
			waiting = append(waiting, fmt.Sprintf("%s/%d %s", x.Task, x.Partition, cliout.Count(x.Waiting)))
		}
	}
	if len(waiting) == 0 {
		waiting = []string{"nothing"}
	}
	lines = append(lines, "behind the saved state: "+strings.Join(waiting, ", "))
	for i := range lines {
		lines[i] = cliout.Safe(lines[i], 0)
	}
	for _, p := range o.Problems {
		for line := range strings.Lines(p) {
			lines = append(lines, app.Style().Paint(cliout.Yellow, "to be mended")+": "+cliout.Safe(strings.TrimSuffix(line, "\n"), 0))
		}
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(app.Out, line); err != nil {
			return err
		}
	}
	return nil
}

// sharedKeyOf refuses a command that would make state without the installation's key.
func (k *kafkaSide) sharedKeyOf() error {
	if err := (roles{roleDetect}).sharedKey(k.settings); err != nil {
		return fmt.Errorf("%w (or run this where a detector runs, with its settings: %s)", err, filepath.Join(k.settings.StateDir, keyFile))
	}
	return nil
}
