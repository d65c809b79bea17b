package gateway

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// FuzzKongRender reads the paths and bodies that go to the Admin API.
func FuzzKongRender(f *testing.F) {
	g, err := NewKong(KongConfig{Admin: "http://kong", Timeout: time.Second})
	if err != nil {
		f.Fatal(err)
	}
	fuzzRender(f, g, g.normal, func(t *testing.T, list []enforce.Entry) {
		back := found{}
		for _, w := range kongPlugins(list) {
			req, err := http.NewRequest("PUT", "http://kong"+w.path, nil)
			if err != nil || req.URL.RawQuery != "" || req.URL.Fragment != "" {
				t.Fatalf("the path %.200q: %v", w.path, err)
			}
			path := strings.Split(req.URL.EscapedPath(), "/")
			var config struct {
				Deny           []string
				Status         int
				Code           int `json:"status_code"`
				Message        string
				Second, Minute int
				Policy         string
				LimitBy        string `json:"limit_by"`
			}
			strictly(t, written(t, w.config), &config)
			what := map[int]string{403: "block", 401: "revoke", 0: "throttle"}[config.Code]
			if path[1] == "plugins" && len(path) == 3 && w.name == "ip-restriction" {
				for _, a := range config.Deny {
					back.prefix(t, a, "block")
				}
				continue
			}
			name, err := url.PathUnescape(path[2])
			if err != nil || path[1] != "consumers" || path[3] != "plugins" || len(path) != 5 || (w.name == "rate-limiting") != (what == "throttle") || what == "throttle" && config.Minute != 120 {
				t.Fatalf("the path %.200q for a %s %+v: %v", w.path, w.name, config, err)
			}
			back.subject(t, "consumer", name, what)
		}
		addKeys(t, back, list)
		back.want(t, list)
	})
}

// addKeys adds the keys that a locked key gives back, once it went as JSON.
func addKeys(t *testing.T, back found, list []enforce.Entry) {
	t.Helper()
	for key := range revokedKeys(list) {
		var sent struct{ Key string }
		strictly(t, written(t, object{"key": lockKey(key)}), &sent)
		if rest, ok := strings.CutPrefix(sent.Key, "portcullis-revoked-"); !ok || len(rest) != 27+len(key) || rest[26:] != "-"+key {
			t.Fatalf("%.200q became %.200q", key, sent.Key)
		}
		was, ok := unlockKey(sent.Key)
		if !ok {
			t.Fatalf("%.200q does not give its key back", sent.Key)
		}
		back.subject(t, "key", was, "revoke")
	}
}

// FuzzAPISIXRender reads the rule, and a consumer before, with and without what is ours.
func FuzzAPISIXRender(f *testing.F) {
	g, err := NewAPISIX(APISIXConfig{Admin: "http://apisix", Key: "k", Rule: "portcullis", Timeout: time.Second})
	if err != nil {
		f.Fatal(err)
	}
	fuzzRender(f, g, g.normal, func(t *testing.T, list []enforce.Entry) {
		back := found{}
		plugins, _ := apisixRule(list)
		var rule struct {
			Restriction struct {
				Blacklist []string
				Code      int `json:"response_code"`
			} `json:"ip-restriction"`
			Workflow struct {
				Rules []struct{ Case, Actions [][]any }
			}
		}
		strictly(t, written(t, plugins), &rule)
		for _, a := range rule.Restriction.Blacklist {
			back.prefix(t, a, "block")
		}
		for _, r := range rule.Workflow.Rules {
			of, _ := r.Case[0][2].([]any)
			if len(r.Case) != 1 || len(of) != 1 || len(r.Actions) != 1 || r.Actions[0][0] != "limit-count" || r.Actions[0][1].(object)["count"] != 20.0 {
				t.Fatalf("a rule %v", r)
			}
			back.prefix(t, of[0].(string), "throttle")
		}
		addKeys(t, back, list)
		for i := range list {
			if e := &list[i]; e.Subject.Kind == "consumer" {
				back.subject(t, "consumer", e.Subject.Value, consumed(t, e))
			}
		}
		back.want(t, list)
	})
}

