package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/fixtures/gateways"
	"github.com/portcullis/portcullis/ingest"
)

// live is one way from a real gateway into the service.
type live struct {
	name    string
	gateway string
	options gateways.Options // Syslog and ALS are schemes; the address comes once it is known
	source  string           // its settings, without the name
	format  string           // that its lines are explained with
	check   expectation
}

// nobody is trusted: what a client forwards is then a forgery. The test's clients
// come from 127.0.0.0/8, which is trusted by default.
const nobody = "identity: {trusted_proxies: [240.0.0.1]}\n"

const (
	viaUDP  = `type: syslog, syslog: {listen: ["udp://127.0.0.1:0"]}`
	viaTCP  = `type: syslog, syslog: {listen: ["tcp://127.0.0.1:0"]}`
	viaALS  = `type: als, als: {listen: "127.0.0.1:0"}`
	viaFile = `poll: 20ms, grace: 60ms, path: `
)

// TestE2ELive: real gateways, each logging the way its operators have it, before
// the real service. Every line is counted, and every event says what was sent.
func TestE2ELive(t *testing.T) {
	t.Parallel()
	for i, c := range lives {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && slices.IndexFunc(lives, func(l live) bool { return way(l.source) == way(c.source) }) != i {
				t.Skip("another gateway comes by the same way: leave out -short")
			}
			gateways.Need(t, c.gateway)
			c.run(t, nobody)
		})
	}
}

// way is by what kind of source lines come.
func way(source string) string {
	kind, _, _ := strings.Cut(source, ",")
	return kind
}

func (c *live) run(t *testing.T, settings string) {
	r := newRig(t, "")
	r.settings(settings + "sources: [{name: gw, " + strings.Replace(c.source, viaFile, viaFile+strconv.Quote(r.log), 1) + "}]\n")
	o := c.options
	if o.Format == documented {
		o.Format = documentedFormat(t)
	}
	if strings.HasPrefix(c.source, viaFile) {
		o.Log = r.log
	}
	r.up()
	if o.Syslog != "" {
		o.Syslog = r.listening("syslog")
	}
	if o.ALS != "" {
		o.ALS = r.listening("als")
	}
	g := gateways.Start(t, c.gateway, o)
	sent := gateways.Traffic(t, g)
	r.holds(c.format, c.check, sent)
}

// documentedFormat is the log_format that docs/gateways.md recommends.
func documentedFormat(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/gateways.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "log_format portcullis ")
	format, _, ended := strings.Cut(rest, ";\n")
	if !found || !ended {
		t.Fatal("docs/gateways.md has no log_format portcullis")
	}
	return format
}

// listening is the address of a kind of receiver, as the log tells it.
func (r *rig) listening(kind string) string {
	r.t.Helper()
	said := regexp.MustCompile(kind + `: listening".* address=(\S+)`)
	await(r.t, kind+" listens", r.words, func() bool { return said.MatchString(r.words()) })
	return said.FindStringSubmatch(r.words())[1]
}

// collected is what the source gw took in so far: the log, or the spool's segments,
// which hold the lines as the pipeline reads them.
func (r *rig) collected() []byte {
	r.t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.state, "spool", "gw", "*.log")) // sorted
	if err != nil {
		r.t.Fatal(err)
	}
	if len(paths) == 0 {
		paths = []string{r.log}
	}
	var text []byte
	for _, p := range paths {
		part, err := os.ReadFile(p)
		if err != nil && !os.IsNotExist(err) {
			r.t.Fatal(err)
		}
		text = append(text, part[:bytes.LastIndexByte(part, '\n')+1]...)
	}
	return text
}

// ledger is the saved row of a source, read without a process of its own.
func (r *rig) ledger(name string) ingest.LedgerRow {
	db, err := store.OpenReadOnly(filepath.Join(r.state, storeFile))
	if err != nil {
		return ingest.LedgerRow{Read: -1}
	}
	defer db.Close()
	rows, err := db.Ledger(context.Background())
	if err != nil {
		return ingest.LedgerRow{Read: -1}
	}
	for _, row := range rows {
		if row.Source == name {
			return row
		}
	}
	return ingest.LedgerRow{}
}

