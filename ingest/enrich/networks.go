package enrich

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/gaissmai/bart"
)

// maxListFile bounds a list of networks; the published ones have less than 100 KB.
const maxListFile = 8 << 20

// publishedNetworks is the form in which Google
// (developers.google.com/search/apis/ipranges/googlebot.json) and, alike, Bing, Apple, OpenAI,
// DuckDuckGo and Perplexity publish networks; Amazon says ip_prefix.
type publishedNetworks struct {
	Prefixes []struct {
		IPv4     string `json:"ipv4Prefix"`
		IPv6     string `json:"ipv6Prefix"`
		IPPrefix string `json:"ip_prefix"`
	} `json:"prefixes"`
}

// parseNetworks reads a list: JSON as published, or a network or address a line, with
// comments behind #. A list with a mistake is refused as a whole.
func parseNetworks(data []byte) (*bart.Lite, error) {
	table := new(bart.Lite)
	n := 0
	add := func(where, text string) error {
		p, err := parseNetwork(text)
		if err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		table.Insert(p)
		n++
		return nil
	}
	each := eachLine
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		each = eachPublished
	}
	if err := each(data, add); err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, fmt.Errorf("it holds no network: want JSON with \"prefixes\", or a network a line")
	}
	return table, nil
}

func eachPublished(data []byte, add func(where, text string) error) error {
	var list publishedNetworks
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("it is no JSON as crawlers' operators publish it: %.200q", err.Error())
	}
	for i, p := range list.Prefixes {
		for _, text := range [...]string{p.IPv4, p.IPv6, p.IPPrefix} {
			if text == "" {
				continue
			}
			if err := add(fmt.Sprintf("prefixes[%d]", i), text); err != nil {
				return err
			}
		}
	}
	return nil
}

func eachLine(data []byte, add func(where, text string) error) error {
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if err := add(fmt.Sprintf("line %d", n), text); err != nil {
			return err
		}
	}
	return lines.Err()
}

// parseNetwork reads "192.0.2.0/24" or a single address, but nothing so wide that a
// slip of the pen would confirm half of the world.
func parseNetwork(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return p, fmt.Errorf("%.80q is no network: write it like 192.0.2.0/24 or 2001:db8::/32", text)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() {
		return p, fmt.Errorf("%.80q mixes IPv4 and IPv6: write the IPv4 network", text)
	}
	if least := 8 + 8*(p.Addr().BitLen()/128); p.Bits() < least {
		return p, fmt.Errorf("%.80q is wider than a /%d: no crawler has so many addresses", text, least)
	}
	return p.Masked(), nil
}
