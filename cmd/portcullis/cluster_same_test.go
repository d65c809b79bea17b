package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/fixtures/traffic"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// attackLog is traffic with attackers, and behind it, three hours of log time later,
// what closes every window.
func attackLog(t *testing.T, lines int) (log []byte, end int64) {
	t.Helper()
	var out bytes.Buffer
	const rate = 40
	start := time.Now().Add(-time.Duration(lines/rate)*time.Second - 6*time.Hour).Truncate(time.Second)
	if _, err := traffic.Write(&out, traffic.Options{Lines: lines - 4, Rate: rate, Start: start, Attackers: true, Clients: 300}); err != nil {
		t.Fatal(err)
	}
	fleet := time.Now().Add(-4 * time.Hour).UTC()
	for i := range 6 * 14 { // six clients who guess on one route are a campaign
		fmt.Fprintf(&out, "203.0.113.%d - - [%s] \"POST /login HTTP/1.1\" 401 9 \"-\" \"guess/1\"\n", 101+i%6, fleet.Add(time.Duration(i)*time.Second/2).Format("02/Jan/2006:15:04:05 -0700"))
	}
	at := time.Now().Add(-3 * time.Hour).UTC()
	for i := range 4 {
		fmt.Fprintf(&out, "203.0.113.250 - - [%s] \"GET /last HTTP/1.1\" 200 1 \"-\" \"-\"\n", at.Add(time.Duration(i)*time.Second).Format("02/Jan/2006:15:04:05 -0700"))
	}
	return out.Bytes(), at.Unix() - 60
}

// TestE2EClusterSame: the same log through one process and through many gives the
// same findings, to the last byte.
func TestE2EClusterSame(t *testing.T) {
	t.Parallel()
	kafka := kafkatest.Full(t).Plain()
	log, end := attackLog(t, 20_000)
	t.Run("one process", func(t *testing.T) {
		f := newFleet(t, kafka, 1, "")
		f.more = "" // no Kafka
		alone := f.add("run", "enforce")
		alone.start()
		if err := os.WriteFile(f.log, log, 0o600); err != nil {
			t.Fatal(err)
		}
		alone.awaitLines(int64(bytes.Count(log, []byte("\n"))))
		f.sameFindings(alone)
	})
	for _, partitions := range []int{1, 3, 8} {
		t.Run(fmt.Sprintf("%d partitions", partitions), func(t *testing.T) {
			f := newFleet(t, kafka, partitions, "")
			enforce := f.add("enforce", "enforce")
			members := []*member{f.add("collect", "collect"), f.add("detect", "detect-1"), f.add("detect", "detect-2"), enforce}
			for _, m := range members {
				m.start()
			}
			if err := os.WriteFile(f.log, log, 0o600); err != nil {
				t.Fatal(err)
			}
			f.awaitWhole(enforce, int64(bytes.Count(log, []byte("\n"))), end)
			f.sameFindings(enforce)
			metricsOfParts(t, members)
		})
	}
}

// sameFindings compares the member's findings with those of a replay, once they had
// the time to come.
func (f *fleet) sameFindings(m *member) {
	f.t.Helper()
	want := f.replayed()
	var got map[string]string
	await(f.t, "the findings are those of a replay", func() string { return difference(want, got) }, func() bool {
		got = m.findings()
		return maps.Equal(want, got)
	})
	if !slices.ContainsFunc(slices.Collect(maps.Values(want)), func(f string) bool { return strings.Contains(f, `"kind":"campaign"`) }) {
		f.t.Error("no campaign was found")
	}
	if len(want) < 4 {
		f.t.Errorf("%d findings, want one for each of the four attackers at least", len(want))
	}
	f.t.Logf("%d findings, all as in a replay", len(want))
}

// difference says what two sets of findings do not share.
func difference(want, got map[string]string) string {
	var out bytes.Buffer
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if want[id] != got[id] {
			fmt.Fprintf(&out, "%s\nreplay %s\nlive   %s\n", id, want[id], got[id])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if want[id] == "" {
			fmt.Fprintf(&out, "%s only live: %s\n", id, got[id])
		}
	}
	return out.String()
}
