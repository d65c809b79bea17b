package probe

import (
	"strings"
	"testing"
)

// TestEveryPathMatchesItself, in a request as a scanner makes it.
func TestEveryPathMatchesItself(t *testing.T) {
	if len(exact) < 10 || len(segments) < 50 || len(suffixes) < 10 || len(agents) < 20 {
		t.Fatalf("%d paths, %d segments, %d endings, %d agents: the data files are not read whole", len(exact), len(segments), len(suffixes), len(agents))
	}
	for text, e := range exact {
		for _, target := range []string{text, text + "/", text + "?x=1", strings.ToUpper(text), text + "#top"} {
			check(t, target, e)
		}
	}
	for text, e := range segments {
		for _, target := range []string{"/" + text, "/api/" + text + "/x", "/" + strings.ToUpper(text) + "?a=/b", "//" + text} {
			check(t, target, e)
		}
	}
	for text, e := range suffixes {
		for _, target := range []string{"/zz" + text, "/a/b/zz" + strings.ToUpper(text) + "?v=1"} {
			check(t, target, e)
		}
	}
}

func check(t *testing.T, target string, want *Entry) {
	t.Helper()
	if got := Path(target); got == nil || got.Weight < want.Weight && exact[want.Text] == nil {
		t.Errorf("%s: found %+v, want %+v", target, got, want)
	}
}

func TestEveryAgentMatchesItself(t *testing.T) {
	for _, e := range agents {
		for _, agent := range []string{e.Text, "Mozilla/5.0 (compatible; " + strings.ToUpper(e.Text) + "1.2)"} {
			if got := Agent(agent); got == nil {
				t.Errorf("%q is not known, its entry is %+v", agent, e)
			}
		}
	}
}

func TestEntriesAreComplete(t *testing.T) {
	var all []*Entry
	for _, m := range []map[string]*Entry{exact, segments, suffixes} {
		for _, e := range m {
			all = append(all, e)
		}
	}
	for _, e := range admin {
		all = append(all, e)
	}
	for _, e := range append(all, agents...) {
		if e.Weight < 1 || e.Weight > 8 || e.What == "" || e.Text != strings.ToLower(e.Text) || strings.TrimSpace(e.Text) != e.Text {
			t.Errorf("%+v: want a weight from 1 to 8, lower case, and words", e)
		}
	}
}

// honest paths are such as clients of real APIs and pages ask for.
const honest = `/
/api/v1/products/17
/api/v1/products?sort=price&page=2
/api/v2/orders/4711/items
/console-games
/v1/console-games/switch
/admin/users?
/admin/users?page=3
/administrators
/remote-work
/jobs/remote-work/berlin
/login
/logout
/oauth/token
/oauth2/authorize?client_id=a
/.well-known/openid-configuration
/.well-known/acme-challenge/abc
/.well-known/security.txt
/robots.txt
/sitemap.xml
/favicon.ico
/health
/healthz
/readyz
/metrics
/status
/v1/status
/users/me
/users/git
/users/env
/teams/managers
/v1/environments/prod
/v1/backups
/v1/backup/4711
/v1/credentials
/v1/traces/4bf92f3577b34da6
/v1/debugging-tips
/v1/dumps/12
/v1/keys/4711
/v1/keys/main.json
/v1/secrets
/graphql
/swagger-ui/index.html
/openapi.json
/docs/api/index.html
/assets/app.3f2a1b.js
/assets/app.css.map
/static/logo.svg
/images/products/17.webp
/files/report.pdf
/files/report-2026.xlsx
/files/archive.tar.gz
/blog/how-to-use-git
/blog/what-is-a-dotenv-file
/blog/phpmyadmin-alternatives
/blog/2026/11/solr-or-elasticsearch
/shop/telescopes
/shop/telescope-mounts
/search?q=.env
/search?q=/wp-login.php
/search?file=id_rsa
/config
/configuration
/api/config
/setup
/install
/upload
/uploads/17
/trace-routes
/sdks
/events/ws
/news
/proxy.pac
/v1/struts-and-shocks
/index.html`