// consumed is what a consumer of the site becomes by an entry; without it, it is as before.
func consumed(t *testing.T, e *enforce.Entry) string {
	t.Helper()
	name := e.Subject.Value
	site := written(t, object{"username": name, "desc": e.Why, "plugins": object{"limit-req": object{"rate": 1.5, "burst": 0, "key": e.Why}}, "labels": object{"team": "x"}, "create_time": 1700000000})
	c := apisixConsumer{name: name}
	if err := c.read(site); err != nil {
		t.Fatal(err)
	}
	site = written(t, c.value)
	if changed, err := c.become(e); err != nil || !changed {
		t.Fatalf("%v, %v", changed, err)
	}
	var with struct {
		Username, Desc string
		Labels         map[string]string
		Plugins        map[string]object
		Created        int `json:"create_time"`
	}
	strictly(t, written(t, c.value), &with)
	if len(with.Plugins) != 2 || len(with.Labels) != 2 || with.Plugins["limit-req"]["rate"] != 1.5 || with.Username != name {
		t.Fatalf("the consumer became %+v", with)
	}
	what := "throttle"
	if r, ok := with.Plugins["consumer-restriction"]; ok {
		what = map[float64]string{401: "revoke", 403: "block"}[r["rejected_code"].(float64)]
		if list := r["blacklist"].([]any); len(list) != 1 || list[0] != name {
			t.Fatalf("it refuses %v", list)
		}
	} else if with.Plugins["limit-count"]["key"] != "consumer_name" {
		t.Fatalf("the consumer became %+v", with)
	}
	again := apisixConsumer{name: name}
	if err := again.read(written(t, c.value)); err != nil {
		t.Fatal(err)
	}
	if changed, err := again.become(nil); err != nil || !changed || !bytes.Equal(written(t, again.value), site) {
		t.Fatalf("%s became %s again, %v", site, written(t, again.value), err)
	}
	return what
}

// FuzzAWSWAFRender reads the addresses of both sets.
func FuzzAWSWAFRender(f *testing.F) {
	g, err := NewAWSWAF(AWSWAFConfig{Region: "eu-west-1", Scope: "REGIONAL", NameV4: "a", IDV4: "1", NameV6: "b", IDV6: "2", AccessKey: "k", SecretKey: "s", Timeout: time.Second})
	if err != nil {
		f.Fatal(err)
	}
	fuzzRender(f, g, g.normal, func(t *testing.T, list []enforce.Entry) {
		back := found{}
		v4, v6 := awsAddresses(list)
		for i, addresses := range [][]string{v4, v6} {
			var set struct {
				Name, Scope, Id, LockToken string
				Addresses                  []string
			}
			strictly(t, written(t, awsSet{Name: "a", Scope: "REGIONAL", ID: "1", LockToken: "t", Addresses: &addresses}), &set)
			for _, a := range set.Addresses {
				if !strings.Contains(a, "/") || strings.Contains(a, ":") != (i == 1) {
					t.Fatalf("set %d has %q", i, a)
				}
				back.prefix(t, a, "block")
			}
		}
		back.want(t, list)
	})
}

// FuzzCloudflareRender reads the items of the list.
func FuzzCloudflareRender(f *testing.F) {
	g, err := NewCloudflare(CloudflareConfig{API: "http://cloud", Account: strings.Repeat("a", 32), List: strings.Repeat("b", 32), Token: "t", Timeout: time.Second})
	if err != nil {
		f.Fatal(err)
	}
	fuzzRender(f, g, g.normal, func(t *testing.T, list []enforce.Entry) {
		items, _ := cloudItems(list)
		var sent []struct{ IP string }
		strictly(t, written(t, items), &sent)
		back := found{}
		for _, i := range sent {
			back.prefix(t, i.IP, "block")
		}
		back.want(t, list)
	})
}

// FuzzOAuthRender reads the form as the authorization server does, RFC 7009, section 2.1.
func FuzzOAuthRender(f *testing.F) {
	g, err := NewOAuth(OAuthConfig{Endpoint: "https://auth.example.org/revoke", Client: "portcullis", Secret: "s", Hint: "access_token", Timeout: time.Second})
	if err != nil {
		f.Fatal(err)
	}
	fuzzRender(f, g, g.normal, func(t *testing.T, list []enforce.Entry) {
		back := found{}
		g.client = &http.Client{Transport: answering(func(r *http.Request) int {
			if err := r.ParseForm(); err != nil || len(r.PostForm) != 2 || len(r.PostForm["token"]) != 1 || r.PostForm.Get("token_type_hint") != "access_token" || r.URL.String() != g.cfg.Endpoint {
				t.Fatalf("it was sent %.200q, %v", r.PostForm, err)
			}
			back.subject(t, "key", r.PostForm.Get("token"), "revoke")
			return http.StatusOK
		})}
		g.done = held{}
		if _, err := g.Apply(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		back.want(t, list)
	})
}

// answering is the other side, without a network.
type answering func(r *http.Request) int

// RoundTrip implements http.RoundTripper.
func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a(r), Body: http.NoBody, Request: r}, nil
}
