package follow

import (
	"context"
	"encoding/json"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/ingest/bus"
)

// writer gathers what came and writes it. It belongs to one goroutine.
type writer struct {
	f     *Follower
	next  []int64
	moved bool
	count int

	findings map[string]detect.Finding
	rollups  map[rollupKey]detect.Rollup
	state    store.State
}

type rollupKey struct {
	minute int64
	route  string
}

func (w *writer) run(ctx context.Context, ended <-chan error) error {
	w.clear()
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer stop()
			return w.write(last)
		case err := <-ended:
			if ctx.Err() == nil {
				return err
			}
		case m := <-w.f.in:
			w.take(m)
			if w.count < writeMost {
				continue
			}
			if err := w.retry(ctx); err != nil {
				return nil // ctx ended; it is read again
			}
		case <-tick.C:
			if err := w.retry(ctx); err != nil {
				return nil
			}
		}
	}
}

func (w *writer) clear() {
	w.findings, w.rollups = map[string]detect.Finding{}, map[rollupKey]detect.Rollup{}
	w.state, w.count, w.moved = store.State{}, 0, false
}

// take sorts one message. What cannot be read is counted and said once.
func (w *writer) take(in message) {
	m := in.m
	if err := w.sort(m); err != nil {
		w.f.mu.Lock()
		w.f.unread++
		first := w.f.unread == 1
		w.f.mu.Unlock()
		if first {
			w.f.cfg.Log.Warn("a message of the findings topic cannot be read and is left out; is another version running?",
				"partition", m.Partition, "offset", m.Offset, "error", err)
		}
	}
	w.next[m.Partition] = m.Offset + 1
	w.moved = true
	w.f.mu.Lock()
	w.f.behind[m.Partition] = max(0, in.end-m.Offset-1)
	w.f.mu.Unlock()
}

func (w *writer) sort(m *bus.Message) error {
	switch string(m.Header(task.HeaderKind)) {
	case task.KindFinding:
		x, err := detect.DecodeFinding(m.Value)
		if err != nil {
			return err
		}
		w.f.cfg.Finding(x)
		w.findings[x.ID] = x
		w.count++
	case task.KindSighting:
		s, err := detect.DecodeSightings(m.Value)
		if err != nil {
			return err
		}
		w.f.cfg.Saw(s)
	case task.KindRollup:
		var list []detect.Rollup
		if err := json.Unmarshal(m.Value, &list); err != nil {
			return err
		}
		for _, r := range list {
			w.rollups[rollupKey{r.Minute, r.Route}] = r
			w.count++
		}
	case task.KindReject:
		list, err := task.DecodeRejects(m.Value)
		if err != nil {
			return err
		}
		w.state.Rejects = append(w.state.Rejects, list...)
		w.count += len(list)
	case task.KindBeat:
		return w.beat(m)
	case task.KindProcess:
		return w.process(m)
	}
	return nil // of a kind that is not known here: a newer version's
}

func (w *writer) beat(m *bus.Message) error {
	var b task.Beat
	if err := json.Unmarshal(m.Value, &b); err != nil {
		return err
	}
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	key := string(m.Key)
	if was, known := w.f.tasks[key]; known && was.Epoch > b.Epoch {
		return nil // of an owner that has lost it
	}
	w.f.tasks[key], w.f.seen["task "+key] = b, w.f.cfg.Now()
	return nil
}

func (w *writer) process(m *bus.Message) error {
	var p task.Process
	if err := json.Unmarshal(m.Value, &p); err != nil {
		return err
	}
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	w.f.processes[p.ID], w.f.seen["process "+p.ID] = p, time.Unix(0, p.At)
	return nil
}

// retry writes until it works or ctx ends: a full disk passes, and until then the
// topic keeps what is not written.
func (w *writer) retry(ctx context.Context) error {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		err := w.write(context.WithoutCancel(ctx))
		w.say(err)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (w *writer) say(err error) {
	w.f.mu.Lock()
	was := w.f.why
	w.f.why = ""
	if err != nil {
		w.f.why = err.Error()
	}
	w.f.mu.Unlock()
	switch {
	case err != nil && was == "":
		w.f.cfg.Log.Error("what was found cannot be written to the database here; it is tried until it works", "error", err)
	case err == nil && was != "":
		w.f.cfg.Log.Info("the database can be written again")
	}
}

// write saves what was gathered, then the offsets.
func (w *writer) write(ctx context.Context) error {
	if !w.moved {
		return nil
	}
	if w.count > 0 {
		for _, x := range w.findings {
			w.state.Findings = append(w.state.Findings, x)
		}
		for _, r := range w.rollups {
			w.state.Rollups = append(w.state.Rollups, r)
		}
		err := w.f.cfg.Store.Save(ctx, w.state)
		w.state.Findings, w.state.Rollups = nil, nil // gathered anew at the next try
		if err != nil {
			return err
		}
	}
	text, err := json.Marshal(w.next)
	if err != nil {
		return err
	}
	if err := w.f.cfg.Store.SetMeta(ctx, offsetsKey, string(text)); err != nil {
		return err
	}
	w.clear()
	return nil
}
