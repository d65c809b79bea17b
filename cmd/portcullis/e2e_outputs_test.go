package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/store/output/outputtest"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// sentDoc is what a test looks at in a document.
type sentDoc struct {
	ID      string `json:"portcullis.id"`
	Dataset string `json:"event.dataset"`
	Target  string `json:"url.original"`
	Subject string `json:"portcullis.subject.value"`
	State   string `json:"portcullis.state"`
	Version int64  `json:"portcullis.version"`
}

func (d *sentDoc) is(k elastic.Kind) bool { return d.Dataset == "portcullis."+string(k) }

// arrivals is a Splunk of a test, and what came to it.
type arrivals struct {
	*outputtest.Service
	docs chan []sentDoc // all that came so far
}

// newArrivals starts a collector with indexer acknowledgement.
func newArrivals(t *testing.T) *arrivals {
	a := &arrivals{docs: make(chan []sentDoc, 1)}
	a.docs <- nil
	a.Service = &outputtest.Service{
		Take: func(t *testing.T, _ *http.Request, body []byte) (ids []string) {
			var docs []sentDoc
			for d := json.NewDecoder(strings.NewReader(string(body))); d.More(); {
				var e struct{ Event sentDoc }
				if err := d.Decode(&e); err != nil {
					t.Error(err)
					return nil
				}
				docs, ids = append(docs, e.Event), append(ids, e.Event.ID)
			}
			a.docs <- append(<-a.docs, docs...)
			return ids
		},
		Answer: func(w http.ResponseWriter, _ *http.Request, _ []string, _ string) {
			_, _ = io.WriteString(w, `{"text":"Success","code":0,"ackId":3}`) // the sender may have been killed
		},
		Other: func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
			if !strings.HasSuffix(r.URL.Path, "/ack") {
				return false
			}
			_, _ = io.WriteString(w, `{"acks":{"3":true}}`)
			return true
		},
	}
	a.Start(t)
	t.Cleanup(a.Stop)
	return a
}

// all is what came so far.
func (a *arrivals) all() []sentDoc {
	list := <-a.docs
	a.docs <- list
	return slices.Clone(list)
}

// ids are the different documents of a kind.
func (a *arrivals) ids(k elastic.Kind) int { return len(distinct(a.all(), k)) }

func distinct(docs []sentDoc, k elastic.Kind) map[string]int {
	ids := map[string]int{}
	for _, d := range docs {
		if d.is(k) {
			ids[d.ID]++
		}
	}
	return ids
}

// yaml are the settings of an output that sends to it, and of one that writes files.
func (a *arrivals) yaml(t *testing.T, dir string) string {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`outputs:
- {type: splunk, events: all, audit: true, interval: 50ms, splunk: {url: "http://%s", token_file: %q, require_ack: true}}
- {type: ndjson, events: all, interval: 100ms, ndjson: {dir: %q, gzip: false}}
`, a.Address(), token, dir)
}

// filed reads the documents in files.
func filed(t *testing.T, dir string) (docs []sentDoc) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // not made yet, or renamed in between
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".ndjson") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			var doc sentDoc
			if err := json.Unmarshal([]byte(line), &doc); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			docs = append(docs, doc)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

// visitors are requests of as many clients, and three of an attacker among them.
func visitors(from, n int) string {
	var b strings.Builder
	for i := from; i < from+n; i++ {
		b.WriteString(line(fmt.Sprintf("198.51.%d.%d", i/200, 1+i%200), time.Now(), fmt.Sprintf("GET /items/%d", i), 200, "Mozilla/5.0"))
	}
	for range 3 {
		b.WriteString(line(fmt.Sprintf("203.0.113.%d", 5+from/1000), time.Now(), "GET "+attackTarget, 200, "Mozilla/5.0"))
	}
	return b.String()
}

