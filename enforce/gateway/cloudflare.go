package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

func init() {
	Register("cloudflare", Spec{
		Doc:     "Cloudflare by a custom list of addresses, which a rule of yours blocks",
		How:     "Lists API: a list of addresses",
		Tested:  "a contract server after the published API; never the real one",
		Holds:   "addresses and prefixes",
		Actions: []enforce.Action{enforce.Block},
		Config:  func() any { return new(CloudflareConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewCloudflare(*config.(*CloudflareConfig)) },
		Setup: func(_ context.Context, w io.Writer, _ any, _ bool) error {
			_, err := io.WriteString(w, `At Cloudflare: make a custom list of IP addresses, and a custom rule with the action Block
and the expression "ip.src in $NAME". Give Portcullis a token with the permission Account
Filter Lists Edit, the account's id and the list's id. The list is Portcullis' own: what
somebody else puts in is taken out.
`)
			return err
		},
	})
}

// CloudflareConfig is the "cloudflare" section of a gateway.
type CloudflareConfig struct {
	API     string        `yaml:"api" default:"https://api.cloudflare.com/client/v4" doc:"Address of the API."`
	Account string        `yaml:"account" doc:"Id of the account: 32 hexadecimal digits."`
	List    string        `yaml:"list" doc:"Id of the list: 32 hexadecimal digits."`
	Token   string        `yaml:"token" secret:"file" doc:"API token with the permission Account Filter Lists Edit."`
	Timeout time.Duration `yaml:"timeout" default:"60s" doc:"How long one change may take until Cloudflare says that it is complete; enforce.push.timeout bounds it too."`
}

var hex32 = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Check reports settings that cannot work, by the rules of internal/config.
func (c CloudflareConfig) Check(report func(key, message string)) {
	checkURL("api", c.API, report)
	for key, id := range map[string]string{"account": c.Account, "list": c.List} {
		if !hex32.MatchString(id) {
			report(key, "must be 32 hexadecimal digits")
		}
	}
	if c.Token == "" {
		report("token", "is missing")
	}
	if c.Timeout <= 0 {
		report("timeout", "must be more than 0")
	}
}

// Cloudflare is a list at Cloudflare. It fails open: what is listed stays so while
// Portcullis is away. One change is under way at a time; a second one is refused, and tried
// again by the enforcer.
type Cloudflare struct {
	ability
	cfg CloudflareConfig
	api *rest
	mu  sync.Mutex // one Apply at a time
}

// NewCloudflare makes the gateway; it asks nobody until Apply.
func NewCloudflare(cfg CloudflareConfig) (*Cloudflare, error) {
	if err := settled("cloudflare", cfg.Check); err != nil {
		return nil, err
	}
	return &Cloudflare{cfg: cfg, api: newREST(cfg.API, cfg.Timeout, "Authorization", "Bearer "+cfg.Token),
		ability: ability{name: "cloudflare", actions: []enforce.Action{enforce.Block}}}, nil
}

// Name implements enforce.Gateway.
func (g *Cloudflare) Name() string { return g.name }

// Holds implements enforce.Holder.
func (g *Cloudflare) Holds(t enforce.Target, a enforce.Action) error {
	if err := g.ability.Holds(t, a); err != nil {
		return err
	}
	p, _ := servable(t.Prefix)
	if p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 12 {
		return fmt.Errorf("gateway cloudflare: %s is wider than its lists take", p)
	}
	return nil
}

// cloudItem is one item of a list.
type cloudItem struct {
	IP string `json:"ip"`
}

// cloudAnswer is what every answer is wrapped in.
type cloudAnswer[T any] struct {
	Success bool            `json:"success"`
	Errors  json.RawMessage `json:"errors"`
	Result  T               `json:"result"`
	Info    struct {
		Cursors struct {
			After string `json:"after"`
		} `json:"cursors"`
	} `json:"result_info"`
}

// cloudCall makes one call, and takes its wrapping away.
func cloudCall[T any](ctx context.Context, api *rest, method, path string, in any) (cloudAnswer[T], error) {
	var out cloudAnswer[T]
	_, err := api.call(ctx, method, path, in, &out)
	if err == nil && !out.Success {
		err = fmt.Errorf("%s %s: %.300q", method, path, out.Errors)
	}
	return out, err
}

func (g *Cloudflare) lists() string {
	return "/accounts/" + g.cfg.Account + "/rules/lists/"
}

// cloudText is how the list has a prefix.
func cloudText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// Apply implements enforce.Gateway.
func (g *Cloudflare) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
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
	have, err := g.items(ctx)
	if err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway cloudflare: read the list: %w", err)
	}
	items, now := cloudItems(list)
	done := enforce.Applied{Entries: len(list), Changed: now.changed(have)}
	if done.Changed > 0 {
		if err := g.replace(ctx, items); err != nil {
			return enforce.Applied{}, fmt.Errorf("gateway cloudflare: change the list: %w", err)
		}
	}
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
}

// cloudItems renders the list, and what it holds.
func cloudItems(list []enforce.Entry) (items []cloudItem, now held) {
	items, now = make([]cloudItem, len(list)), held{}
	for i := range list {
		items[i] = cloudItem{cloudText(list[i].Prefix)}
		now[items[i].IP] = "block"
	}
	return items, now
}

// items reads the whole list, page by page.
func (g *Cloudflare) items(ctx context.Context) (held, error) {
	h := held{}
	for cursor := ""; ; {
		query := url.Values{"per_page": {"500"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		page, err := cloudCall[[]cloudItem](ctx, g.api, "GET", g.lists()+g.cfg.List+"/items?"+query.Encode(), nil)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Result {
			text := item.IP
			if p, err := netip.ParsePrefix(text); err == nil {
				text = cloudText(p.Masked())
			} else if a, err := netip.ParseAddr(text); err == nil {
				text = a.String()
			}
			h[text] = "block"
		}
		if page.Info.Cursors.After == "" || page.Info.Cursors.After == cursor {
			return h, nil
		}
		cursor = page.Info.Cursors.After
	}
}

// replace puts the items in the place of all others, and waits until that is complete.
func (g *Cloudflare) replace(ctx context.Context, items []cloudItem) error {
	type operation struct {
		OperationID string `json:"operation_id"`
		Status      string `json:"status"`
		Error       string `json:"error"`
	}
	started, err := cloudCall[operation](ctx, g.api, "PUT", g.lists()+g.cfg.List+"/items", items)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	every := 200 * time.Millisecond
	return until(ctx, every, func() (bool, error) {
		got, err := cloudCall[operation](ctx, g.api, "GET", g.lists()+"bulk_operations/"+url.PathEscape(started.Result.OperationID), nil)
		switch {
		case err != nil:
			return false, err
		case got.Result.Status == "failed":
			return false, fmt.Errorf("it failed: %.300q", got.Result.Error)
		case !slices.Contains([]string{"pending", "running", "completed"}, got.Result.Status):
			return false, fmt.Errorf("its state is %.40q", got.Result.Status)
		}
		return got.Result.Status == "completed", nil
	})
}

// Check implements enforce.Gateway: the list is there, and holds addresses.
func (g *Cloudflare) Check(ctx context.Context) error {
	type list struct {
		Kind string `json:"kind"`
	}
	got, err := cloudCall[list](ctx, g.api, "GET", g.lists()+g.cfg.List, nil)
	if err != nil {
		return fmt.Errorf("gateway cloudflare: %w", err)
	}
	if got.Result.Kind != "ip" {
		return fmt.Errorf("gateway cloudflare: the list is of the kind %.32q: make one of IP addresses", got.Result.Kind)
	}
	return nil
}
