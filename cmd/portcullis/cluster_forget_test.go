package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// forget runs the command, and returns its words.
func (s *scaled) forget(snapshot string) (string, error) {
	out, err := exec.Command("portcullis", "kafka", "forget", snapshot, "-c", s.members["detect-1"].config).CombinedOutput()
	return string(out), err
}

// damage takes the pieces of all snapshots of level one away that are in a partition of
// the state topic, and returns how many.
func (s *scaled) damage(partition int) (pieces int) {
	s.t.Helper()
	r := s.open(1)
	defer s.closed(r)
	var gone []bus.Message
	err := r.client.ReadAll(s.t.Context(), kafka.State, partition, func(m *bus.Message) error {
		if key := string(m.Key); strings.HasPrefix(key, "front/blob/") && m.Value != nil {
			gone = append(gone, bus.Message{Key: []byte(key)})
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range gone {
		if _, err := r.producer.SendWait(s.t.Context(), kafka.State, partition, m); err != nil {
			s.t.Fatal(err)
		}
	}
	return len(gone)
}

// TestE2EClusterForget: a snapshot that is damaged is said, with the command that lets
// its part begin anew; that one does so, and where all lines are still in the topic
// every line is counted once and the findings are those of a replay.
func TestE2EClusterForget(t *testing.T) {
	t.Parallel()
	s := newScaled(t, kafkatest.Full(t).Plain(), 2, 2, "")
	detect, enforce := s.members["detect-1"], s.members["enforce"]
	s.work()
	if out, err := s.forget("front/0"); err == nil || !strings.Contains(out, "the detectors are at work") || !strings.Contains(out, "stop them first") {
		t.Errorf("while they are at work: %v: %s", err, out)
	}
	for _, name := range []string{"front", "front/x", "/1", "front/-1"} {
		if out, err := s.forget(name); err == nil || !strings.Contains(out, "TASK/PARTITION") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	s.rest()
	if n := s.damage(0); n == 0 {
		t.Fatal("there is no snapshot to damage")
	}
	problems := strings.Join(s.check().Problems, "\n")
	told := regexp.MustCompile(`portcullis kafka forget (\S+/\d+)`).FindStringSubmatch(problems)
	if told == nil || !strings.Contains(problems, "is damaged") {
		t.Fatalf("check says %q, want that a snapshot is damaged and the command that helps", problems)
	}
	detect.start()
	detect.awaitSaid(told[0], 1)
	detect.stop()
	if out, err := s.forget(told[1]); err != nil || !strings.Contains(out, told[1]+" is forgotten; start the detectors again") {
		t.Fatalf("%v: %s", err, out)
	}
	if o := s.check(); len(o.Problems) > 0 {
		t.Errorf("afterwards check says %q", o.Problems)
	}
	s.work()
	s.awaitWhole(enforce, s.lines, s.end)
	s.sameFindings(enforce)
}
