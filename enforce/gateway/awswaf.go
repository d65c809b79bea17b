package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

func init() {
	Register("aws-waf", Spec{
		Doc:     "AWS WAF by IP sets, one for IPv4 and one for IPv6, which a rule of yours blocks",
		How:     "WAFV2 API: IP sets, with their lock token",
		Tested:  "a contract server after the published API; never the real one",
		Holds:   "addresses and prefixes, up to max_addresses in each set",
		Actions: []enforce.Action{enforce.Block},
		Config:  func() any { return new(AWSWAFConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewAWSWAF(*config.(*AWSWAFConfig)) },
		Setup: func(_ context.Context, w io.Writer, _ any, _ bool) error {
			_, err := io.WriteString(w, `At AWS: make two IP sets (IPv4 and IPv6), and in the web ACL a rule with the action Block for
each. Give Portcullis the keys of a user who may do wafv2:GetIPSet and wafv2:UpdateIPSet
on them, the region, the scope, and name and id of each set. The sets are Portcullis' own:
what somebody else puts in is taken out. AWS WAF sees the peer, unless the rule is told to
take the address from a header.
`)
			return err
		},
	})
}

// AWSWAFConfig is the "aws-waf" section of a gateway.
type AWSWAFConfig struct {
	Region       string        `yaml:"region" default:"us-east-1" doc:"Region of the sets; us-east-1 for CloudFront."`
	Scope        string        `yaml:"scope" default:"REGIONAL" enum:"REGIONAL,CLOUDFRONT" doc:"REGIONAL or CLOUDFRONT."`
	NameV4       string        `yaml:"name_v4" doc:"Name of the set for IPv4; empty = IPv4 is not held."`
	IDV4         string        `yaml:"id_v4" doc:"Id of the set for IPv4."`
	NameV6       string        `yaml:"name_v6" doc:"Name of the set for IPv6; empty = IPv6 is not held."`
	IDV6         string        `yaml:"id_v6" doc:"Id of the set for IPv6."`
	AccessKey    string        `yaml:"access_key" doc:"Id of the access key."`
	SecretKey    string        `yaml:"secret_key" secret:"file" doc:"The secret access key."`
	SessionToken string        `yaml:"session_token" secret:"file" doc:"Token of temporary credentials; they have to be renewed by a reload."`
	MaxAddresses int           `yaml:"max_addresses" default:"10000" min:"1" doc:"How many addresses a set takes (10000 is its quota); above it the push fails and the last state stays."`
	Endpoint     string        `yaml:"endpoint" doc:"Address of the API; empty = https://wafv2.REGION.amazonaws.com."`
	Timeout      time.Duration `yaml:"timeout" default:"15s" doc:"How long one answer may take."`
}

var awsWord = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// Check reports settings that cannot work, by the rules of internal/config.
func (c AWSWAFConfig) Check(report func(key, message string)) {
	if !awsWord.MatchString(c.Region) {
		report("region", "is no name of a region")
	}
	if c.NameV4 == "" && c.NameV6 == "" {
		report("name_v4", "name_v4 or name_v6 is needed")
	}
	for _, s := range []struct{ key, name, id string }{{"name_v4", c.NameV4, c.IDV4}, {"name_v6", c.NameV6, c.IDV6}} {
		if s.name != "" && (!awsWord.MatchString(s.name) || !awsWord.MatchString(s.id)) {
			report(s.key, "name and id of a set are letters, digits, - and _")
		}
	}
	if c.AccessKey == "" || c.SecretKey == "" {
		report("access_key", "access_key and secret_key_file are needed")
	}
	if c.Endpoint != "" {
		checkURL("endpoint", c.Endpoint, report)
	}
	if c.Timeout <= 0 {
		report("timeout", "must be more than 0")
	}
}

// AWSWAF is a pair of IP sets. It fails open: what is listed stays so while Portcullis is
// away. A set is replaced as a whole, on the condition that nobody changed it since it was read.
type AWSWAF struct {
	ability
	cfg AWSWAFConfig
	now func() time.Time
	mu  sync.Mutex // one Apply at a time
}

// NewAWSWAF makes the gateway; it asks nobody until Apply.
func NewAWSWAF(cfg AWSWAFConfig) (*AWSWAF, error) {
	if err := settled("aws-waf", cfg.Check); err != nil {
		return nil, err
	}
	if cfg.Endpoint == "" {
		cfg.Endpoint = "https://wafv2." + cfg.Region + ".amazonaws.com"
	}
	return &AWSWAF{cfg: cfg, now: time.Now, ability: ability{name: "aws-waf", actions: []enforce.Action{enforce.Block}}}, nil
}

// Name implements enforce.Gateway.
func (g *AWSWAF) Name() string { return g.name }

// Holds implements enforce.Holder.
func (g *AWSWAF) Holds(t enforce.Target, a enforce.Action) error {
	if err := g.ability.Holds(t, a); err != nil {
		return err
	}
	if p, _ := servable(t.Prefix); p.Addr().Is4() && g.cfg.NameV4 == "" || p.Addr().Is6() && g.cfg.NameV6 == "" {
		return fmt.Errorf("gateway aws-waf: there is no set for %s", p)
	}
	return nil
}

// Apply implements enforce.Gateway.
func (g *AWSWAF) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	if err := heldAll(g, want); err != nil {
		return enforce.Applied{}, err
	}
	list, err := g.normal(want)
	if err != nil {
		return enforce.Applied{}, err
	}
	v4, v6 := awsAddresses(list)
	done := enforce.Applied{Entries: len(list)}
	for _, s := range []struct {
		name, id  string
		addresses []string
	}{{g.cfg.NameV4, g.cfg.IDV4, v4}, {g.cfg.NameV6, g.cfg.IDV6, v6}} {
		if s.name == "" {
			continue
		}
		n, err := g.become(ctx, s.name, s.id, s.addresses)
		if err != nil {
			return enforce.Applied{}, fmt.Errorf("gateway aws-waf: set %s: %w", s.name, err)
		}
		done.Changed += n
	}
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
}

