package elastic

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/portcullis/portcullis/ingest"
)

// The layouts.
const (
	LayoutDataStream = "data_stream"
	LayoutIndex      = "index"
)

// What is kept of requests; see Config.Keeps.
const (
	AccessAll        = "all"
	AccessSuspicious = "suspicious"
	AccessSampled    = "sampled"
	AccessNone       = "none"
)

// The ways in which old documents go.
const (
	lifecycleAuto = "auto"
	lifecycleILM  = "ilm"
	lifecycleNone = "none"
)

// Config is the "elasticsearch" section of the config file.
type Config struct {
	Enabled   bool          `yaml:"enabled" default:"false" doc:"write findings, decisions, traffic and requests to Elasticsearch"`
	URLs      []string      `yaml:"urls" doc:"nodes, such as https://es-1.example.org:9200"`
	CloudID   string        `yaml:"cloud_id" default:"" doc:"Elastic Cloud deployment, instead of urls"`
	APIKey    string        `yaml:"api_key" default:"" secret:"file" doc:"API key in its base64 form (\"encoded\"), instead of a user"`
	Username  string        `yaml:"username" default:"" doc:"user, where there is no API key"`
	Password  string        `yaml:"password" default:"" secret:"file" doc:"password of the user"`
	CA        string        `yaml:"ca" default:"" doc:"PEM file of the authorities that may sign a node's certificate; those of the system where empty"`
	Cert      string        `yaml:"cert" default:"" doc:"PEM file of our certificate, where the nodes ask for one; read anew at each connection"`
	Key       string        `yaml:"key" default:"" doc:"PEM file of its private key"`
	Timeout   time.Duration `yaml:"timeout" default:"1m" min:"1s" max:"10m" doc:"how long one request may take"`
	Compress  bool          `yaml:"compress" default:"true" doc:"compress requests: about a tenth of the bytes on the network, for some CPU time"`
	Namespace string        `yaml:"namespace" default:"default" doc:"last part of all names, so that installations can share a cluster; no dash"`
	Layout    string        `yaml:"layout" default:"data_stream" enum:"data_stream,index" doc:"data streams, or plain indices with a date in their name where there are none"`
	Priority  int           `yaml:"priority" default:"200" min:"101" max:"1000000" doc:"of the index templates; Elasticsearch's own for logs-*-* have 100"`
	Shards    int           `yaml:"shards" default:"1" min:"1" max:"1024" doc:"primary shards of each index"`
	Replicas  int           `yaml:"replicas" default:"1" min:"0" max:"10" doc:"copies of each shard; with 0 a lost node loses documents"`
	Refresh   time.Duration `yaml:"refresh" default:"5s" min:"1s" max:"10m" doc:"after how long a written document is found"`
	Lifecycle string        `yaml:"lifecycle" default:"auto" enum:"auto,ilm,none" doc:"what removes old documents: auto = the data stream lifecycle, or portcullis itself with layout index; ilm = a policy; none = nothing"`
	Retention Retention     `yaml:"retention"`
	Index     Index         `yaml:"index"`
	Bulk      Bulk          `yaml:"bulk"`
}

// Retention says how long documents of each kind are kept.
type Retention struct {
	Access   time.Duration `yaml:"access" default:"7d" min:"1d" doc:"requests"`
	Finding  time.Duration `yaml:"finding" default:"90d" min:"1d" doc:"findings"`
	Decision time.Duration `yaml:"decision" default:"365d" min:"1d" doc:"decisions"`
	Audit    time.Duration `yaml:"audit" default:"365d" min:"1d" doc:"the audit trail"`
	Traffic  time.Duration `yaml:"traffic" default:"90d" min:"1d" doc:"minutes of traffic"`
}

// Index says which requests become documents.
type Index struct {
	Access string `yaml:"access" default:"suspicious" enum:"all,suspicious,sampled,none" doc:"which requests become documents: all, those that a rule or the inspection held against a client, these and one in so many others, or none"`
	Sample int    `yaml:"sample" default:"100" min:"1" max:"1000000000" doc:"with access sampled: one in so many ordinary requests, chosen by its position in the log"`
}

