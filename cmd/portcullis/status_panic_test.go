package main

import "testing"

// TestLifted: a panic counts as over the gateways only when each has confirmed it.
func TestLifted(t *testing.T) {
	for want, list := range map[string][]gatewayBeat{
		"there is no gateway that could hold anything":             nil,
		"every gateway has confirmed that it holds nothing":        {{Name: "nginx"}, {Name: "authz"}},
		"NOT YET LIFTED by nginx (12 entries)":                     {{Name: "nginx", Entries: 12}, {Name: "authz"}},
		"NOT YET LIFTED by nginx (0 entries), haproxy (0 entries)": {{Name: "nginx", Behind: true}, {Name: "haproxy", Error: "socket: refused"}},
	} {
		if got := lifted(list); got != want {
			t.Errorf("%+v: %q, want %q", list, got, want)
		}
	}
}
