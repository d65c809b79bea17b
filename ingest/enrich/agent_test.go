package enrich

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

var classNames = map[string]ingest.AgentClass{
	"none": ingest.AgentNone, "browser": ingest.AgentBrowser, "app": ingest.AgentApp, "library": ingest.AgentLibrary,
	"crawler": ingest.AgentCrawler, "monitor": ingest.AgentMonitor, "scanner": ingest.AgentScanner, "other": ingest.AgentOther,
}

// TestRealAgents reads testdata/agents.txt: class, crawler or -, agent.
func TestRealAgents(t *testing.T) {
	data, err := os.ReadFile("testdata/agents.txt")
	if err != nil {
		t.Fatal(err)
	}
	memo, n := newAgentMemo(newAgentTable(AgentsConfig{})), 0
	for line := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		cols := strings.SplitN(line, "\t", 3)
		if len(cols) != 3 {
			t.Fatalf("want three columns: %q", line)
		}
		n++
		want, ok := classNames[cols[0]]
		if !ok {
			t.Fatalf("no class is called %q", cols[0])
		}
		for range 2 { // new, remembered
			class, bot := memo.classify(cols[2])
			if name := botName(bot); class != want || name != cols[1] {
				t.Errorf("%q: class %d, crawler %s; want %s, %s", cols[2], class, name, cols[0], cols[1])
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d agents were read", n)
	}
}

func botName(n uint8) string {
	switch n {
	case 0:
		return "-"
	case unverifiable:
		return "?"
	}
	return bots[n].name
}

func TestNoAgent(t *testing.T) {
	for _, agent := range []string{"", "-"} {
		if class, bot := shippedAgents.classify(agent); class != ingest.AgentNone || bot != 0 {
			t.Errorf("%q: class %d, crawler %d", agent, class, bot)
		}
	}
}

func TestOwnAgents(t *testing.T) {
	cfg := AgentsConfig{App: []string{"Acme-Shop"}, Monitor: []string{"acme probe"}, Crawler: []string{"fetchling/"}}
	cfg.Check(func(key, message string) { t.Errorf("%s: %s", key, message) })
	own := newAgentTable(cfg)
	for agent, want := range map[string]ingest.AgentClass{
		"Acme-Shop/3.1 (build 7)": ingest.AgentApp, "x ACME Probe y": ingest.AgentMonitor, "acme": ingest.AgentOther,
		"Fetchling/1": ingest.AgentCrawler, "my fetchling is old": ingest.AgentOther, "curl/8.5.0": ingest.AgentLibrary,
	} {
		if got, _ := own.classify(agent); got != want {
			t.Errorf("%q: class %d, want %d", agent, got, want)
		}
	}
	if got, _ := shippedAgents.classify("Acme-Shop/3.1"); got != ingest.AgentOther {
		t.Errorf("the config of one table shows in another: class %d", got)
	}
	bad := AgentsConfig{App: []string{"acme/3.1"}, Scanner: []string{"", strings.Repeat("x", 65)}}
	var said []string
	bad.Check(func(key, _ string) { said = append(said, key) })
	if fmt.Sprint(said) != "[app scanner scanner]" {
		t.Errorf("Check reported %v", said)
	}
}

// TestLongAgents: nothing is read behind the bound, and what is in one slot stays right.
func TestLongAgents(t *testing.T) {
	memo := newAgentMemo(shippedAgents)
	pad := strings.Repeat("x", maxAgent)
	if class, _ := memo.classify(pad + " sqlmap"); class != ingest.AgentOther {
		t.Errorf("a name behind the bound counts: class %d", class)
	}
	if class, _ := memo.classify(strings.Repeat(" ", maxAgent-7) + "sqlmap/1"); class != ingest.AgentScanner {
		t.Errorf("a name before the bound does not count: class %d", class)
	}
	for i := range 3 * agentSlots {
		agent := fmt.Sprintf("curl/%d", i)
		if i%2 == 0 {
			agent = fmt.Sprintf("sqlmap/%d", i)
		}
		got, _ := memo.classify(agent)
		if want, _ := shippedAgents.classify(agent); got != want {
			t.Fatalf("%q: remembered %d, computed %d", agent, got, want)
		}
	}
}

func FuzzAgent(f *testing.F) {
	for _, s := range []string{"curl/8", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://x)", "://", "nmap scripting", "\x00\xff", "CUBOT", strings.Repeat("bot ", 300)} {
		f.Add(s)
	}
	memo := newAgentMemo(shippedAgents)
	f.Fuzz(func(t *testing.T, agent string) {
		class, bot := shippedAgents.classify(agent)
		again, same := memo.classify(agent)
		if class != again || bot != same {
			t.Errorf("%q: computed %d %d, remembered %d %d", agent, class, bot, again, same)
		}
		if class == ingest.AgentUnknown || class > ingest.AgentOther || bot != unverifiable && int(bot) >= len(bots) {
			t.Errorf("%q: class %d, crawler %d", agent, class, bot)
		}
		if upper, n := shippedAgents.classify(strings.ToUpper(agent)); strings.ToLower(strings.ToUpper(agent)) == agent && (upper != class || n != bot) {
			t.Errorf("%q: class %d, in capitals %d", agent, class, upper)
		}
	})
}

const chromeAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"

func TestAgentsDoNotAllocate(t *testing.T) {
	memo := newAgentMemo(shippedAgents)
	memo.classify(chromeAgent)
	if n := testing.AllocsPerRun(1000, func() { memo.classify(chromeAgent) }); n != 0 {
		t.Errorf("a known agent: %v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { shippedAgents.classify(chromeAgent) }); n != 0 {
		t.Errorf("a new agent: %v allocations", n)
	}
}

// A hit: an agent that comes again.
func BenchmarkAgentHit(b *testing.B) {
	memo := newAgentMemo(shippedAgents)
	b.ReportAllocs()
	for range b.N {
		memo.classify(chromeAgent)
	}
}

// A miss: an agent that was never seen.
func BenchmarkAgentMiss(b *testing.B) {
	b.ReportAllocs()
	for range b.N {
		shippedAgents.classify(chromeAgent)
	}
}