// weak is what a path may weigh that an honest client asks for too.
const weak = 3

func TestHonestPaths(t *testing.T) {
	for _, target := range strings.Split(honest, "\n") {
		if e := Path(target); e != nil && e.Weight >= weak {
			t.Errorf("%s is taken for %q (%s, weight %d)", target, e.Text, e.What, e.Weight)
		}
	}
}

func TestHonestAgents(t *testing.T) {
	for _, agent := range []string{
		"", "-",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
		"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
		"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
		"curl/8.4.0", "Wget/1.21.4", "HTTPie/3.2.2", "PostmanRuntime/7.39.0", "insomnia/9.2.0",
		"python-requests/2.32.3", "python-httpx/0.27.0", "aiohttp/3.9.5", "Go-http-client/2.0", "okhttp/4.12.0", "axios/1.7.2",
		"Apache-HttpClient/5.3 (Java/21.0.3)", "Java/17.0.11", "GuzzleHttp/7", "Faraday v2.9.0", "node-fetch/1.0", "Dart/3.4 (dart:io)",
		"kube-probe/1.30", "ELB-HealthChecker/2.0", "GoogleHC/1.0", "Prometheus/2.53.0", "UptimeRobot/2.0", "Pingdom.com_bot_version_1.4",
		"Stripe/1.0 (+https://stripe.com/docs/webhooks)", "GitHub-Hookshot/4b1f2c3", "Slackbot 1.0", "facebookexternalhit/1.1", "MedusaStore-Client 2.1", "dehydrated/0.7.1 curl/8.5.0",
	} {
		if e := Agent(agent); e != nil {
			t.Errorf("%q is taken for %q (%s)", agent, e.Text, e.What)
		}
	}
}

func TestPathBounds(t *testing.T) {
	for _, target := range []string{"", "/", "?", "x", "/" + strings.Repeat("a", 600) + "/.env"} {
		if e := Path(target); e != nil {
			t.Errorf("%.20q: found %+v", target, e)
		}
	}
	for target, want := range map[string]string{
		"/.env":                          ".env",
		"/api/.git/config":               ".git",
		"http://192.0.2.1/.env":          ".env",
		"/a.sql/b":                       "",
		"/a.sql/":                        "*.sql",
		"/config.json":                   "/config.json",
		"/app/config.json":               "",
		"/.env?x=/a.sql":                 ".env",
		"/x?file=.env":                   "",
		"/wp-content/uploads/a.php":      "wp-content",
		"/vendor/phpunit/eval-stdin.php": "eval-stdin.php",
	} {
		got := ""
		if e := Path(target); e != nil {
			got = e.Text
		}
		if got != want {
			t.Errorf("%s: entry %q, want %q", target, got, want)
		}
	}
}

// FuzzPath: no target panics, and what a query says changes nothing.
func FuzzPath(f *testing.F) {
	f.Add("/.env")
	f.Add("//a..php/?")
	f.Add("/%2e%2e/\xff")
	f.Fuzz(func(t *testing.T, target string) {
		got := Path(target)
		if len(target) < 512 && Path(target+"?.env") != got && !strings.ContainsAny(target, "?#") {
			t.Errorf("%q: the query changes what it is", target)
		}
		Agent(target)
	})
}

func TestFunctions(t *testing.T) {
	for target, want := range map[string]bool{
		"/api/admin/v1/users/all": true, "/API/Admin/users?x=1": true, "/feature-flags": true, "/users/{id}/roles": true, "/actuator/env": true,
		"/administer": false, "/products/{id}": false, "/search?next=/admin": false, "/": false, "": false, "/{admin}": false,
	} {
		if got := Function(target) != nil; got != want {
			t.Errorf("%q is administrative: %v, want %v", target, got, want)
		}
	}
	for text := range admin {
		if Function("/api/"+text+"/1") == nil {
			t.Errorf("%q does not match itself", text)
		}
	}
}