// TestE2EOutputs: requests, findings and decisions arrive at two outputs, though one of them
// is away, and the service is killed twice meanwhile: none is missing, and in the files,
// where a repeat replaces, none is there twice.
func TestE2EOutputs(t *testing.T) {
	t.Parallel()
	far, dir := newArrivals(t), filepath.Join(t.TempDir(), "archive")
	r := newRig(t, far.yaml(t, dir)+"gateways: [{name: list, type: file, file: {path: "+filepath.Join(t.TempDir(), "list.jsonl")+"}}]\n")
	write(t, r.log, visitors(0, 1000))
	far.Break("503")
	r.up()
	kill := func() {
		if err := r.proc.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-r.ended
	}
	await(t, "the files are written while the other output is away", r.words, func() bool { return len(distinct(filed(t, dir), elastic.Access)) > 100 })
	await(t, "status says that it is", r.words, func() bool { return strings.Contains(r.cli(exitRan, "status"), "output splunk: documents wait since") })
	write(t, r.log, visitors(1000, 1000))
	kill()
	r.up()
	write(t, r.log, visitors(2000, 1000))
	far.Break("")
	await(t, "some comes", r.words, func() bool { return far.ids(elastic.Access) > 1000 })
	kill()
	r.up()
	said := func() string { return fmt.Sprintf("%d requests\n%s", far.ids(elastic.Access), r.words()) }
	await(t, "all requests are there", said, func() bool { return far.ids(elastic.Access) == 3009 })
	for _, subject := range []string{"203.0.113.5", "203.0.113.6", "203.0.113.7"} {
		for _, k := range []elastic.Kind{elastic.Finding, elastic.Decision} {
			await(t, string(k)+" about "+subject, r.words, func() bool {
				return slices.ContainsFunc(far.all(), func(d sentDoc) bool {
					return d.is(k) && d.Subject == subject && (k != elastic.Decision || d.State == "pushed")
				})
			})
		}
	}
	await(t, "the files have all requests", r.words, func() bool { return len(distinct(filed(t, dir), elastic.Access)) == 3009 })
	for id, n := range distinct(filed(t, dir), elastic.Access) {
		if n != 1 {
			t.Errorf("request %s is in the files %d times", id, n)
		}
	}
	await(t, "the audit trail comes", r.words, func() bool { return far.ids(elastic.Audit) > 2 })
	if n := len(distinct(filed(t, dir), elastic.Audit)); n != 0 {
		t.Errorf("%d entries of the audit trail are in the files, which do not want them", n)
	}
	for _, want := range []string{`portcullis_output_up{output="splunk"} 1`, `portcullis_output_rejected_total{output="ndjson"} 0`, `portcullis_output_waiting{feed="findings",output="splunk"} 0`} {
		if text := r.metrics(); !strings.Contains(text, want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
	if strings.Contains(r.cli(exitRan, "status"), "output splunk") {
		t.Error("status still speaks of the output")
	}
	r.down()
}

// TestE2EOutputsReload: outputs come with a reload, and then all that was found before is
// sent; where addresses are hidden, they are in what is sent.
func TestE2EOutputsReload(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "lake")
	r := newRig(t, hiding)
	const before, after = "203.0.113.5", "203.0.113.6"
	attack := func(addr string) {
		for range 3 {
			write(t, r.log, line(addr, time.Now(), "GET "+attackTarget, 200, "Mozilla/5.0"))
		}
	}
	attack(before)
	r.up()
	await(t, "the attack is found", r.words, func() bool { return len(objects[replayedFinding](r, "findings")) == 1 })
	r.settings(hiding + fmt.Sprintf("outputs: [{type: ndjson, interval: 50ms, ndjson: {dir: %q, gzip: false}}]\n", dir))
	r.signal(syscall.SIGHUP)
	r.awaitSaid("settings read anew")
	hidden := func(k elastic.Kind, n int) {
		t.Helper()
		await(t, fmt.Sprintf("%d of %s", n, k), r.words, func() bool { return len(distinct(filed(t, dir), k)) == n })
	}
	hidden(elastic.Finding, 1)
	attack(after)
	hidden(elastic.Finding, 2)
	hidden(elastic.Access, 3)
	for _, d := range filed(t, dir) {
		if d.is(elastic.Finding) && !hiddenForm.MatchString(d.Subject) {
			t.Errorf("a finding is about %q", d.Subject)
		}
	}
	text, err := exec.Command("grep", "-rE", "203.0.113.[56]", dir).CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 { // it finds nothing
		t.Errorf("addresses are in %s (%v)", text, err)
	}
	r.settings(hiding + "outputs: [{type: ndjsn}]\n")
	r.signal(syscall.SIGHUP)
	r.awaitSaid("did you mean ndjson?")
	r.down()
}

// TestE2EClusterOutputs: with Kafka between the roles the detectors send, each partition by
// one of them, and the other goes on when one is killed.
func TestE2EClusterOutputs(t *testing.T) {
	t.Parallel()
	far, dir := newArrivals(t), filepath.Join(t.TempDir(), "archive")
	f := newFleet(t, kafkatest.Full(t).Plain(), 2, far.yaml(t, dir))
	write(t, f.log, visitors(0, 1000))
	for _, m := range []*member{f.add("collect", "collect"), f.add("detect", "detect"), f.add("detect", "detect-2"), f.add("enforce", "enforce")} {
		m.start()
	}
	said := func() string {
		return fmt.Sprintf("%d requests", far.ids(elastic.Access)) + tail(f.members["detect"].said.String(), 2000)
	}
	await(t, "all requests are there", said, func() bool { return far.ids(elastic.Access) == 1003 })
	f.members["detect"].kill()
	write(t, f.log, visitors(1000, 1000))
	await(t, "the other one sends the rest", said, func() bool { return far.ids(elastic.Access) == 2006 })
	for _, subject := range []string{"203.0.113.5", "203.0.113.6"} {
		for _, k := range []elastic.Kind{elastic.Finding, elastic.Decision} {
			await(t, string(k)+" about "+subject, said, func() bool {
				return slices.ContainsFunc(far.all(), func(d sentDoc) bool { return d.is(k) && d.Subject == subject })
			})
		}
	}
	await(t, "the files have all requests", said, func() bool { return len(distinct(filed(t, dir), elastic.Access)) == 2006 })
}
