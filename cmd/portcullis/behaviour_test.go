package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/internal/config"
)

// behaviourDir has the sets of real behaviour that may not be shipped, if PORTCULLIS_DATA
// names a folder with them: in each an access.log.gz and, if it is known who is who, a
// labels.tsv or labels.tsv.gz. Without it the test makes a small one of its own.
func behaviourDir(t *testing.T) string {
	if dir := os.Getenv("PORTCULLIS_DATA"); dir != "" {
		return filepath.Join(dir, "behaviour")
	}
	t.Log("PORTCULLIS_DATA names no folder: a small set of our own stands for the real ones")
	dir := t.TempDir()
	var log, labels bytes.Buffer
	fmt.Fprintln(&labels, "ip\tsession\tlabel\trequests")
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	for i := range 300 {
		fmt.Fprintf(&log, "192.0.2.1 - - [%s] \"GET /pages/%s HTTP/1.1\" 200 5120 \"-\" \"Mozilla/5.0\"\n", at.Add(time.Duration(7*i)*time.Second).Format(stampOfLog), []string{"home", "news", "prices", "news", "about"}[i*i%5])
		if i < 60 {
			fmt.Fprintf(&log, "192.0.2.2 - - [%s] \"GET /backup%d/.env HTTP/1.1\" 404 153 \"-\" \"Mozilla/5.0\"\n", at.Add(time.Duration(2*i)*time.Second).Format(stampOfLog), i)
		}
	}
	fmt.Fprint(&labels, "192.0.2.1\ta\thuman\t300\n192.0.2.2\tb\tattack\t60\n")
	for name, data := range map[string][]byte{"access.log.gz": zipped(t, log.Bytes()), "labels.tsv": labels.Bytes()} {
		if err := os.MkdirAll(filepath.Join(dir, "small"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "small", name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const stampOfLog = "02/Jan/2006:15:04:05 -0700"

func zipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// foundWithin is after how many of its requests a scanner has to be found.
const foundWithin = 50

// TestBehaviour replays real logs with the shipped settings: nobody who is known to be human
// is named by any finding, and who is known to attack, with as many requests, is found
// within the first of them. In a background nobody is accused. What is found in another log
// without labels is printed: docs/benchmarks.md argues it.
func TestBehaviour(t *testing.T) {
	t.Parallel()
	dir := behaviourDir(t)
	logs, err := filepath.Glob(filepath.Join(dir, "*", "access.log.gz"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no */access.log.gz in %s (%v): PORTCULLIS_DATA names the folder that has \"behaviour\" in it", dir, err)
	}
	for _, path := range append(logs, filepath.Join("..", "..", "fixtures", "background", "elastic-apache.log.gz")) {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) { playBehaviour(t, path) })
	}
}

// seenLine is a line of a log, and who is known to have sent it.
type seenLine struct {
	text, client, label string
	sec                 int64
}

func playBehaviour(t *testing.T, path string) {
	lines := readBehaviour(t, path)
	found := replayLines(t, lines)
	sent := map[string][]int64{} // seconds of the requests of attackers
	human := map[string]bool{}
	for _, l := range lines {
		switch l.label {
		case "attack":
			sent[l.client] = append(sent[l.client], l.sec)
		case "human":
			human[l.client] = true
		}
	}
	first := map[string]int64{}
	for _, f := range found {
		t.Logf("%s %s %s %s, %d requests: %s", detect.FormatTime(f.FiredAt), f.Severity, f.Rule, f.Subject.Value, f.Count, f.Why)
		if at := f.FiredAt / 1e9; f.Severity >= detect.Medium && (first[f.Subject.Value] == 0 || at < first[f.Subject.Value]) {
			first[f.Subject.Value] = at
		}
		for _, who := range append(f.MemberList(), detect.Member{Subject: f.Subject}) {
			if human[who.Subject.Value] {
				t.Errorf("%s accuses %s, who is human: %s", f.Rule, who.Subject.Value, f.Why)
			}
		}
	}
	for client, secs := range sent {
		n := 0
		for n < len(secs) && secs[n] <= first[client] {
			n++
		}
		t.Logf("%s: %d requests, found within %d", client, len(secs), n)
		if len(secs) >= foundWithin && (n == 0 || n > foundWithin) {
			t.Errorf("%s sent %d requests and was found within %d of them (0: never), want %d", client, len(secs), n, foundWithin)
		}
	}
	t.Logf("%d findings in %d lines", len(found), len(lines))
	if strings.Contains(path, "background") && len(first) > 0 {
		t.Errorf("%d clients of a background are accused, %v: argue them in docs/benchmarks.md", len(first), first)
	}
}

// readBehaviour reads a set in the order of time, as a gateway writes it.
func readBehaviour(t *testing.T, path string) []seenLine {
	t.Helper()
	byLine, byClient := readLabels(t, filepath.Dir(path))
	var lines []seenLine
	stamp := regexp.MustCompile(`\[([^\]]+)\]`)
	for i, text := range textLines(t, path) {
		l := seenLine{text: text}
		l.client, _, _ = strings.Cut(text, " ")
		m := stamp.FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("line %d of %s has no time: %.80q", i+1, path, text)
		}
		at, err := time.Parse(stampOfLog, m[1])
		if err != nil {
			t.Fatal(err)
		}
		l.sec, l.label = at.Unix(), cmp.Or(byLine[i+1], byClient[l.client])
		lines = append(lines, l)
	}
	slices.SortStableFunc(lines, func(a, b seenLine) int { return cmp.Compare(a.sec, b.sec) })
	return lines
}

// readLabels reads who is who: by the number of the line, or by address.
func readLabels(t *testing.T, dir string) (byLine map[int]string, byClient map[string]string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "labels.tsv*"))
	if err != nil {
		t.Fatal(err)
	}
	byLine, byClient = map[int]string{}, map[string]string{}
	for _, file := range files {
		head := map[string]int{}
		for i, line := range textLines(t, file) {
			cols := strings.Split(line, "\t")
			if i == 0 {
				for k, name := range cols {
					head[name] = k
				}
				continue
			}
			label := cols[head["label"]]
			if n, err := strconv.Atoi(cols[0]); err == nil {
				byLine[n] = label
			} else {
				byClient[cols[0]] = label
			}
		}
	}
	return byLine, byClient
}

func textLines(t *testing.T, file string) (out []string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(file, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	sc := bufio.NewScanner(in)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		out = append(out, sc.Text())
	}
	if sc.Err() != nil {
		t.Fatal(sc.Err())
	}
	return out
}

// replayLines gives what portcullis replay finds, the earliest first.
func replayLines(t *testing.T, lines []seenLine) []detect.Finding {
	t.Helper()
	s := &Settings{Detectors: sections()}
	if err := config.Load("defaults", nil, nil, s); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	more, err := newEnricher(s, false, log)
	if err != nil {
		t.Fatal(err)
	}
	defer more.Close()
	e, err := newEngine(s, engineOptions{formats: map[string]string{"log": "apache-combined"}, log: log, enrich: more})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	in := &feeder{source: "log", engine: e, found: map[string]detect.Finding{}}
	for _, l := range lines {
		if _, err := in.Write([]byte(l.text + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	last := e.Finish()
	merge(in.found, last.Findings)
	addCampaigns(s, in.found)
	for _, row := range last.Ledger {
		if row.Processed != int64(len(lines)) {
			t.Errorf("%d of %d lines were read, %d rejected", row.Processed, len(lines), row.Rejected)
		}
	}
	var list []detect.Finding
	for _, f := range in.found {
		list = append(list, f)
	}
	detect.SortFindings(list)
	return list
}
