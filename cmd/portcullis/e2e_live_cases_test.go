package main

import (
	"net/http"
	"strings"

	"github.com/portcullis/portcullis/fixtures/gateways"
)

// documented stands for the log_format of docs/gateways.md.
const documented = "documented"

// The fields that combined logs do not have.
const combinedLacks = "x_forwarded_for key"

var lives = []live{
	{
		name: "nginx JSON by syslog over UDP", gateway: "nginx", options: gateways.Options{Format: documented, Syslog: "udp"},
		source: viaUDP, format: "syslog:nginx-json", check: expectation{change: nginxTells},
	},
	{ // nginx was told to believe its clients; $realip_remote_addr still has who connected
		name: "nginx JSON file, realip", gateway: "nginx",
		options: gateways.Options{Format: documented, Extra: "set_real_ip_from 127.0.0.0/8; set_real_ip_from ::1; real_ip_header X-Forwarded-For;"},
		source:  viaFile, format: "nginx-json", check: expectation{change: nginxTells},
	},
	{
		name: "haproxy by syslog over UDP", gateway: "haproxy", options: gateways.Options{Syslog: "udp", Variant: "rfc5424", MaxLine: 8192},
		source: viaUDP + ", format: haproxy-http", format: "syslog:haproxy-http",
		check: expectation{lacks: combinedLacks + " user_agent.original http.request.referrer"},
	},
	{
		name: "haproxy by syslog over TCP", gateway: "haproxy", options: gateways.Options{Syslog: "tcp", Variant: "rfc5424", MaxLine: 8192},
		source: viaTCP + ", format: haproxy-http", format: "syslog:haproxy-http",
		check: expectation{lacks: combinedLacks + " user_agent.original http.request.referrer"},
	},
	{
		name: "envoy by its access log service", gateway: "envoy", options: gateways.Options{ALS: "grpc"},
		source: viaALS, format: "envoy-als", check: expectation{change: envoyTells("!")},
	},
	{ // its default: it believes X-Forwarded-For itself
		name: "envoy that trusts, by its access log service", gateway: "envoy", options: gateways.Options{ALS: "grpc", Variant: "trust-xff"},
		source: viaALS, format: "envoy-als", check: expectation{change: envoyBelieves},
	},
	{
		name: "envoy JSON file", gateway: "envoy", options: gateways.Options{Format: envoyJSON},
		source: viaFile, format: "envoy-json", check: expectation{change: envoyTells("")},
	},
	{
		name: "traefik JSON file", gateway: "traefik", options: gateways.Options{Format: "json", Variant: "keep-headers"},
		source: viaFile, format: "traefik-json", check: expectation{lacks: "x_forwarded_for", target: traefikCleans},
	},
	{
		name: "caddy JSON file", gateway: "caddy", options: gateways.Options{Format: "json"},
		source: viaFile, format: "caddy",
	},
	{
		name: "apache combined file", gateway: "apache", options: gateways.Options{Format: "combined"},
		source: viaFile, format: "apache-combined", check: expectation{lacks: combinedLacks},
	},
	{
		name: "apache vhost_combined file", gateway: "apache", options: gateways.Options{Format: "vhost_combined"},
		source: viaFile, format: "apache-vhost_combined", check: expectation{lacks: combinedLacks},
	},
	{
		name: "varnish file", gateway: "varnish", source: viaFile, format: "varnish-ncsa",
		check: expectation{lacks: combinedLacks, target: varnishCuts, change: varnishTells, rejected: map[string]int64{"no_client": 7}},
	},
}

// envoyJSON is a json_format with the address of the peer itself.
const envoyJSON = `{"start_time":"%START_TIME%","method":"%REQ(:METHOD)%","path":"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%","protocol":"%PROTOCOL%",` +
	`"response_code":"%RESPONSE_CODE%","bytes_sent":"%BYTES_SENT%","duration":"%DURATION%","x_forwarded_for":"%REQ(X-FORWARDED-FOR)%",` +
	`"user_agent":"%REQ(USER-AGENT)%","referer":"%REQ(REFERER)%","x_api_key":"%REQ(X-API-KEY)%","request_id":"%REQ(X-REQUEST-ID)%",` +
	`"authority":"%REQ(:AUTHORITY)%","downstream_direct_remote_address":"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"}`

// nginxTells: what nginx refuses for its path it has not read the header of.
func nginxTells(s gateways.Sent, want map[string]any) {
	if s.Status == http.StatusBadRequest {
		want["user_agent.original"] = ""
	}
}

// lastHop is the client of a request where this machine is trusted to name it: the
// last address of the chain that is not this machine, as far as it can be read.
func lastHop(s gateways.Sent) string {
	switch s.Target {
	case "/api/v1/xff/list":
		return "3.3.3.3"
	case "/api/v1/xff/six":
		return "2001:db8::1"
	case "/api/v1/xff/garbage": // its last element is no address: nobody vouches for what is left of it
		return s.Local.Addr().String()
	case "/api/v1/xff/long":
		return "198.51.100.7"
	}
	if s.XFF == "" {
		return s.Local.Addr().String()
	}
	return s.XFF
}

// envoyTells: Envoy adds the peer to X-Forwarded-For, in the place of ::1 the
// machine's own address. It drops a referer that is no URL in ASCII. A byte that is
// no UTF-8 becomes instead in a protobuf message, and the letter with
// its number in JSON.
func envoyTells(instead string) func(gateways.Sent, map[string]any) {
	return func(s gateways.Sent, want map[string]any) {
		peer := s.Local.Addr()
		switch {
		case peer.Is6():
			delete(want, "x_forwarded_for")
		case s.XFF == "":
			want["x_forwarded_for"] = peer.String()
		default:
			want["x_forwarded_for"] = s.XFF + "," + peer.String()
		}
		if !strings.HasPrefix(s.Referer, "https://shop.example/") {
			want["http.request.referrer"] = ""
		}
		if instead != "" && s.Method == "PROPFIND" { // its enumeration of methods lacks it
			want["http.request.method"] = ""
		}
		if strings.HasPrefix(s.Agent, "bad ") {
			agent := "bad \u00ff\u00fe\u0080 bytes"
			if instead != "" {
				agent = "bad " + strings.Repeat(instead, 3) + " bytes"
			}
			want["user_agent.original"] = agent
		}
	}
}

// envoyBelieves: with use_remote_address off it leaves X-Forwarded-For as it is.
func envoyBelieves(s gateways.Sent, want map[string]any) {
	envoyTells("!")(s, want)
	want["x_forwarded_for"] = s.XFF
}

// traefikCleans: Traefik logs the path as it hands it on, which is cleaned.
func traefikCleans(s gateways.Sent) string {
	switch s.Target {
	case "/cgi-bin/.%2e/.%2e/.%2e/bin/sh":
		return "/bin/sh"
	case "/static/../../../etc/passwd":
		return "/etc/passwd"
	case "/api/v1/../../../etc/shadow":
		return "/etc/shadow"
	case "/api/v1//double//slash":
		return "/api/v1/double/slash"
	}
	return s.Target
}

// varnishLongest is what Varnish keeps of a header field by default (vsl_reclen,
// https://varnish-cache.org/docs/7.1/reference/varnishd.html), its name included.
const varnishLongest = 254

func varnishCuts(s gateways.Sent) string { return s.Target[:min(len(s.Target), varnishLongest)] }

func varnishTells(s gateways.Sent, want map[string]any) {
	want["user_agent.original"] = shown(s.Agent[:min(len(s.Agent), varnishLongest-len("User-Agent: "))])
}
