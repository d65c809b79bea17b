package elastic

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// object is a piece of JSON that is sent to, or compared with, Elasticsearch.
type object = map[string]any

// part is something that Install makes.
type part struct {
	what string // for people
	name string
	path string
	body object
}

// templateName is the index template of a kind.
func (s *Store) templateName(k Kind) string {
	return "portcullis-" + string(k) + "-" + s.cfg.Namespace
}

func (s *Store) settingsName() string { return "portcullis-" + s.cfg.Namespace + "@settings" }

func (s *Store) mappingsName(k Kind) string { return s.templateName(k) + "@mappings" }

// parts are all that must be there, in the order in which it can be made.
func (s *Store) parts() []part {
	parts := []part{{"component template", s.settingsName(), "/_component_template/" + s.settingsName(), s.settings()}}
	for _, k := range Kinds() {
		parts = append(parts, part{"component template", s.mappingsName(k), "/_component_template/" + s.mappingsName(k), s.mappings(k)})
	}
	for _, k := range Kinds() {
		if s.cfg.Lifecycle == lifecycleILM {
			parts = append(parts, part{"lifecycle policy", s.templateName(k), "/_ilm/policy/" + s.templateName(k), s.policy(k)})
		}
		parts = append(parts, part{"index template", s.templateName(k), "/_index_template/" + s.templateName(k), s.template(k)})
	}
	return parts
}

func meta() object {
	return object{"managed_by": "portcullis", "description": "made by portcullis index install"}
}

// settings are those of all kinds. The index mode is named since newer versions
// would otherwise choose one for logs-*-* that gives documents back rearranged.
func (s *Store) settings() object {
	settings := object{
		"index.number_of_shards":   strconv.Itoa(s.cfg.Shards),
		"index.number_of_replicas": strconv.Itoa(s.cfg.Replicas),
		"index.refresh_interval":   esTime(s.cfg.Refresh),
		"index.codec":              "best_compression",
		"index.mode":               "standard",
	}
	return object{"template": object{"settings": settings}, "_meta": meta()}
}

// mappings are the fields of a kind; what is not named is kept, but not indexed.
func (s *Store) mappings(k Kind) object {
	root := object{}
	for _, f := range fields {
		if !f.has(k) {
			continue
		}
		at := root
		path := strings.Split(f.Name, ".")
		for _, name := range path[:len(path)-1] {
			inner, ok := at[name].(object)
			if !ok {
				inner = object{"properties": object{}}
				at[name] = inner
			}
			at = inner["properties"].(object)
		}
		at[path[len(path)-1]] = s.mapping(f, k)
	}
	return object{"template": object{"mappings": object{"dynamic": "false", "properties": root}}, "_meta": meta()}
}

// template is the index template of a kind.
func (s *Store) template(k Kind) object {
	inner := object{}
	t := object{
		"index_patterns": []any{s.target(k)}, "priority": s.cfg.Priority,
		"composed_of": []any{s.settingsName(), s.mappingsName(k)}, "template": inner, "_meta": meta(),
	}
	if s.cfg.Layout == LayoutDataStream {
		t["data_stream"] = object{}
	}
	switch {
	case s.cfg.Lifecycle == lifecycleILM:
		inner["settings"] = object{"index.lifecycle.name": s.templateName(k)}
	case s.cfg.Lifecycle == lifecycleAuto && s.cfg.Layout == LayoutDataStream:
		inner["lifecycle"] = object{"enabled": true, "data_retention": esTime(s.cfg.Retention.of(k))}
	}
	return t
}

// policy is the lifecycle policy of a kind. Dated indices begin anew each day by
// their name; data streams roll over.
func (s *Store) policy(k Kind) object {
	hot := object{}
	if s.cfg.Layout == LayoutDataStream {
		hot["rollover"] = object{"max_age": "1d", "max_primary_shard_size": "50gb"}
	}
	return object{"policy": object{"_meta": meta(), "phases": object{
		"hot":    object{"min_age": "0ms", "actions": hot},
		"delete": object{"min_age": esTime(s.cfg.Retention.of(k)), "actions": object{"delete": object{}}},
	}}}
}

// esTime is a duration as Elasticsearch writes it.
func esTime(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Second == 0:
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}

// missing tells where want is not part of got, "" where all of it is. Elasticsearch
// gives numbers and booleans in settings back as strings, and adds defaults.
func missing(want, got any, path string) string {
	switch w := want.(type) {
	case object:
		g, _ := got.(object)
		for _, name := range slices.Sorted(maps.Keys(w)) {
			v, there := g[name]
			if inner, empty := w[name].(object); !there && !(empty && len(inner) == 0 && name != "data_stream") {
				return path + "." + name + " is missing"
			}
			if why := missing(w[name], v, path+"."+name); why != "" {
				return why
			}
		}
		return ""
	case []any:
		g, _ := got.([]any)
		if !slices.EqualFunc(w, g, func(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			return fmt.Sprintf("%s is %.200q, wanted %.200q", path, fmt.Sprint(got), fmt.Sprint(want))
		}
		return ""
	}
	if fmt.Sprint(want) != fmt.Sprint(got) {
		return fmt.Sprintf("%s is %.200q, wanted %.200q", path, fmt.Sprint(got), fmt.Sprint(want))
	}
	return ""
}

// encoded is a piece of JSON that is our own and always marshals.
func encoded(o object) []byte {
	data, _ := json.Marshal(o)
	return data
}