// holds waits until all that was sent is in the ledger, and compares what the
// service understood with it, request by request.
func (r *rig) holds(format string, want expectation, sent []gateways.Sent) {
	r.t.Helper()
	var missing string
	var text []byte
	var row ingest.LedgerRow
	await(r.t, "all requests are in the log and in the ledger", func() string {
		return fmt.Sprintf("missing %q, ledger %+v of %d lines\n%s", missing, row, bytes.Count(text, []byte("\n")), r.said)
	}, func() bool {
		text = r.collected()
		missing = want.missing(text, sent)
		row = r.ledger("gw")
		return missing == "" && row.Read == int64(bytes.Count(text, []byte("\n"))) && bytes.Equal(text, r.collected())
	})
	r.holdsLines(format, want, sent, string(text), row)
}

// holdsLines compares lines and their row of the ledger with what was sent.
func (r *rig) holdsLines(format string, want expectation, sent []gateways.Sent, text string, row ingest.LedgerRow) {
	r.t.Helper()
	seen, rejected := r.explain(format, text)
	if row.Read != row.Processed+row.Rejected || row.Processed != int64(len(seen)) || !maps.Equal(nonZero(row.Reasons), rejected) {
		r.t.Errorf("the ledger has %+v; explain finds %d events and rejects %v", row, len(seen), rejected)
	}
	seen = slices.DeleteFunc(seen, func(s told) bool { return s.get("url.original") == gateways.Ready })
	want.compare(r.t, sent, seen, rejected)
	await(r.t, "a finding about the probes", r.words, func() bool {
		return strings.Contains(r.cli(exitRan, "findings", "--output", "jsonl"), "injection")
	})
	if shown := r.source("gw"); shown.Missing != 0 {
		r.t.Errorf("status has %+v", shown)
	}
	r.keepsNoSecret()
	r.down()
}

func nonZero(m map[string]int64) map[string]int64 {
	out := map[string]int64{}
	for k, v := range m {
		if v != 0 {
			out[k] = v
		}
	}
	return out
}

// secret is any key or token that Traffic sends in clear.
var secret = regexp.MustCompile(`\bkey-([0-36]|app|h2|revoked)\b|s3cr3t\d`)

// keepsNoSecret reads what is stored and shown. The spool is left out: it holds the
// lines as they came, like the gateway's own log.
func (r *rig) keepsNoSecret() {
	r.t.Helper()
	if !secret.Match(r.collected()) {
		r.t.Error("no secret was logged: the test proves nothing")
	}
	for _, args := range [][]string{{"findings", "--output", "jsonl"}, {"decisions", "--output", "jsonl"}} {
		if found := secret.FindString(r.cli(exitRan, args...)); found != "" {
			r.t.Errorf("portcullis %v shows %q", args, found)
		}
	}
	err := filepath.WalkDir(r.state, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Name() == "spool" {
			return skipOr(err)
		}
		if d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(path)
		if found := secret.Find(data); found != nil {
			r.t.Errorf("%s holds %q in clear", path, found)
		}
		return err
	})
	if err != nil {
		r.t.Error(err)
	}
	if found := secret.FindString(r.words()); found != "" {
		r.t.Errorf("the service says %q", found)
	}
}

func skipOr(err error) error {
	if err == nil {
		return filepath.SkipDir
	}
	return err
}

// explain asks the real command what the service makes of lines: the events, in
// their order, and how many lines are none, by reason.
func (r *rig) explain(format, text string) ([]told, map[string]int64) {
	r.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command("portcullis", "explain", "-c", r.config, "--format", format, "--output", "jsonl", "-")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(text), &out, &errs
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("portcullis explain --format %s: %v\n%s", format, err, &errs)
	}
	if found := secret.FindString(out.String()); found != "" {
		r.t.Errorf("portcullis explain shows %q", found)
	}
	return readExplained(r.t, out.Bytes())
}
