package gateway

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce"
)

// object is a JSON object to be rendered; json sorts its keys, so that equal states are
// equal bytes.
type object = map[string]any

// typed is a message with its type, as Envoy's JSON has it.
func typed(name string, fields object) object {
	out := object{"@type": "type.googleapis.com/" + name}
	maps.Copy(out, fields)
	return out
}

// extension wraps a message as an extension.
func extension(name, message string, fields object) object {
	return object{"name": name, "typed_config": typed(message, fields)}
}

// envoyDo is what a matcher leads to: DENY, which answers 403, or ALLOW.
func envoyDo(action string) object {
	return object{"action": extension(action, "envoy.config.rbac.v3.Action", object{"name": "portcullis", "action": action})}
}

// envoyDiscovery renders the whole file, and its version.
func envoyDiscovery(list []enforce.Entry, subjects map[string]string) (text, version string, err error) {
	filter := typed("envoy.extensions.filters.http.rbac.v3.RBAC", object{"matcher": envoyMatcher(list, subjects)})
	body, err := json.Marshal(filter)
	if err != nil {
		return "", "", err
	}
	version = label(string(body))
	out, err := json.Marshal(object{"version_info": version, "resources": []any{
		typed("envoy.config.core.v3.TypedExtensionConfig", object{"name": envoyFilter, "typed_config": json.RawMessage(body)})}})
	return string(out), version, err
}

// envoyMatcher asks in turn: is the route closed, is the address listed, is one of the
// subjects? What is not found passes.
func envoyMatcher(list []enforce.Entry, subjects map[string]string) object {
	var closed []string
	byPrefix, byName := map[netip.Prefix][]string{}, map[string]map[string][]string{}
	for i := range list {
		e := &list[i]
		switch {
		case e.Subject.Kind == "route":
			closed = append(closed, e.Subject.Value)
		case e.Prefix.IsValid():
			byPrefix[e.Prefix] = append(byPrefix[e.Prefix], e.Route)
		default:
			kind := e.Subject.Kind
			if byName[kind] == nil {
				byName[kind] = map[string][]string{}
			}
			byName[kind][e.Subject.Value] = append(byName[kind][e.Subject.Value], e.Route)
		}
	}
	steps := []object{}
	if len(closed) > 0 {
		steps = append(steps, envoyPaths(closed))
	}
	if len(byPrefix) > 0 {
		steps = append(steps, envoyAddresses(byPrefix))
	}
	for _, kind := range slices.Sorted(maps.Keys(byName)) {
		steps = append(steps, envoyHeader(strings.ToLower(subjects[kind]), byName[kind]))
	}
	next := envoyDo("ALLOW")
	for i := len(steps) - 1; i >= 0; i-- {
		steps[i]["on_no_match"] = next
		next = object{"matcher": steps[i]}
	}
	if len(steps) == 0 {
		return object{"on_no_match": next}
	}
	return steps[0]
}

// envoyOn denies everywhere, or on some routes only.
func envoyOn(routes []string) object {
	if slices.Contains(routes, "") {
		return envoyDo("DENY")
	}
	return object{"matcher": envoyPaths(routes)}
}

// envoyPaths matches the path, which Envoy has with its query.
func envoyPaths(routes []string) object {
	var matchers []any
	for _, r := range routes {
		pattern, _ := routePattern(r) // normal has asked for it
		pattern = strings.TrimSuffix(strings.TrimPrefix(pattern, "^"), "$") + `(\?.*)?`
		matchers = append(matchers, object{
			"predicate": object{"single_predicate": object{"input": envoyInput(":path"), "value_match": object{"safe_regex": object{"google_re2": object{}, "regex": pattern}}}},
			"on_match":  envoyDo("DENY"),
		})
	}
	return object{"matcher_list": object{"matchers": matchers}}
}

func envoyInput(header string) object {
	return extension("header", "envoy.type.matcher.v3.HttpRequestHeaderMatchInput", object{"header_name": header})
}

// envoyAddresses looks the client up in a trie. Those that are hit everywhere share an
// entry.
func envoyAddresses(byPrefix map[netip.Prefix][]string) object {
	groups := map[string][]any{}
	routes := map[string][]string{}
	for _, p := range slices.SortedFunc(maps.Keys(byPrefix), netip.Prefix.Compare) {
		on := byPrefix[p]
		if slices.Contains(on, "") {
			on = []string{""}
		}
		key := strings.Join(on, "\n")
		routes[key] = on
		groups[key] = append(groups[key], object{"address_prefix": p.Addr().String(), "prefix_len": p.Bits()})
	}
	var ranges []any
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		ranges = append(ranges, object{"ranges": groups[key], "on_match": envoyOn(routes[key])})
	}
	return object{"matcher_tree": object{
		"input":        extension("client", "envoy.extensions.matching.common_inputs.network.v3.SourceIPInput", nil),
		"custom_match": extension("ip", "xds.type.matcher.v3.IPMatcher", object{"range_matchers": ranges}),
	}}
}

// envoyHeader looks the value of a header up in a map.
func envoyHeader(header string, names map[string][]string) object {
	found := object{}
	for name, routes := range names {
		found[name] = envoyOn(routes)
	}
	return object{"matcher_tree": object{"input": envoyInput(header), "exact_match_map": object{"map": found}}}
}
