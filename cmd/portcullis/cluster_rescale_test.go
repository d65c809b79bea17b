package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// scaled is a fleet whose partitions are divided anew while its log grows.
type scaled struct {
	*fleet
	parts [][]byte // of the log, to be written
	lines int64    // that were written
	end   int64    // a second that is closed at the end
}

func newScaled(t *testing.T, kafka string, partitions, parts int, more string) *scaled {
	t.Helper()
	f := newFleet(t, kafka, partitions, more)
	f.add("collect", "collect")
	f.add("detect", "detect-1")
	f.add("detect", "detect-2")
	f.add("enforce", "enforce")
	log, end := attackLog(t, 16_000)
	s := &scaled{fleet: f, end: end}
	lines := slices.Collect(bytes.Lines(log))
	for i := range parts {
		s.parts = append(s.parts, bytes.Join(lines[i*len(lines)/parts:(i+1)*len(lines)/parts], nil))
	}
	return s
}

// work starts everything, writes the next part of the log and waits until it is
// counted.
func (s *scaled) work() {
	s.t.Helper()
	for _, m := range s.members {
		m.start()
	}
	s.write()
}

// write writes the next part and waits until it is counted.
func (s *scaled) write() {
	s.t.Helper()
	part := s.parts[0]
	s.parts = s.parts[1:]
	s.append(part)
	var last *statusObject
	await(s.t, fmt.Sprintf("%d lines are counted", s.lines), func() string { text, _ := json.Marshal(last); return tail(string(text), 3000) }, func() bool {
		last = s.members["enforce"].status()
		return last != nil && last.taken(s.lines)
	})
}

