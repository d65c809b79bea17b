package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkIndexed reads a log through Kafka into Elasticsearch, on one machine with
// both: how fast it goes, and the CPU time of each process, theirs included. Run it with
// -benchtime 1x; it takes minutes.
func BenchmarkIndexed(b *testing.B) {
	if !soak() {
		b.Skip("takes minutes: set PORTCULLIS_SOAK=1")
	}
	kafka, search := startKafka(b), newSearchNode(b)
	p := &indexedRun{kafka: kafka.Plain(), search: search, servers: map[string]string{"kafka": kafka.Dir, "elasticsearch": search.server.Dir}}
	for _, r := range []struct {
		access string
		lines  int
	}{{"suspicious", benchLines}, {"all", benchLines / 10}} { // of all, Elasticsearch takes 5 000 to 15 000 a second
		b.Run(r.access, func(b *testing.B) {
			log := benchLog(b, r.lines)
			for b.Loop() {
				p.run(b, log, r.access, r.lines)
			}
		})
	}
}

// indexedRun is what BenchmarkIndexed runs beside.
type indexedRun struct {
	kafka   string
	search  *searchNode
	servers map[string]string // folders, by name
}

func (p *indexedRun) run(b *testing.B, log, access string, lines int) {
	b.Helper()
	name := fmt.Sprintf("b%d", time.Now().UnixNano())
	more := fmt.Sprintf("kafka: {enabled: true, brokers: [%q], prefix: %s, partitions: 4}\n", p.kafka, name) +
		fmt.Sprintf("elasticsearch: {enabled: true, urls: [%q], namespace: %s, layout: index, replicas: 0, index: {access: %s}}\n",
			p.search.server.URL(), name, access)
	member := func(role string) *measured {
		m := benchMember(b, role, log, more, lines)
		m.begin(b)
		return m
	}
	before := serversCPU(b, p.servers)
	c := member("collect")
	c.until(b, func() bool { return c.ledger().Read >= int64(lines) })
	c.report(b, "collect")
	before = p.report(b, "collecting", before, lines)
	d, e := member("detect"), member("enforce")
	d.until(b, func() bool {
		return e.ledger().Processed >= int64(lines) && (access != "all" || p.search.count("access-"+name) >= lines)
	})
	wall := time.Since(d.began)
	d.report(b, "detect")
	e.report(b, "enforce")
	p.report(b, "detecting", before, lines)
	docs := 0
	for _, kind := range []string{"access", "finding", "decision", "audit", "traffic"} {
		docs += p.search.count(kind + "-" + name)
	}
	b.ReportMetric(float64(docs), "documents")
	b.ReportMetric(float64(docs)/wall.Seconds(), "documents/s")
}

// report reports what the servers have used since before, a line.
func (p *indexedRun) report(b *testing.B, during string, before map[string]time.Duration, lines int) map[string]time.Duration {
	b.Helper()
	now := serversCPU(b, p.servers)
	for name := range p.servers {
		used := now[name] - before[name]
		b.ReportMetric(float64(used.Nanoseconds())/float64(lines), fmt.Sprintf("%s-%s-cpu-ns/line", during, name))
		b.Logf("%s, %s: CPU %.1f s", during, name, used.Seconds())
	}
	return now
}

// serversCPU is what servers have used so far, by name, from the folders they live in.
func serversCPU(b *testing.B, dirs map[string]string) map[string]time.Duration {
	b.Helper()
	used := map[string]time.Duration{}
	for name, dir := range dirs {
		pid, err := os.ReadFile(filepath.Join(dir, "pid"))
		if err != nil {
			b.Fatal(err)
		}
		group, err := strconv.Atoi(strings.TrimSpace(string(pid)))
		if err != nil {
			b.Fatal(err)
		}
		if used[name] = groupCPU(b, group); used[name] == 0 {
			b.Fatalf("%s: no process of group %d", name, group)
		}
	}
	return used
}

// groupCPU is what the processes of a group have used, in the ticks of 10 ms that Linux
// counts for programs on every architecture: proc_pid_stat(5).
func groupCPU(b *testing.B, group int) (sum time.Duration) {
	b.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(f) < 13 || f[2] != strconv.Itoa(group) {
			continue
		}
		for _, ticks := range f[11:13] { // in user mode, in the kernel
			n, err := strconv.Atoi(ticks)
			if err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return sum
}