// awsSet is a request and an answer about one set.
type awsSet struct {
	Name      string
	Scope     string
	ID        string    `json:"Id"`
	LockToken string    `json:",omitempty"`
	Addresses *[]string `json:",omitempty"`
}

// awsAddresses are those of each set.
func awsAddresses(list []enforce.Entry) (v4, v6 []string) {
	for i := range list {
		if p := list[i].Prefix; p.Addr().Is4() {
			v4 = append(v4, p.String())
		} else {
			v6 = append(v6, p.String())
		}
	}
	return v4, v6
}

// awsTries is how often a change is made anew when somebody else changed the set.
const awsTries = 4

// become makes a set hold just these addresses.
func (g *AWSWAF) become(ctx context.Context, name, id string, addresses []string) (changed int, err error) {
	if len(addresses) > g.cfg.MaxAddresses {
		return 0, fmt.Errorf("%d addresses are wanted, and it takes %d (max_addresses): the last state stays; decide on networks, or on fewer", len(addresses), g.cfg.MaxAddresses)
	}
	set := awsSet{Name: name, Scope: g.cfg.Scope, ID: id}
	want := held{}
	for _, a := range addresses {
		want[a] = "block"
	}
	for try := 1; ; try++ {
		var got struct {
			LockToken string
			IPSet     struct{ Addresses []string }
		}
		if err := g.call(ctx, "GetIPSet", set, &got); err != nil {
			return 0, err
		}
		have := held{}
		for _, a := range got.IPSet.Addresses {
			if p, err := netip.ParsePrefix(a); err == nil { // it writes IPv6 at full length
				a = p.Masked().String()
			}
			have[a] = "block"
		}
		if changed = want.changed(have); changed == 0 {
			return 0, nil
		}
		next := set
		list := append([]string{}, addresses...)
		next.LockToken, next.Addresses = got.LockToken, &list
		err := g.call(ctx, "UpdateIPSet", next, nil)
		if err == nil || try == awsTries || !strings.Contains(err.Error(), "WAFOptimisticLockException") {
			return changed, err
		}
	}
}

// call makes one call of the JSON protocol, signed.
func (g *AWSWAF) call(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.cfg.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AWSWAF_20190729."+operation)
	awsKeys{g.cfg.AccessKey, g.cfg.SecretKey, g.cfg.SessionToken}.sign(req, body, g.cfg.Region, "wafv2", g.now())
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if resp.StatusCode != http.StatusOK {
		return &refusal{operation, g.cfg.Region, resp.StatusCode, string(answer)}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// Check implements enforce.Gateway: each set is there.
func (g *AWSWAF) Check(ctx context.Context) error {
	for name, id := range map[string]string{g.cfg.NameV4: g.cfg.IDV4, g.cfg.NameV6: g.cfg.IDV6} {
		if name == "" {
			continue
		}
		if err := g.call(ctx, "GetIPSet", awsSet{Name: name, Scope: g.cfg.Scope, ID: id}, nil); err != nil {
			return fmt.Errorf("gateway aws-waf: set %s: %w", name, err)
		}
	}
	return nil
}
