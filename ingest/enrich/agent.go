package enrich

import (
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

// AgentsConfig is the "agents" part of the "enrich" section: words that name your own
// programs, besides those that are known.
type AgentsConfig struct {
	App     []string `yaml:"app" doc:"Words of user agents that name your own applications, such as acme-shop for Acme-Shop/3.1."`
	Library []string `yaml:"library" doc:"Words that name HTTP libraries and command-line clients, besides the known ones."`
	Crawler []string `yaml:"crawler" doc:"Words that name crawlers, besides the known ones."`
	Monitor []string `yaml:"monitor" doc:"Words that name your own uptime and health checks."`
	Scanner []string `yaml:"scanner" doc:"Words that name security tools, besides the known ones."`
}

// Check reports words that can never match.
func (c *AgentsConfig) Check(report func(key, message string)) {
	c.lists(func(key string, _ ingest.AgentClass, list []string) {
		for _, text := range list {
			if _, _, _, err := splitWord(text); err != nil {
				report(key, err.Error())
			}
		}
	})
}

func (c *AgentsConfig) lists(yield func(key string, class ingest.AgentClass, list []string)) {
	yield("app", ingest.AgentApp, c.App)
	yield("library", ingest.AgentLibrary, c.Library)
	yield("crawler", ingest.AgentCrawler, c.Crawler)
	yield("monitor", ingest.AgentMonitor, c.Monitor)
	yield("scanner", ingest.AgentScanner, c.Scanner)
}

// Bounds of what is read of a user agent. What stands behind is not looked at: a name
// that somebody hides there is no name.
const (
	maxAgent = 512 // bytes
	maxWord  = 64
)

// agentWord is what a word of a user agent says. One word may begin several phrases.
type agentWord struct {
	rest    string // what has to follow, with its blank, or ""
	product bool   // counts only at the beginning and before a slash
	class   ingest.AgentClass
	bot     uint8 // number of the crawler that can be verified, or 0
}

// unverifiable is the number of all other crawlers.
const unverifiable = 255

// agentTable knows words. It is read-only once made.
type agentTable map[string][]agentWord

// newAgentTable makes the table of the shipped words, the crawlers and the config.
func newAgentTable(cfg AgentsConfig) agentTable {
	t := agentTable(maps.Clone(shippedAgents))
	cfg.lists(func(_ string, class ingest.AgentClass, list []string) {
		for _, text := range list {
			_ = t.add(text, class, 0) // Check has told the operator
		}
	})
	return t
}

// splitWord takes a line's word or phrase apart.
func splitWord(text string) (first, rest string, product bool, err error) {
	text = strings.ToLower(text)
	text, product = strings.CutSuffix(text, "/")
	first, _, _ = strings.Cut(text, " ")
	rest = text[len(first):]
	for i := range len(first) {
		if !isWordByte(first[i]) {
			return "", "", false, fmt.Errorf("%.80q holds %q: write one word of the agent, without its version, or several with one blank between", text, first[i])
		}
	}
	if first == "" || len(text) > maxWord {
		return "", "", false, fmt.Errorf("%.80q is empty or longer than %d bytes", text, maxWord)
	}
	return first, rest, product, nil
}

// add does not change slices that a clone shares.
func (t agentTable) add(text string, class ingest.AgentClass, bot uint8) error {
	first, rest, product, err := splitWord(text)
	if err != nil {
		return err
	}
	t[first] = append(slices.Clip(t[first]), agentWord{rest: rest, product: product, class: class, bot: bot})
	return nil
}

// classify reads a user agent.
func (t agentTable) classify(agent string) (ingest.AgentClass, uint8) {
	if agent == "" || agent == "-" {
		return ingest.AgentNone, 0
	}
	var low [maxAgent]byte
	text := low[:min(len(agent), maxAgent)]
	for i := range text {
		text[i] = agent[i]
		if c := agent[i]; c >= 'A' && c <= 'Z' {
			text[i] |= 0x20
		}
	}
	var seen agentSeen
	for i := 0; i < len(text); {
		if !isWordByte(text[i]) {
			i++
			continue
		}
		start := i
		for i < len(text) && isWordByte(text[i]) {
			i++
		}
		if i+2 < len(text) && text[i] == ':' && text[i+1] == '/' && text[i+2] == '/' {
			for i < len(text) && strings.IndexByte(" ;,)", text[i]) < 0 {
				i++
			}
			continue
		}
		if i-start <= maxWord {
			t.see(&seen, text, start, i)
		}
	}
	return seen.class()
}

// agentSeen is what the words of one agent say together.
type agentSeen struct {
	classes [ingest.AgentOther + 1]bool
	bot     uint8
	mozilla bool // everybody's first word
	mobile  bool // names a phone's system
	webkit  bool
}

// see takes in the word text[start:end].
func (t agentTable) see(seen *agentSeen, text []byte, start, end int) {
	name := text[start:end]
	switch string(name) {
	case "mozilla":
		seen.mozilla = seen.mozilla || start == 0
		return
	case "iphone", "ipad", "android", "ios", "darwin", "watchos", "tvos":
		seen.mobile = true
		return
	case "applewebkit":
		seen.webkit = true
		return
	}
	product := start == 0 || end < len(text) && text[end] == '/'
	entries := t[string(name)]
	known := false
	for i := range entries {
		e := &entries[i]
		if e.product && !product || len(text)-end < len(e.rest) || string(text[end:end+len(e.rest)]) != e.rest {
			continue
		}
		known = true
		seen.classes[e.class] = true
		if e.bot != 0 && seen.bot == 0 {
			seen.bot = e.bot
		}
	}
	if !known && isBot(name) {
		seen.classes[ingest.AgentCrawler] = true
	}
}

// isBot knows the endings that crawlers choose.
func isBot(name []byte) bool {
	for _, end := range [...]string{"bot", "crawler", "spider"} {
		if k := len(name) - len(end); k >= 0 && string(name[k:]) == end {
			return true
		}
	}
	return false
}

// class decides between what the words say: the most particular wins.
func (s *agentSeen) class() (ingest.AgentClass, uint8) {
	for _, c := range [...]ingest.AgentClass{ingest.AgentScanner, ingest.AgentMonitor, ingest.AgentCrawler,
		ingest.AgentLibrary, ingest.AgentApp, ingest.AgentBrowser} {
		if !s.classes[c] {
			continue
		}
		if c != ingest.AgentCrawler {
			return c, s.bot
		}
		if s.bot == 0 {
			return c, unverifiable
		}
		return c, s.bot
	}
	if s.mobile && (!s.mozilla || s.webkit) {
		return ingest.AgentApp, 0 // an app's own name, or a page shown within an app
	}
	return ingest.AgentOther, 0
}

func isWordByte(c byte) bool {
	return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '.' || c == '-' || c == '_' || c == '!' || c >= 0x80
}

// agentSlots is a power of two. A gateway sees some hundred agents again and again.
const agentSlots = 1 << 11

// agentMemo classifies for one goroutine, and remembers the last agents: at most
// agentSlots times maxAgent bytes, one megabyte.
type agentMemo struct {
	table agentTable
	seed  maphash.Seed
	slots []agentSlot
}

// agentSlot remembers one agent. Its key's bytes are reused.
type agentSlot struct {
	key   []byte
	class ingest.AgentClass
	bot   uint8
}

func newAgentMemo(t agentTable) *agentMemo {
	return &agentMemo{table: t, seed: maphash.MakeSeed(), slots: make([]agentSlot, agentSlots)}
}

// classify is agentTable.classify, remembered. The seed keeps strangers from choosing
// agents that take turns in a slot.
func (m *agentMemo) classify(agent string) (ingest.AgentClass, uint8) {
	agent = agent[:min(len(agent), maxAgent)]
	s := &m.slots[maphash.String(m.seed, agent)%agentSlots]
	if s.class != ingest.AgentUnknown && string(s.key) == agent {
		return s.class, s.bot
	}
	s.class, s.bot = m.table.classify(agent)
	s.key = append(s.key[:0], agent...)
	return s.class, s.bot
}