// Bulk says how documents are sent.
type Bulk struct {
	Bytes    int64         `yaml:"bytes" default:"5MiB" min:"64KiB" max:"64MiB" unit:"bytes" doc:"what one request holds at most; it shrinks by itself while Elasticsearch is short of room and grows back"`
	Interval time.Duration `yaml:"interval" default:"1s" min:"10ms" max:"1m" doc:"how long documents wait for a request to fill"`
	Parallel int           `yaml:"parallel" default:"2" min:"1" max:"64" doc:"requests under way at once; each holds up to bytes in memory"`
}

// namespaces are what data stream names allow, without the dash that would make
// one installation's indices look like another's.
var namespaces = regexp.MustCompile(`^[a-z0-9_.]{1,100}$`)

// withDefaults fills in what was left at zero by those who load no file.
func (c Config) withDefaults() Config {
	text := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	text(&c.Namespace, "default")
	text(&c.Layout, LayoutDataStream)
	text(&c.Lifecycle, lifecycleAuto)
	text(&c.Index.Access, AccessSuspicious)
	number(&c.Priority, 200)
	number(&c.Shards, 1)
	number(&c.Index.Sample, 100)
	number(&c.Bulk.Parallel, 2)
	number(&c.Bulk.Bytes, 5<<20)
	number(&c.Bulk.Interval, time.Second)
	number(&c.Timeout, time.Minute)
	number(&c.Refresh, 5*time.Second)
	const day = 24 * time.Hour
	number(&c.Retention.Access, 7*day)
	number(&c.Retention.Finding, 90*day)
	number(&c.Retention.Decision, 365*day)
	number(&c.Retention.Audit, 365*day)
	number(&c.Retention.Traffic, 90*day)
	return c
}

func number[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Check reports what is wrong with the settings, by key.
func (c Config) Check(report func(key, message string)) {
	if !c.Enabled {
		return
	}
	if len(c.URLs) == 0 && c.CloudID == "" {
		report("urls", "is empty: name at least one node, or set cloud_id")
	}
	if len(c.URLs) > 0 && c.CloudID != "" {
		report("cloud_id", "and urls exclude each other: leave one out")
	}
	for _, text := range c.URLs {
		c.checkURL(text, report)
	}
	if c.APIKey != "" && c.Username != "" {
		report("username", "and api_key exclude each other: leave one out")
	}
	if (c.Username == "") != (c.Password == "") {
		report("password", "goes with username: set both or neither (the password through password_file)")
	}
	if (c.Cert == "") != (c.Key == "") {
		report("cert", "goes with key: name both or neither")
	}
	if !namespaces.MatchString(c.Namespace) || strings.HasPrefix(c.Namespace, ".") {
		report("namespace", fmt.Sprintf("%.80q cannot be one: up to 100 small letters, digits, underscores and dots", c.Namespace))
	}
}

func (c Config) checkURL(text string, report func(key, message string)) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		report("urls", fmt.Sprintf("%.80q is no address of a node, such as https://es-1.example.org:9200", text))
	case u.User != nil:
		report("urls", "must hold no password: use api_key_file, or username and password_file")
	case u.Scheme == "http" && (c.CA != "" || c.Cert != ""):
		report("urls", fmt.Sprintf("%.80q is not encrypted, so ca and cert would not be used: write https", text))
	}
}

// of is how long documents of a kind are kept.
func (r Retention) of(k Kind) time.Duration {
	switch k {
	case Access:
		return r.Access
	case Finding:
		return r.Finding
	case Decision:
		return r.Decision
	case Audit:
		return r.Audit
	}
	return r.Traffic
}

// Keeps reports whether a request becomes a document. A sample is chosen by the
// position of the line, so that a line that is read again is chosen again.
func (c Config) Keeps(pos ingest.Position, suspicious bool) bool {
	switch c.Index.Access {
	case AccessAll:
		return true
	case AccessNone:
		return false
	case AccessSampled:
		return suspicious || c.Index.Sample > 0 && positionHash(pos)%uint64(c.Index.Sample) == 0
	}
	return suspicious
}
