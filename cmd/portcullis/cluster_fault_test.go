package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	kafka "github.com/portcullis/portcullis/fixtures/broker"
)

// inNamespace says that the test runs in a network namespace that was made for it.
const inNamespace = "TESTBED_NETNS"

// ownNetwork runs the test again in a network namespace of its own, where the network
// can be cut, and reports that that was done. Where namespaces cannot be made it says
// so, and the test goes on without cuts.
func ownNetwork(t *testing.T) (done bool) {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		return false
	}
	name := fmt.Sprintf("portcullis-%d", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Logf("THE NETWORK IS NOT CUT in this run: no network namespace can be made (%v: %.200s); it takes root and iproute2: apt-get install iproute2", err, out)
		return false
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "delete", name).CombinedOutput(); err != nil {
			t.Errorf("ip netns delete: %v: %s", err, out)
		}
	})
	if out, err := exec.Command("ip", "netns", "exec", name, "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("ip link set lo up: %v: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", name, self, "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "170m")
	cmd.Env = append(os.Environ(), inNamespace+"="+name)
	out, err := cmd.CombinedOutput()
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		if err != nil || strings.Contains(line, "cluster_fault") {
			t.Log(line)
		}
	}
	if err != nil {
		t.Fatalf("in the network namespace: %v", err)
	}
	return true
}

// chaos is an installation with Kafka and Elasticsearch, and what can go wrong in it.
type chaos struct {
	*fleet
	broker *kafka.Broker
	search *searchNode
	rng    *rand.Rand
	counts map[string]int
}

// fault is something that goes wrong and is mended.
type fault struct {
	name string
	do   func(c *chaos)
}

var faults = []fault{
	{"collector killed", func(c *chaos) { c.restart("collect") }},
	{"detector killed", func(c *chaos) { c.restart(c.either("detect-1", "detect-2")) }},
	{"both detectors killed", func(c *chaos) { c.restart("detect-1", "detect-2") }},
	{"active enforcer killed", func(c *chaos) { c.restart(c.active()) }},
	{"an enforcer killed", func(c *chaos) { c.restart(c.either("enforce", "enforce-2")) }},
	{"everything killed", func(c *chaos) { c.restart("collect", "detect-1", "detect-2", "enforce", "enforce-2") }},
	{"detector leaves and comes", func(c *chaos) {
		m := c.members[c.either("detect-1", "detect-2")]
		m.leave()
		c.pause(500)
		m.start()
	}},
	{"enforcer sleeps for longer than its session", func(c *chaos) {
		m := c.members[c.active()]
		c.must(m.cmd.Process.Signal(syscall.SIGSTOP))
		c.pause(9000)
		c.must(m.cmd.Process.Signal(syscall.SIGCONT))
	}},
	{"broker killed", func(c *chaos) {
		c.must(c.broker.Kill())
		c.pause(1000)
		c.must(c.broker.Start())
	}},
	{"broker stopped", func(c *chaos) {
		c.must(c.broker.Stop())
		c.must(c.broker.Start())
	}},
	{"network cut", (*chaos).cut},
	{"elasticsearch away", func(c *chaos) { c.search.mode("down", c, 2000) }},
	{"elasticsearch answers 429", func(c *chaos) { c.search.mode("429", c, 2000) }},
	{"elasticsearch answers 503", func(c *chaos) { c.search.mode("503", c, 2000) }},
	{"elasticsearch loses answers", func(c *chaos) { c.search.mode("lose", c, 2000) }},
	{"elasticsearch disk full", func(c *chaos) {
		c.search.readOnly(true)
		c.pause(2000)
		c.search.readOnly(false)
	}},
	{"elasticsearch stopped", func(c *chaos) {
		c.must(c.search.server.Stop())
		c.must(c.search.server.Start())
	}},
	{"partitions added", (*chaos).addPartitions},
}

func (c *chaos) must(err error) {
	if err != nil {
		c.t.Helper()
		c.t.Fatal(err)
	}
}

// pause lets up to so many milliseconds pass.
func (c *chaos) pause(most int) { <-time.After(time.Duration(c.rng.IntN(most)+1) * time.Millisecond) }

func (c *chaos) either(names ...string) string { return names[c.rng.IntN(len(names))] }

// restart kills members and starts them again, a moment later.
func (c *chaos) restart(names ...string) {
	for _, n := range names {
		c.members[n].kill()
	}
	c.pause(1500)
	for _, n := range names {
		c.members[n].start()
	}
}

// active names the enforcer that decides, or either while none does.
func (c *chaos) active() string {
	for _, n := range []string{"enforce", "enforce-2"} {
		st := c.members[n].status()
		if st == nil || st.Cluster == nil {
			continue
		}
		for _, p := range st.Cluster.Processes {
			if p.Lead != nil && strings.HasSuffix(p.ID, fmt.Sprintf("/%d", c.members[n].cmd.Process.Pid)) {
				return n
			}
		}
	}
	return c.either("enforce", "enforce-2")
}

