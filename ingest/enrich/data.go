package enrich

import (
	_ "embed" // the tables are part of the binary
	"fmt"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

//go:embed data/agents.txt
var agentsFile string

//go:embed data/crawlers.txt
var crawlersFile string

// bot is a crawler that can be verified.
type bot struct {
	name    string
	domains []string // of its reverse names
	only4   bool     // the domains are documented for IPv4 only
	asn     uint32
	list    bool // its operator publishes its networks
	source  string
}

var (
	bots          = mustBots()
	shippedAgents = mustAgents()
)

// mustRows reads a table of so many columns; the file is part of the binary.
func mustRows(name, file string, columns int, each func(cols []string) error) {
	n := 0
	for line := range strings.SplitSeq(file, "\n") {
		n++
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cols := strings.Split(line, "\t")
		if len(cols) != columns {
			panic(fmt.Sprintf("enrich: %s:%d: want %d columns, got %q", name, n, columns, line))
		}
		if err := each(cols); err != nil {
			panic(fmt.Sprintf("enrich: %s:%d: %v", name, n, err))
		}
	}
}

// mustBots reads the crawlers. Number 0 is none.
func mustBots() []bot {
	out := []bot{{}}
	mustRows("crawlers.txt", crawlersFile, 4, func(cols []string) error {
		b := bot{name: cols[0], source: cols[3]}
		for way := range strings.SplitSeq(cols[2], " ") {
			key, value, _ := strings.Cut(way, ":")
			switch key {
			case "dns", "dns4":
				b.domains, b.only4 = strings.Split(value, ","), key == "dns4"
			case "asn":
				n, err := strconv.ParseUint(value, 10, 32)
				if err != nil {
					return err
				}
				b.asn = uint32(n)
			case "list":
				b.list = true
			default:
				return fmt.Errorf("no way of verifying is called %q", key)
			}
		}
		if out = append(out, b); len(out) >= unverifiable {
			return fmt.Errorf("more than %d crawlers", unverifiable-1)
		}
		return nil
	})
	return out
}

// mustAgents reads the words of both files.
func mustAgents() agentTable {
	t := agentTable{}
	classes := map[string]ingest.AgentClass{
		"scanner": ingest.AgentScanner, "monitor": ingest.AgentMonitor, "crawler": ingest.AgentCrawler,
		"library": ingest.AgentLibrary, "app": ingest.AgentApp, "browser": ingest.AgentBrowser, "none": ingest.AgentUnknown,
	}
	mustRows("agents.txt", agentsFile, 2, func(cols []string) error {
		class, ok := classes[cols[0]]
		if !ok {
			return fmt.Errorf("no class is called %q", cols[0])
		}
		for text := range strings.SplitSeq(cols[1], ",") {
			if err := t.add(text, class, 0); err != nil {
				return err
			}
		}
		return nil
	})
	n := uint8(0)
	mustRows("crawlers.txt", crawlersFile, 4, func(cols []string) error {
		n++
		for text := range strings.SplitSeq(cols[1], ",") {
			if err := t.add(text, ingest.AgentCrawler, n); err != nil {
				return err
			}
		}
		return nil
	})
	return t
}
