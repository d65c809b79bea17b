package exchange

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// ListConfig is one list of others, an entry of "lists" in the config file.
type ListConfig struct {
	Name    string        `yaml:"name" doc:"its name: the scenario that bouncers see, and in metrics"`
	URL     string        `yaml:"url" default:"" doc:"where it is, https:// or http:// on loopback; or a file's path"`
	Format  string        `yaml:"format" default:"text" enum:"text,csv,stix" doc:"text: an address or prefix a line, comments behind # and ;. csv: see column. stix: a STIX 2.1 bundle or TAXII envelope, of which indicators on addresses alone are taken"`
	Column  string        `yaml:"column" default:"" doc:"csv: name of the column in the first line, or its number from 1; empty = the first, without a line of names"`
	Action  string        `yaml:"action" default:"observe" enum:"observe,block" doc:"observe: requests are only counted (authz). block: they are refused by authz, and bouncers are told"`
	Every   time.Duration `yaml:"every" default:"1h" doc:"how often it is asked for"`
	Expire  time.Duration `yaml:"expire" default:"24h" doc:"entries last this long after the list was last read; one that cannot be had any more is gone by then"`
	Bytes   int64         `yaml:"max_bytes" default:"16MiB" unit:"bytes" doc:"a larger one is refused, and the last one stays"`
	Entries int           `yaml:"max_entries" default:"250000" doc:"one with more entries is refused, and the last one stays"`
	Token   string        `yaml:"token_file" default:"" doc:"file with a token that is sent as Authorization: Bearer"`
	Credit  string        `yaml:"attribution" default:"" doc:"whose list it is and under which licence, in words; shown beside what is handed on"`
}

// Bounds of the settings.
const (
	leastEvery = time.Minute
	pullTime   = 2 * time.Minute // for a whole answer
)

// Check reports what is wrong with the settings, by key.
func (c *ListConfig) Check(report func(key, message string)) {
	if !plain(c.Name) {
		report("name", "must be 1 to 64 letters, digits, . - and _")
	}
	if u, err := url.Parse(c.URL); c.URL == "" || err != nil {
		report("url", "is neither a URL nor a path")
	} else if u.Scheme == "http" && u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost" && u.Hostname() != "::1" {
		report("url", "is plain http: whoever stands between could have anybody blocked; use https")
	} else if u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" {
		report("url", fmt.Sprintf("has the scheme %.20q: https, or a file's path", u.Scheme))
	}
	if c.Every != 0 && c.Every < leastEvery {
		report("every", "must be at least 1m: be kind to who publishes it")
	}
	if c.Expire < 0 || c.Expire != 0 && c.Expire < c.Every {
		report("expire", "must not be shorter than every: the list would be gone between two looks")
	}
	if c.Bytes < 0 || c.Bytes > 1<<30 {
		report("max_bytes", "must be at most 1GiB")
	}
	if c.Entries < 0 || c.Entries > 5_000_000 {
		report("max_entries", "must be at most 5000000")
	}
	switch c.Format {
	case "", formatText, formatCSV, formatSTIX:
	default:
		report("format", fmt.Sprintf("%.20q is none of text, csv, stix", c.Format))
	}
}

func plain(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == ""
}

func (c ListConfig) withDefaults() ListConfig {
	if c.Format == "" {
		c.Format = formatText
	}
	if c.Every == 0 {
		c.Every = time.Hour
	}
	if c.Expire == 0 {
		c.Expire = 24 * time.Hour
	}
	if c.Bytes == 0 {
		c.Bytes = 16 << 20
	}
	if c.Entries == 0 {
		c.Entries = 250_000
	}
	return c
}

// Block reports whether the list is enforced, not only counted.
func (c *ListConfig) Block() bool { return c.Action == "block" }