// cut takes the network away from everybody for a while.
func (c *chaos) cut() {
	if os.Getenv(inNamespace) == "" {
		c.counts["network cut (not possible here)"]++
		return
	}
	link := func(state string) {
		if out, err := exec.Command("ip", "link", "set", "lo", state).CombinedOutput(); err != nil {
			c.t.Fatalf("ip link set lo %s: %v: %s", state, err, out)
		}
	}
	link("down")
	c.pause(5000)
	link("up")
}

// addPartitions makes the access topic wider, as an operator may.
func (c *chaos) addPartitions() {
	// A connection that was kept from the last time may be one to a broker that is gone.
	transport := &kafkago.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafkago.Client{Addr: kafkago.TCP(c.broker.Plain()), Timeout: 10 * time.Second, Transport: transport}
	topic := c.prefix + ".access"
	answer, err := client.CreatePartitions(context.Background(), &kafkago.CreatePartitionsRequest{
		Topics: []kafkago.TopicPartitionsConfig{{Name: topic, Count: int32(6 + 2*c.counts["partitions added"])}}})
	if err == nil {
		err = answer.Errors[topic]
	}
	c.must(err)
}

// TestE2EClusterFaults does everything to an installation that may happen to one.
// Afterwards no line is lost, nothing stands twice, and findings and decisions are
// those of an undisturbed run.
func TestE2EClusterFaults(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes: run without -short")
	}
	if ownNetwork(t) {
		return
	}
	rounds := 20
	if soak() {
		rounds = 200
	}
	c := newChaos(t)
	g := newGatewayLog(t, c.dir, false)
	lines := generated(t, rounds*perRound)
	lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
	for _, n := range []string{"collect", "detect-1", "detect-2", "enforce", "enforce-2"} {
		c.members[n].start()
	}
	g.write(lines[:1])
	await(t, "the first line is taken in", c.words, func() bool {
		st := c.members["enforce"].status()
		return st != nil && st.taken(1)
	})
	order := c.order(rounds)
	for round, f := range order {
		began := time.Now()
		written := make(chan struct{})
		go func() {
			defer close(written)
			g.writeFor(lines[max(1, round*perRound):(round+1)*perRound], time.Duration(c.writing(round))*time.Millisecond, round%5 == 4)
		}()
		f.do(c)
		<-written
		c.counts[f.name]++
		t.Logf("round %d: %s, %.1f s", round+1, f.name, time.Since(began).Seconds())
	}
	c.check(lines)
	for _, name := range slices.Sorted(maps.Keys(c.counts)) {
		t.Logf("%3d × %s", c.counts[name], name)
	}
}

// faultEngine are the engine's settings. A log that is quiet for the late bound and half a
// minute counts as complete up to then. The times in this one are long past, so that the
// lines behind such a pause would be late; and a restart of Elasticsearch can take more
// than a minute.
const faultEngine = "engine: {late: 90s}\n"

// perRound is how many lines are written in a round.
const perRound = 400

// order is each fault once, and then any, so many in all.
func (c *chaos) order(rounds int) []fault {
	list := slices.Clone(faults)
	c.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for len(list) < rounds {
		list = append(list, faults[c.rng.IntN(len(faults))])
	}
	return list[:rounds]
}

// writing is how long the lines of a round take to be written; it does not depend on
// what the faults draw.
func (c *chaos) writing(round int) int { return 200 + round*37%700 }

func newChaos(t *testing.T) *chaos {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	search := newSearchNode(t)
	b := startKafka(t)
	f := newFleet(t, b.Plain(), 4, fmt.Sprintf(faultEngine+"elasticsearch: {enabled: true, urls: [%q], layout: index, replicas: 0, refresh: 1s, bulk: {interval: 100ms}}\n", search.proxy.URL))
	c := &chaos{fleet: f, broker: b.Broker, search: search, rng: rand.New(rand.NewPCG(seed, 1)), counts: map[string]int{}}
	f.add("collect", "collect")
	f.add("detect", "detect-1")
	f.add("detect", "detect-2")
	f.add("enforce", "enforce")
	f.add("enforce", "enforce-2")
	return c
}

func (c *chaos) words() string {
	var out bytes.Buffer
	for n, m := range c.members {
		fmt.Fprintf(&out, "%s:\n%s\n", n, tail(m.said.String(), 1500))
	}
	return out.String()
}

// check waits until all is at rest, and compares everything with an undisturbed run.
func (c *chaos) check(lines [][]byte) {
	t := c.t
	t.Helper()
	enforcers := []*member{c.members["enforce"], c.members["enforce-2"]}
	for _, m := range enforcers {
		c.awaitWhole(m, int64(len(lines)), 0)
	}
	if err := os.WriteFile(c.log+".whole", bytes.Join(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	want := c.known(c.log + ".whole")
	for _, m := range enforcers {
		await(t, m.name+" has the findings of a replay", func() string { return difference(want, c.have(m)) }, func() bool { return maps.Equal(want, c.have(m)) })
	}
	c.sameDecisions(enforcers, lines)
	c.sameDocuments(want, len(lines))
	st := enforcers[0].status()
	t.Logf("%d lines: read %d = %d events + %d rejected, 0 lost, 0 repeated; %d findings; decisions %v", len(lines), st.Sources[0].Read, st.Sources[0].Processed,
		st.Sources[0].Rejected, len(want), st.Decisions)
	for _, m := range c.members {
		m.stop()
	}
}
