package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
)

// contract is a server that keeps the contract of a published API, for gateways that
// cannot be had here. It denies by what it was told, and answers what the documents say.
type contract struct {
	t   testing.TB
	sim *enforcetest.Sim

	mu    sync.Mutex
	lists map[string][]string // name of a list → its addresses
	rest  map[string]enforce.Entry
	heard string // the last body
	down  bool
	edits func()        // what else an edit changes
	hang  chan struct{} // closed when it answers again; nil = it answers
	base  string        // where it is served
}

func newContract(t testing.TB, kinds ...string) *contract {
	return &contract{t: t, sim: enforcetest.NewSim("contract", time.Now).Able(false, kinds...), lists: map[string][]string{}, rest: map[string]enforce.Entry{}}
}

// serve serves the API until the test ends; handle is called under the lock.
func (c *contract) serve(handle func(w http.ResponseWriter, r *http.Request, body []byte)) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			c.t.Error(err)
		}
		c.mu.Lock()
		hang := c.hang
		c.mu.Unlock()
		if hang != nil {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.down {
			http.Error(w, `{"message":"down"}`, http.StatusServiceUnavailable)
			return
		}
		if len(body) > 0 {
			c.heard = string(body)
		}
		handle(w, r, body)
		c.hold()
	}))
	c.t.Cleanup(server.Close)
	return server.URL
}

// hold makes the simulated gateway deny by what the server has.
func (c *contract) hold() {
	var list []enforce.Entry
	seen := map[netip.Prefix]bool{}
	for _, addresses := range c.lists {
		for _, text := range addresses {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				a, err := netip.ParseAddr(text)
				if err != nil {
					c.t.Errorf("it was given the address %.100q", text)
					continue
				}
				p = netip.PrefixFrom(a, a.BitLen())
			}
			if !seen[p] {
				list = append(list, enforce.Entry{Prefix: p, Action: enforce.Block})
			}
			seen[p] = true
		}
	}
	strongest := map[enforce.Target]enforce.Entry{}
	for _, e := range c.rest {
		if had, ok := strongest[e.Target()]; !ok || hardness(had.Action) < hardness(e.Action) {
			strongest[e.Target()] = e
		}
	}
	for _, e := range strongest {
		list = append(list, e)
	}
	if _, err := c.sim.Apply(c.t.Context(), list); err != nil {
		c.t.Error(err)
	}
}

func (c *contract) probe(kinds ...string) enforcetest.Probe {
	set := func(down bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.down = down
	}
	return enforcetest.Probe{
		Status: func(_ testing.TB, a netip.Addr) int { return c.sim.Status(a) },
		Ask:    func(_ testing.TB, a enforcetest.Ask) int { return c.sim.StatusOf(a.Client, a.As, a.Path) },
		Kinds:  kinds, Patience: 5 * time.Second, Many: 2000,
		Break: func(testing.TB) func() { set(true); return func() { set(false) } },
		Sabotage: enforcetest.Saboteur{Edit: c.edit, Hang: func(testing.TB) func() {
			hang := make(chan struct{})
			set := func(h chan struct{}) { c.mu.Lock(); c.hang = h; c.mu.Unlock() }
			set(hang)
			return func() { set(nil); close(hang) }
		}, Kill: func(testing.TB) func() { set(true); return func() { set(false) } }},
		Restart: func(testing.TB) {
			c.mu.Lock()
			defer c.mu.Unlock()
			clear(c.lists)
			clear(c.rest)
			c.hold()
		},
		Held: func(testing.TB) string {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.heard
		},
	}
}

// edit is somebody else's change of the list.
func (c *contract) edit(testing.TB) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, list := range c.lists {
		for i, text := range list {
			if strings.HasPrefix(text, "192.0.2.1/") || text == "192.0.2.1" {
				c.lists[name][i] = strings.Replace(text, "192.0.2.1", "198.51.100.9", 1)
			}
		}
	}
	if c.edits != nil {
		c.edits()
	}
	c.hold()
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// newCloudflare keeps https://developers.cloudflare.com/waf/tools/lists/lists-api/: items by
// pages, changes that are under way for a while, one at a time.
func newCloudflare(t testing.TB) (*contract, *Cloudflare) {
	c := newContract(t)
	var next []string
	polls := -1 // of the operation that is under way
	base := c.serve(func(w http.ResponseWriter, r *http.Request, body []byte) {
		lists := "/accounts/" + strings.Repeat("a", 32) + "/rules/lists/"
		list := lists + strings.Repeat("b", 32)
		switch {
		case r.Header.Get("Authorization") != "Bearer token":
			reply(w, 403, object{"success": false, "errors": []object{{"code": 10000, "message": "Authentication error"}}})
		case r.Method == "GET" && r.URL.Path == list:
			reply(w, 200, object{"success": true, "result": object{"kind": "ip"}})
		case r.Method == "GET" && r.URL.Path == list+"/items":
			from := 0
			_, _ = fmt.Sscan(r.URL.Query().Get("cursor"), &from)
			to := min(len(c.lists["list"]), from+500)
			items := []object{}
			for _, a := range c.lists["list"][from:to] {
				items = append(items, object{"id": a, "ip": a})
			}
			after := ""
			if to < len(c.lists["list"]) {
				after = fmt.Sprint(to)
			}
			reply(w, 200, object{"success": true, "result": items, "result_info": object{"cursors": object{"after": after}}})
		case r.Method == "PUT" && r.URL.Path == list+"/items":
			if polls >= 0 {
				reply(w, 429, object{"success": false, "errors": []object{{"message": "another operation is under way"}}})
				return
			}
			var items []struct{ IP string }
			if err := json.Unmarshal(body, &items); err != nil {
				t.Error(err)
			}
			next, polls = nil, 0
			for _, i := range items {
				next = append(next, i.IP)
			}
			reply(w, 200, object{"success": true, "result": object{"operation_id": "op1"}})
		case r.Method == "GET" && r.URL.Path == lists+"bulk_operations/op1":
			polls++
			state := []string{"", "pending", "completed"}[min(polls, 2)]
			if state == "completed" {
				c.lists["list"], polls = next, -1
			}
			reply(w, 200, object{"success": true, "result": object{"id": "op1", "status": state}})
		default:
			reply(w, 404, object{"success": false})
		}
	})
	g, err := NewCloudflare(CloudflareConfig{API: base, Account: strings.Repeat("a", 32), List: strings.Repeat("b", 32), Token: "token", Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c, g
}

func TestCloudflareContract(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		c, g := newCloudflare(t)
		return g, c.probe()
	})
	_, g := newCloudflare(t)
	g.api.header.Set("Authorization", "Bearer other")
	wantError(t, g.Check(t.Context()), "gateway cloudflare", "403", "Authentication error")
}

