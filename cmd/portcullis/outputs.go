package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/store/output"
	"github.com/portcullis/portcullis/enforce/indexed"
	"github.com/portcullis/portcullis/internal/telemetry"
)

// outputs send what was found, decided and asked to where others keep their logs. A nil
// one has nobody to send to.
type outputs struct {
	b     *base
	docs  *elastic.Store // makes documents; it talks to nobody
	index *indexed.Index
	list  []*sending
}

// sending is one output and what is fed to it.
type sending struct {
	output.Config
	out   *output.Output
	lines *output.Lines // of the log, in one process without Kafka; nil: none

	mu    sync.Mutex
	feeds []output.Feed
}

// newOutputs makes the outputs of the settings. rejected keeps what one refuses for good.
func (b *base) newOutputs(rejected func(ctx context.Context, name string, d elastic.Doc, reason string) error) (*outputs, error) {
	if len(b.settings.Outputs) == 0 {
		return nil, nil
	}
	o := &outputs{b: b}
	var err error
	if o.docs, err = elastic.New(elastic.Config{Namespace: b.settings.Elasticsearch.Namespace}, elastic.Options{Cloak: b.cloak, Hide: b.hide, Log: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, err
	}
	o.index = indexed.New(o.docs, b.cloak)
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	for _, cfg := range b.settings.Outputs {
		s := &sending{Config: cfg}
		s.out, err = output.New(output.Options{Config: cfg, Common: output.Common{Version: buildInfo().Version, Host: host}, Log: b.quiet,
			Rejected: func(ctx context.Context, d elastic.Doc, reason string) error { return rejected(ctx, s.ID(), d, reason) }})
		if err != nil {
			return nil, err
		}
		o.list = append(o.list, s)
	}
	return o, nil
}

// wanted are the documents that an output gets.
func (s *sending) wanted(docs []elastic.Doc) []elastic.Doc {
	kept := docs[:0:0]
	for _, d := range docs {
		if s.Wants(d.Kind) {
			kept = append(kept, d)
		}
	}
	return kept
}

// run sends feeds until ctx ends.
func (s *sending) run(ctx context.Context, feeds []output.Feed) {
	s.mu.Lock()
	s.feeds = feeds
	s.mu.Unlock()
	s.out.Run(ctx, feeds...)
	s.mu.Lock()
	s.feeds = nil
	s.mu.Unlock()
}

// waiting is how much is not sent, by feed.
func (s *sending) waiting() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := map[string]int64{}
	for _, f := range s.feeds {
		w[feedKind(f.Name)] += f.Waiting()
	}
	return w
}

// trouble is what an operator should know of them.
func (o *outputs) trouble(add func(what, why string)) {
	if o == nil {
		return
	}
	for _, s := range o.list {
		stats := s.out.Stats()
		stats.Trouble(s.ID(), func(what, why string) { add(what, o.b.hideText(why)) })
		if s.lines == nil {
			continue
		}
		if n, why := s.lines.LeftOut(); n > 0 {
			text := fmt.Sprintf("%d requests were left out, because they could not be kept for it; findings and decisions are sent", n)
			if why != "" {
				text += ": " + why
			}
			add("output "+s.ID(), text)
		}
	}
}

// troubles is trouble as a list. It does not keep a process from being ready: who is sent
// to may be away while all else works.
func (o *outputs) troubles() (list []string) {
	o.trouble(func(what, why string) { list = append(list, what+": "+why) })
	return list
}

// outputMetrics describes the figures of outputs. Outputs are named by the settings, the
// rest is of fixed sets.
var outputMetrics = []telemetry.Desc{
	{Name: "portcullis_output_up", Help: "1 while an output takes what it is sent; 0: documents wait.", Kind: telemetry.Gauge, Labels: []string{"output"}},
	{Name: "portcullis_output_sent_total", Help: "Documents that an output took, by their kind, since the start.", Kind: telemetry.Counter, Labels: []string{"output", "kind"}},
	{Name: "portcullis_output_rejected_total", Help: "Documents that an output refused for good.", Kind: telemetry.Counter, Labels: []string{"output"}},
	{Name: "portcullis_output_retried_total", Help: "Documents that were sent again.", Kind: telemetry.Counter, Labels: []string{"output"}},
	{Name: "portcullis_output_waiting", Help: "What is not sent yet: findings, changes of decisions, bytes of the log; with Kafka messages of the topics.", Kind: telemetry.Gauge, Labels: []string{"output", "feed"}},
	{Name: "portcullis_output_left_out_total", Help: "Requests that were left out because the spool of an output was full; without Kafka only.", Kind: telemetry.Counter, Labels: []string{"output"}},
}

func (o *outputs) emitMetrics(emit emitter) {
	if o == nil {
		return
	}
	for _, s := range o.list {
		stats, name := s.out.Stats(), s.ID()
		emit("portcullis_output_up", onOff(stats.Error == ""), name)
		for kind, n := range stats.Sent {
			emit("portcullis_output_sent_total", float64(n), name, string(kind))
		}
		emit("portcullis_output_rejected_total", float64(stats.Rejected), name)
		emit("portcullis_output_retried_total", float64(stats.Retried), name)
		for feed, n := range s.waiting() {
			emit("portcullis_output_waiting", float64(n), name, feed)
		}
		if s.lines != nil {
			n, _ := s.lines.LeftOut()
			emit("portcullis_output_left_out_total", float64(n), name)
		}
	}
}

// rejectedFile is a file of the state folder that keeps documents which were refused for
// good.
type rejectedFile struct{ mu sync.Mutex }

// rejectedMost bounds it; when it is full the one before it is lost.
const rejectedMost = 16 << 20

// add appends a document; output is empty for Elasticsearch.
func (r *rejectedFile) add(dir, output string, d elastic.Doc, reason string) error {
	path := filepath.Join(dir, "rejected.ndjson")
	entry := map[string]any{"at": now().UTC(), "kind": d.Kind, "id": d.ID, "reason": reason, "document": json.RawMessage(d.Source)}
	if output != "" {
		entry["output"] = output
	}
	line, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("rejected document: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if info, err := os.Stat(path); err == nil && info.Size() > rejectedMost {
		if err := os.Rename(path, path+".1"); err != nil {
			return fmt.Errorf("rejected documents: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("rejected documents: %w", err)
	}
	return nil
}
