package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/fixtures/traffic"
)

// benchLines is how many lines the benchmark reads: so many that the starts of the
// processes, 35 to 60 ms of CPU time each, count for little.
const benchLines = 3_000_000

// BenchmarkCluster reads a log through one process, and through Kafka with collector
// and detector, one after the other: wall time, and the CPU time of our processes.
// Run it with -benchtime 1x; it takes minutes.
func BenchmarkCluster(b *testing.B) {
	if !soak() {
		b.Skip("takes minutes: set PORTCULLIS_SOAK=1")
	}
	log := benchLog(b, benchLines)
	b.Run("one process", func(b *testing.B) {
		for b.Loop() {
			m := benchMember(b, "run", log, "", benchLines)
			m.begin(b)
			m.until(b, func() bool { return m.ledger().Read >= benchLines })
			m.report(b, "run")
		}
	})
	kafka := startKafka(b)
	for _, partitions := range []int{1, 4, 8, 16, 64} {
		b.Run(fmt.Sprintf("%d partitions", partitions), func(b *testing.B) {
			for b.Loop() {
				prefix := fmt.Sprintf("b%d", time.Now().UnixNano())
				more := fmt.Sprintf("kafka: {enabled: true, brokers: [%q], prefix: %s, partitions: %d}\n", kafka.Plain(), prefix, partitions)
				c := benchMember(b, "collect", log, more, benchLines)
				c.begin(b)
				c.until(b, func() bool { return c.ledger().Read >= benchLines })
				c.report(b, "collect")
				d, e := benchMember(b, "detect", log, more, benchLines), benchMember(b, "enforce", log, more, benchLines)
				d.begin(b)
				e.begin(b)
				d.until(b, func() bool { return e.ledger().Processed >= benchLines })
				d.report(b, "detect")
				e.report(b, "enforce")
				b.ReportMetric(float64(topicBytes(b, kafka.Dir, prefix+".access"))/benchLines, "access-B/line")
				b.ReportMetric(float64(topicBytes(b, kafka.Dir, prefix+".partials"))/benchLines, "partials-B/line")
			}
		})
	}
}

// benchLog is a file of so many generated lines.
func benchLog(b *testing.B, lines int) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "access.log")
	out, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := traffic.Write(out, traffic.Options{Lines: lines, Attackers: true}); err != nil {
		b.Fatal(err)
	}
	if err := out.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

// measured is a process whose time is taken.
type measured struct {
	*victim
	role  string
	began time.Time
	lines float64 // that it reads
}

func benchMember(b *testing.B, role, log, more string, lines int) *measured {
	b.Helper()
	dir := b.TempDir()
	v := &victim{config: filepath.Join(dir, "portcullis.yaml"), state: filepath.Join(dir, "state"), said: new(spoken)}
	text := fmt.Sprintf("state_dir: %s\nsources: [{name: nginx, path: %s, format: nginx-combined}]\nconsole: {listen: \"127.0.0.1:0\"}\n%s", v.state, log, more)
	if err := os.WriteFile(v.config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.MkdirAll(v.state, 0o750); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(v.state, keyFile), []byte(strings.Repeat("5a", 32)), 0o600); err != nil {
		b.Fatal(err)
	}
	return &measured{victim: v, role: role, lines: float64(lines)}
}

func (m *measured) begin(b *testing.B) {
	b.Helper()
	m.launch(b, m.role)
	m.began = time.Now()
}

// until waits for what the process has to reach.
func (m *measured) until(b *testing.B, ok func() bool) {
	b.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(5 * time.Minute); !ok(); <-tick.C {
		if time.Now().After(limit) {
			b.Fatalf("%s did not get through in five minutes\n%s", m.role, tail(m.said.String(), 2000))
		}
	}
}

// report ends the process and reports its figures.
func (m *measured) report(b *testing.B, name string) {
	b.Helper()
	wall := time.Since(m.began)
	if err := m.cmd.Process.Signal(os.Interrupt); err != nil {
		b.Fatal(err)
	}
	if err := m.cmd.Wait(); err != nil {
		b.Fatalf("%s ended with %v\n%s", name, err, tail(m.said.String(), 2000))
	}
	cpu := m.cmd.ProcessState.UserTime() + m.cmd.ProcessState.SystemTime()
	b.ReportMetric(float64(cpu.Nanoseconds())/m.lines, name+"-cpu-ns/line")
	b.ReportMetric(m.lines/wall.Seconds(), name+"-lines/s")
	b.Logf("%s: %.1f s, CPU %.1f s", name, wall.Seconds(), cpu.Seconds())
}

// topicBytes is what a topic takes on the broker's disk.
func topicBytes(b *testing.B, dir, topic string) (n int64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "/"+topic+"-") || !strings.HasSuffix(path, ".log") {
			return nil // a segment may go while we look
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}