// append writes to the log.
func (s *scaled) append(part []byte) {
	s.t.Helper()
	f, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := f.Write(part); err != nil {
		s.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.lines += int64(bytes.Count(part, []byte("\n")))
}

// rest stops the collector, waits until the detectors are level, and stops them.
func (s *scaled) rest() {
	s.t.Helper()
	s.members["collect"].stop()
	s.level()
	s.members["detect-1"].stop()
	s.members["detect-2"].stop()
}

// level waits until nothing waits for a detector.
func (s *scaled) level() {
	s.t.Helper()
	var o kafkaObject
	await(s.t, "the detectors are level", func() string { return fmt.Sprintf("%+v", o.Tasks) }, func() bool {
		o = s.check()
		return !slices.ContainsFunc(o.Tasks, func(k kafkaTask) bool { return k.Waiting > 0 })
	})
}

// check is what "kafka check" says; its status tells of problems.
func (s *scaled) check() (o kafkaObject) {
	s.t.Helper()
	out, err := exec.Command("portcullis", "kafka", "check", "--output", "jsonl", "-c", s.members["detect-1"].config).Output()
	if jsonErr := json.Unmarshal(out, &o); jsonErr != nil || (err != nil) != (len(o.Problems) > 0) {
		s.t.Fatalf("kafka check: %v, %v: %s", err, jsonErr, out)
	}
	return o
}

// rescale runs the command, and returns its words.
func (s *scaled) rescale(partitions int, more ...string) (string, error) {
	args := append([]string{"kafka", "rescale", "--partitions", fmt.Sprint(partitions), "-c", s.members["detect-1"].config}, more...)
	out, err := exec.Command("portcullis", args...).CombinedOutput()
	return string(out), err
}

// refused checks that it is not done, with these words.
func (s *scaled) refused(partitions int, words ...string) {
	s.t.Helper()
	out, err := s.rescale(partitions)
	if err == nil {
		s.t.Fatalf("it was done: %s", out)
	}
	at := 0
	for _, w := range words {
		n := strings.Index(out[at:], w)
		if n < 0 {
			s.t.Errorf("no %q, in its place, in: %s", w, out)
			continue
		}
		at += n
	}
}

// open connects to Kafka as the command does.
func (s *scaled) open(partitions int) *rescale {
	s.t.Helper()
	app := &App{Globals: Globals{ConfigFile: s.members["detect-1"].config}, Out: io.Discard, Err: io.Discard}
	k, err := app.kafkaOf(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return &rescale{kafkaSide: k, to: partitions, say: func(string) error { return nil }}
}

// held is a digest of the state that the detectors would begin with.
func (s *scaled) held() map[string]string {
	s.t.Helper()
	r := s.open(1)
	defer s.closed(r)
	if err := r.begin(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	out := map[string]string{"layout": fmt.Sprintf("%+v", r.is)}
	for _, p := range partsOf(r.is) {
		_, saved, err := r.kafkaSide.load(s.t.Context(), r.is, p)
		if err != nil {
			s.t.Fatal(err)
		}
		sum := sha256.New()
		sum.Write(saved.Meta)
		for _, name := range slices.Sorted(maps.Keys(saved.Blobs)) {
			fmt.Fprintf(sum, "%q %q\n", name, saved.Blobs[name])
		}
		out[fmt.Sprintf("%s/%d", p.task, p.partition)] = fmt.Sprintf("%d %d %x", saved.Epoch, len(saved.Blobs), sum.Sum(nil))
	}
	return out
}

func (s *scaled) closed(r *rescale) {
	s.t.Helper()
	if err := r.close(nil); err != nil {
		s.t.Error(err)
	}
}

// errKilled ends a rescale in the middle.
var errKilled = errors.New("killed by the test")

// killed does so many steps and ends there, as if killed: what it wrote stays.
func (s *scaled) killed(partitions, after int) {
	s.t.Helper()
	r := s.open(partitions)
	defer s.closed(r)
	ctx := s.t.Context()
	err := r.begin(ctx)
	if err == nil {
		err = r.obstacles(ctx)
	}
	if err == nil {
		err = r.client.Note(ctx, r.producer, noteRescale, []byte("killed"))
	}
	if err == nil {
		err = r.client.Exclusive(ctx, groupDetect, func(ctx context.Context) error {
			for _, do := range r.steps()[:after] {
				if _, err := do(ctx); err != nil {
					return err
				}
			}
			return errKilled
		})
	}
	if !errors.Is(err, errKilled) {
		s.t.Fatal(err)
	}
}

// TestE2EClusterRescale: the partitions are divided anew twice within a log, after
// tries that were killed at every step, and the findings are those of a replay.
func TestE2EClusterRescale(t *testing.T) {
	t.Parallel()
	s := newScaled(t, kafkatest.Full(t).Plain(), 3, 4, "")
	s.work()
	s.refused(5, "nothing was changed", "1. stop the collectors", fmt.Sprintf("(%q)", s.log), "stop the detectors: 2 members")
	s.members["collect"].stop()
	s.level()
	s.refused(5, "1. stop the detectors: 2 members")
	s.rest()

	held := s.held()
	layout := 3 + 5 // steps before the layout is written
	for after := range layout + 1 {
		s.killed(5, after)
		if now := s.held(); !maps.Equal(held, now) {
			t.Fatalf("a rescale that was killed after %d steps changed the state that holds: before %v, now %v", after, held, now)
		}
	}
	if o := s.check(); len(o.Problems) != 1 || !strings.Contains(o.Problems[0], "ended before it was done") || o.Layout.Partitions != 3 || o.Topics[1].Partitions != 5 {
		t.Errorf("check says %+v", o)
	}
	s.work() // as if nothing had been
	s.rest()

	for _, partitions := range []int{5, 2} {
		if partitions == 2 {
			s.killed(2, 3+2+1) // the layout is written, what is left of the old one not deleted
		} else if out, err := s.rescale(partitions); err != nil || !strings.Contains(out, "clients are spread over 5 partitions, before 3") {
			t.Fatalf("%v: %s", err, out)
		}
		s.work()
		if partitions != 2 {
			s.rest()
		}
	}
	enforce := s.members["enforce"]
	st := s.awaitWhole(enforce, s.lines, s.end)
	if want := [2]int{2, 2}; st.Cluster.Layout != want || len(st.Cluster.Missing) > 0 {
		t.Errorf("status has layout %v, want %v; missing %v", st.Cluster.Layout, want, st.Cluster.Missing)
	}
	s.sameFindings(enforce)
	s.rest()
	if out, err := s.rescale(2); err != nil || !strings.Contains(out, "over 2 partitions already") {
		t.Errorf("%v: %s", err, out)
	}
}

// ends waits until a process that cannot work has ended, with these words.
func (m *member) ends(words string) {
	m.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- m.cmd.Wait() }()
	select {
	case err := <-ended:
		m.running = false
		if err == nil || !strings.Contains(m.said.String(), words) {
			m.t.Errorf("%s ended with %v, and without saying %q: %s", m.name, err, words, tail(m.said.String(), 2000))
		}
	case <-time.After(patience):
		m.t.Errorf("%s goes on", m.name)
		_ = m.cmd.Process.Kill() // it did not end by itself
		<-ended
		m.running = false
	}
}

// TestE2EClusterRescaleAlone: nobody can begin while partitions are divided anew, and
// a collector that was killed stands in the way until it ended in good order, or is
// said to be gone.
func TestE2EClusterRescaleAlone(t *testing.T) {
	t.Parallel()
	s := newScaled(t, kafkatest.Full(t).Plain(), 3, 2, "")
	collect, detect := s.members["collect"], s.members["detect-1"]
	s.work()
	collect.kill()
	s.level()
	detect.stop()
	s.members["detect-2"].stop()
	s.refused(4, "1. stop the collectors", "was killed")
	collect.start()
	collect.awaitSaid("msg=running", 2)
	collect.stop()
	s.members["detect-2"].start()
	s.members["detect-2"].awaitSaid("msg=running", 2)
	s.level()
	s.members["detect-2"].stop()

	r := s.open(4)
	err := r.begin(t.Context())
	if err == nil {
		err = r.client.Exclusive(t.Context(), groupRescale, func(ctx context.Context) error {
			if err := r.client.Note(ctx, r.producer, noteRescale, []byte("by the test")); err != nil {
				return err
			}
			return r.client.Exclusive(ctx, groupDetect, func(context.Context) error {
				detect.start()
				detect.ends("is portcullis kafka rescale at work?")
				collect.start()
				collect.ends("portcullis kafka rescale is at work")
				s.refused(4, "another rescale is at work")
				return nil
			})
		})
	}
	if err != nil {
		t.Error(err)
	}
	s.closed(r)

	s.work()
	collect.kill()
	s.level()
	detect.stop()
	s.members["detect-2"].stop()
	if out, err := s.rescale(4, "--abandon"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.parts = [][]byte{nil}
	s.work()
	s.awaitWhole(s.members["enforce"], s.lines, s.end)
	s.sameFindings(s.members["enforce"])
}

// awaitSaid waits until it has said something so many times.
func (m *member) awaitSaid(words string, times int) {
	m.t.Helper()
	await(m.t, words, m.said.String, func() bool { return strings.Count(m.said.String(), words) >= times })
}
