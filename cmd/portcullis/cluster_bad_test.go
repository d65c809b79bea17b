package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// put writes a message as another program would.
func (k *kafkaSide) put(t *testing.T, topic string, partition int, value string, headers ...string) {
	t.Helper()
	m := bus.Message{Key: []byte("foreign"), Value: []byte(value)}
	for i := 0; i < len(headers); i += 2 {
		m.Headers = append(m.Headers, bus.Header{Key: headers[i], Value: []byte(headers[i+1])})
	}
	if _, err := k.producer.SendWait(t.Context(), topic, partition, m); err != nil {
		t.Fatal(err)
	}
}

// rejected are the reasons in the rejected topic.
func (k *kafkaSide) rejected(t *testing.T) (reasons []string) {
	t.Helper()
	err := k.client.ReadAll(t.Context(), kafka.Rejected, 0, func(m *bus.Message) error {
		reasons = append(reasons, string(m.Header(task.HeaderReason)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return reasons
}

// saysTrouble waits until the member's status has a trouble with these words.
func (m *member) saysTrouble(words string) {
	m.t.Helper()
	var last []string
	await(m.t, "trouble: "+words, func() string { return strings.Join(last, "\n") }, func() bool {
		if st := m.status(); st != nil && st.Service != nil {
			last = st.Service.Trouble
		}
		return strings.Contains(strings.Join(last, "\n"), words)
	})
}

// well waits until no trouble has these words.
func (m *member) well(words string) {
	m.t.Helper()
	var last []string
	await(m.t, "no trouble: "+words, func() string { return strings.Join(last, "\n") }, func() bool {
		st := m.status()
		if st == nil || st.Service == nil {
			return false
		}
		last = st.Service.Trouble
		return !strings.Contains(strings.Join(last, "\n"), words)
	})
}

// TestE2EClusterForeign: what others write into the topics is put aside with the
// reason, counted and said, and changes nothing else; what a newer version wrote waits.
func TestE2EClusterForeign(t *testing.T) {
	if testing.Short() {
		t.Skip("long: leave out -short")
	}
	t.Parallel()
	s := newScaled(t, kafkatest.Need(t).Plain(), 2, 2, "")
	enforce := s.members["enforce"]
	delete(s.members, "detect-2") // what a part says of its messages stays where they came: it must not move
	s.work()
	r := s.open(2)
	defer s.closed(r)
	k := r.kafkaSide
	strange := detect.Partials{Closed: 5}
	k.put(t, kafka.Access, 0, "hello\n")
	k.put(t, kafka.Access, 0, "hello\n", "source", "x", "file", "zz")
	k.put(t, kafka.Access, 0, "", "idle", "soon")
	k.put(t, kafka.Partials, 1, "hello")
	k.put(t, kafka.Partials, 1, "\x01", task.HeaderFrom, "0", task.HeaderUpto, "9000000000")
	k.put(t, kafka.Partials, 1, string(strange.Append(nil)), task.HeaderFrom, "99", task.HeaderUpto, "1")
	k.put(t, kafka.Findings, 0, "{", task.HeaderKind, task.KindFinding)
	k.put(t, kafka.Findings, 0, "\xff", task.HeaderKind, task.KindBeat)
	k.put(t, kafka.Findings, 0, "what a later version tells", task.HeaderKind, "of 2030")
	k.put(t, kafka.Decisions, 0, "\xff\xff")
	k.put(t, kafka.Decisions, 0, "{", "epoch", "7")
	s.write()
	st := s.awaitWhole(enforce, s.lines, s.end)
	s.sameFindings(enforce)
	for _, b := range st.Cluster.Tasks {
		want := map[string]int64{"front/0": 3, "wide/1": 3}[task.Key{Name: b.Task, Partition: b.Partition}.String()]
		if b.Foreign != want {
			t.Errorf("%s/%d counted %d foreign messages, want %d", b.Task, b.Partition, b.Foreign, want)
		}
	}
	for _, words := range []string{"task front/0: message", "task wide/1: message", "findings topic: 2 messages cannot be read here", "decisions topic: 1 record that no enforcer of ours wrote", "decisions topic: 1 record of a newer version"} {
		enforce.saysTrouble(words)
	}
	reasons := strings.Join(k.rejected(t), "\n")
	for topic, n := range map[string]int{kafka.Access: 3, kafka.Partials: 3, kafka.Decisions: 1} {
		if got := strings.Count("\n"+reasons, "\n"+topic+", partition "); got != n {
			t.Errorf("%d messages of %s are in the rejected topic, want %d:\n%s", got, topic, n, reasons)
		}
	}

	newer := strange.Append(nil)
	newer[0]++
	k.put(t, kafka.Partials, 1, string(newer), task.HeaderFrom, "0", task.HeaderUpto, "9000000000")
	enforce.saysTrouble("this program reads 1: update level two first")
	if again := strings.Join(k.rejected(t), "\n"); again != reasons {
		t.Errorf("the rejected topic changed: %s", again)
	}
}

// TestE2EClusterSettings: processes that could not work together say so.
func TestE2EClusterSettings(t *testing.T) {
	t.Parallel()
	s := newScaled(t, kafkatest.Full(t).Plain(), 2, 2, "")
	detect := s.members["detect-1"]
	key := filepath.Join(detect.state, keyFile)
	ring, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	detect.start()
	detect.ends("no installation key at " + key)
	if out, err := s.rescale(3); err == nil || !strings.Contains(out, "no installation key at "+key) {
		t.Errorf("%v: %s", err, out)
	}
	made := make([]byte, 32)
	if _, err := rand.Read(made); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, fmt.Appendf(nil, "%x\n", made), 0o600); err != nil { // as the message says: openssl rand -hex 32
		t.Fatal(err)
	}
	for _, m := range s.members {
		m.start()
	}
	s.write()
	s.members["enforce"].saysTrouble("has other identity settings")
	s.members["collect"].stop()
	s.level()
	detect.stop()
	if err := os.WriteFile(key, ring, 0o600); err != nil {
		t.Fatal(err)
	}
	collect := s.members["collect"]
	text, err := os.ReadFile(collect.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(collect.config, append(text, "identity: {trusted_proxies: [192.0.2.0/24]}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, m := range s.members {
		m.start()
	}
	s.write()
	s.members["enforce"].saysTrouble("has other identity settings")
	if said := s.members["detect-2"].said.String() + detect.said.String(); !strings.Contains(said, "identity settings differ between collector and detector") {
		t.Errorf("the log does not say it: %s", tail(said, 2000))
	}
}

// squat makes the indices of findings before us, with a mapping of its own.
func (n *searchNode) squat() (squatters []string) {
	for _, at := range []time.Time{time.Now(), time.Now().Add(-8 * time.Hour)} {
		name := "/portcullis.finding-default-" + at.UTC().Format("2006.01.02")
		if len(squatters) > 0 && squatters[0] == name {
			continue
		}
		squatters = append(squatters, name)
		n.ask(http.MethodPut, name, `{"mappings":{"dynamic":"strict","properties":{"@timestamp":{"type":"long"}}}}`)
	}
	return squatters
}

// TestE2EClusterBadElastic: while Elasticsearch refuses, for whatever reason, status
// and log say why and what to mend, and once it is mended every document is there once.
func TestE2EClusterBadElastic(t *testing.T) {
	t.Parallel()
	search := newSearchNode(t)
	s := newScaled(t, kafkatest.Full(t).Plain(), 2, 3, fmt.Sprintf("elasticsearch: {enabled: true, urls: [%q], layout: index, replicas: 0, refresh: 1s, bulk: {interval: 100ms}}\n", search.proxy.URL))
	enforce := s.members["enforce"]
	search.now.Store("401") // a key that has expired
	s.work()
	enforce.saysTrouble("the API key or password is wrong, expired or revoked: put a valid one in place")

	search.ask(http.MethodPut, "/_index_template/rival", `{"index_patterns":["portcullis.*"],"priority":9000}`)
	search.now.Store("")
	enforce.saysTrouble(`index template "rival" has priority 9000 and wins over ours`)
	out, err := exec.Command("portcullis", "index", "check", "-c", s.members["detect-1"].config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "rival") {
		t.Errorf("index check: %v: %s", err, out)
	}

	squatters := search.squat()
	search.ask(http.MethodDelete, "/_index_template/rival", "")
	enforce.saysTrouble("was not made by our template")
	for _, name := range squatters {
		search.ask(http.MethodDelete, name, "")
	}
	enforce.well("elasticsearch")

	search.readOnly(true)
	s.write()
	enforce.saysTrouble("read-only-allow-delete")
	search.readOnly(false)
	enforce.well("elasticsearch")

	search.now.Store("401")
	s.write()
	enforce.saysTrouble("put a valid one in place")
	search.now.Store("")
	enforce.well("elasticsearch")

	s.awaitWhole(enforce, s.lines, s.end)
	s.sameFindings(enforce)
	c := &chaos{fleet: s.fleet, search: search}
	c.sameDocuments(c.have(enforce), int(s.lines))
	r := s.open(2)
	defer s.closed(r)
	if list := r.rejected(t); len(list) > 0 {
		t.Errorf("%d messages are in the rejected topic: %q", len(list), list)
	}
	said := s.members["detect-1"].said.String() + s.members["detect-2"].said.String()
	for _, words := range []string{"elasticsearch cannot be set up", "documents wait", "documents are written again"} {
		if !strings.Contains(said, words) {
			t.Errorf("no %q in the log: %s", words, tail(said, 3000))
		}
	}
}
