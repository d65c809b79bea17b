package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/deploy/demo"
)

// tool is what every client of the fleet says that it is.
const tool = "python-requests/2.31.0"

// door is a gateway with a login behind it.
type door struct {
	r     *rig
	url   string
	login func(right bool) (contentType, body string)
}

// try logs in from an address and returns the status; 0 = no answer.
func (d *door) try(addr, agent string, right bool) int {
	d.r.t.Helper()
	kind, body := d.login(right)
	req, err := http.NewRequest(http.MethodPost, d.url+"/api/v1/login", strings.NewReader(body))
	if err != nil {
		d.r.t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", addr)
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Content-Type", kind)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// everybody has all customers log in and says who could not.
func (d *door) everybody() {
	d.r.t.Helper()
	for i := range 60 {
		if got := d.try(fmt.Sprintf("198.51.100.%d", i+1), fmt.Sprintf("Mozilla/5.0 (machine %d)", i), true); got != http.StatusOK {
			d.r.t.Errorf("customer %d was answered %d", i, got)
		}
	}
}

// TestE2ECampaignClass: a fleet of which each address is below every limit is held up by
// what its requests have in common, before its members are known: also an address that was
// never seen before. Nobody else is hit.
func TestE2ECampaignClass(t *testing.T) {
	t.Parallel()
	json := func(right bool) (string, string) {
		if right {
			return "application/json", `{"user":"ada","password":"` + demo.Password + `"}`
		}
		return "application/json", `{"user":"ada","password":"1234"}`
	}
	form := func(right bool) (string, string) {
		if right {
			return "application/x-www-form-urlencoded", "username=ada&password=correct+horse"
		}
		return "application/x-www-form-urlencoded", "username=ada&password=wrong"
	}
	t.Run("nginx", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, "engine: {late: 1s}\n")
		s.r.up()
		besiege(t, &door{s.r, s.URL, json})
	})
	t.Run("authz", func(t *testing.T) {
		t.Parallel()
		s := newInlineSite(t, "engine: {late: 1s}\n")
		besiege(t, &door{s.r, s.g.URL, form})
	})
}

func besiege(t *testing.T, d *door) {
	d.everybody()
	for i := range 80 {
		for range 2 {
			if got := d.try(fmt.Sprintf("198.18.%d.7", i+1), tool, false); got != http.StatusUnauthorized && got != http.StatusTooManyRequests {
				t.Fatalf("address %d of the fleet was answered %d", i, got)
			}
		}
	}
	class := "class:/api/v1/login \"" + tool + "\""
	var list []decisionObject
	looks := 0
	await(t, "the class is throttled", func() string { return fmt.Sprintf("%+v\n%s", list, d.r.said) }, func() bool {
		// The log's clock goes by its lines; many logins that work would hide the fleet.
		if looks++; looks%25 == 1 {
			d.try("198.51.100.1", "Mozilla/5.0 (machine 0)", true)
		}
		list = d.r.decisions(class)
		return len(list) == 1 && list[0].PushedAt != ""
	})
	got := list[0]
	if got.Action != "throttle" || got.Rate > 0.1 || got.People != 0 || got.Good != 0 {
		t.Errorf("decided %+v", got)
	}
	for _, x := range objects[decisionObject](d.r, "decisions") {
		if x.Live && x.Subject.Kind != "class" {
			t.Errorf("a member goes first: %+v", x)
		}
	}
	strangers := 0
	stranger := func(agent string, right bool) int {
		strangers++
		return d.try(fmt.Sprintf("203.0.113.%d", 11+strangers%240), agent, right)
	}
	const partner = "203.0.113.10"
	seen := map[int]int{}
	await(t, "a new address of the fleet is held up, and the log shows it", func() string { return fmt.Sprintf("%v\n%s", seen, d.r.said) }, func() bool {
		seen[stranger(tool, false)]++
		return seen[http.StatusTooManyRequests] > 3 && d.r.decisions(class)[0].State == "verified"
	})
	d.everybody()
	if got := stranger("curl/8.5.0", true); got != http.StatusOK {
		t.Errorf("with another agent it was answered %d", got)
	}
	d.r.cli(exitRan, "allow", "add", partner, "--why", "logs in by a script")
	await(t, "who is allowed gets in", d.r.words, func() bool { return d.try(partner, tool, true) == http.StatusOK })
	for range 12 {
		if got := d.try(partner, tool, true); got != http.StatusOK {
			t.Errorf("who is allowed was answered %d", got)
		}
	}
	if got := stranger(tool, false); got != http.StatusTooManyRequests {
		t.Errorf("the stranger was then answered %d", got)
	}
	d.r.down()
}