// newAWSWAF keeps https://docs.aws.amazon.com/waf/latest/APIReference/: a lock token that a
// change uses up, and IPv6 at full length. foreign is called before each change is looked at.
func newAWSWAF(t testing.TB, foreign func(bump func())) (*contract, *AWSWAF) {
	c := newContract(t)
	version := map[string]int{}
	base := c.serve(func(w http.ResponseWriter, r *http.Request, body []byte) {
		var in struct {
			Name, Scope, ID, LockToken string
			Addresses                  *[]string
		}
		if err := json.Unmarshal(body, &in); err != nil || in.Scope != "REGIONAL" || r.Method != "POST" || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKID/") {
			reply(w, 400, object{"__type": "WAFInvalidParameterException"})
			return
		}
		token := fmt.Sprint(in.Name, version[in.Name])
		switch r.Header.Get("X-Amz-Target") {
		case "AWSWAF_20190729.GetIPSet":
			addresses := []string{}
			for _, a := range c.lists[in.Name] {
				p := netip.MustParsePrefix(a)
				addresses = append(addresses, fmt.Sprintf("%s/%d", p.Addr().StringExpanded(), p.Bits()))
			}
			reply(w, 200, object{"LockToken": token, "IPSet": object{"Name": in.Name, "Id": in.ID, "Addresses": addresses}})
		case "AWSWAF_20190729.UpdateIPSet":
			if foreign != nil {
				foreign(func() { version[in.Name]++ })
			}
			if in.LockToken != fmt.Sprint(in.Name, version[in.Name]) {
				reply(w, 400, object{"__type": "WAFOptimisticLockException"})
				return
			}
			version[in.Name]++
			c.lists[in.Name] = *in.Addresses
			reply(w, 200, object{"NextLockToken": "x"})
		default:
			reply(w, 400, object{"__type": "UnknownOperationException"})
		}
	})
	g, err := NewAWSWAF(AWSWAFConfig{Region: "eu-west-1", Scope: "REGIONAL", NameV4: "v4", IDV4: "1", NameV6: "v6", IDV6: "2", AccessKey: "AKID", SecretKey: "s", MaxAddresses: 10000, Endpoint: base, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c, g
}

func TestAWSWAFContract(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		c, g := newAWSWAF(t, nil)
		return g, c.probe()
	})
}

// TestAWSWAFLock: a change in between is seen, and the set read anew; when that goes on for
// ever it is told. More than the set takes is told before anything is asked.
func TestAWSWAFLock(t *testing.T) {
	changes := 2
	_, g := newAWSWAF(t, func(bump func()) {
		if changes > 0 {
			changes--
			bump()
		}
	})
	if done := apply(t, g, block("192.0.2.1/32"), block("2001:db8::/64")); done.Changed != 2 {
		t.Errorf("%+v", done)
	}
	changes = 1 << 30
	_, err := g.Apply(t.Context(), []enforce.Entry{block("192.0.2.2/32")})
	wantError(t, err, "gateway aws-waf", "WAFOptimisticLockException")
	g.cfg.MaxAddresses = 1
	_, err = g.Apply(t.Context(), []enforce.Entry{block("192.0.2.2/32"), block("192.0.2.3/32")})
	wantError(t, err, "2 addresses are wanted", "max_addresses", "the last state stays")
}

// TestAWSSignature is "get-vanilla" of the published test suite of Signature Version 4.
func TestAWSSignature(t *testing.T) {
	req := httptest.NewRequest("GET", "https://example.amazonaws.com/", nil)
	awsKeys{id: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}.sign(req, nil, "us-east-1", "service", time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC))
	if got := req.Header.Get("Authorization"); !strings.HasSuffix(got, "SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31") {
		t.Errorf("signed as %s", got)
	}
}
