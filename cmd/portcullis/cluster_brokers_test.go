package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	fixture "github.com/portcullis/portcullis/fixtures/broker"
)

// TestE2EClusterFaultsOfBrokers kills each of three brokers in turn, and stops one, while
// lines are written: with three replicas, two of which must have what is acknowledged, the
// work goes on without it, no line is lost and the findings are those of a replay.
func TestE2EClusterFaultsOfBrokers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts three brokers: run without -short")
	}
	k, err := fixture.NewCluster(t.TempDir())
	if errors.Is(err, fixture.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED, Kafka is missing: %v: apt-get install default-jre-headless maven && deploy/testbed/kafka.sh fetch", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	s := newScaled(t, strings.Join(k.Plain(), ","), 4, 9, "")
	s.work()
	for i, n := range []int{1, 2, 3, 2} {
		end, how := k.KillNode, "killed"
		if i == 3 {
			end, how = k.StopNode, "stopped"
		}
		s.replicated(k)
		ended := make(chan error, 1)
		go func() { ended <- end(n) }()
		began := time.Now()
		s.write()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		s.write() // the broker is away for certain
		t.Logf("broker %d %s: two parts of the log were counted in %.1f s", n, how, time.Since(began).Seconds())
		if err := k.StartNode(n); err != nil {
			t.Fatal(err)
		}
	}
	enforce := s.members["enforce"]
	s.awaitWhole(enforce, s.lines, s.end)
	s.sameFindings(enforce)
	st := enforce.status()
	t.Logf("%d lines: read %d = %d events + %d rejected, 0 lost, 0 repeated", s.lines, st.Sources[0].Read, st.Sources[0].Processed, st.Sources[0].Rejected)
}

// replicated waits until all brokers have what our topics hold.
func (s *scaled) replicated(k *fixture.Cluster) {
	s.t.Helper()
	client := &kafkago.Client{Addr: kafkago.TCP(k.Plain()...), Timeout: 5 * time.Second, Transport: &kafkago.Transport{MetadataTTL: 200 * time.Millisecond}}
	defer client.Transport.(*kafkago.Transport).CloseIdleConnections()
	var last []string
	await(s.t, "three replicas of each partition", func() string { return fmt.Sprint(last) }, func() bool {
		answer, err := client.Metadata(s.t.Context(), &kafkago.MetadataRequest{})
		if err != nil {
			last = []string{err.Error()}
			return false
		}
		last = nil
		ours := 0
		for _, t := range answer.Topics {
			for _, p := range t.Partitions {
				if len(p.Isr) < fixture.Nodes {
					last = append(last, fmt.Sprintf("%s/%d", t.Name, p.ID))
				}
				if strings.HasPrefix(t.Name, s.prefix+".") {
					ours++
				}
			}
		}
		slices.Sort(last)
		return len(last) == 0 && ours > 0
	})
}
