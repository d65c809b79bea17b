package elastic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Problem is something in the cluster that an operator has to mend.
type Problem struct {
	What  string // the object, such as "index template portcullis-finding-default"
	Why   string // what is wrong with it
	Mend  string // what to do
	Fatal bool   // nothing is written while it lasts
}

// String is the problem on one line.
func (p Problem) String() string { return p.What + " " + p.Why + ": " + p.Mend }

const mendInstall = "run \"portcullis index install\""

// Check looks for what keeps documents from being written or found: templates that
// are missing, differ or lose against others, indices that were made without them
// or are read-only, and missing privileges. Nothing is changed. An error says that
// the cluster could not be asked.
func (s *Store) Check(ctx context.Context) ([]Problem, error) {
	var all []Problem
	for _, look := range []func(context.Context) ([]Problem, error){
		s.checkPrivileges, s.checkParts, s.checkRivals, s.checkIndices,
	} {
		list, err := look(ctx)
		all = append(all, list...)
		if err != nil {
			return all, fmt.Errorf("elastic: check: %w", err)
		}
	}
	return all, nil
}

func (s *Store) checkParts(ctx context.Context) ([]Problem, error) {
	var all []Problem
	for _, p := range s.parts() {
		got, err := s.installed(ctx, p)
		if err != nil {
			return all, err
		}
		if got == nil {
			all = append(all, Problem{p.what + " " + p.name, "is missing", mendInstall, p.what == "index template"})
		} else if why := missing(p.body, got, ""); why != "" {
			all = append(all, Problem{p.what + " " + p.name, "differs from what this version installs (" + strings.TrimPrefix(why, ".") + ")", mendInstall, false})
		}
	}
	return all, nil
}

func (s *Store) checkRivals(ctx context.Context) ([]Problem, error) {
	var all []Problem
	for _, k := range Kinds() {
		rivals, err := s.rivals(ctx, k)
		if err != nil {
			return all, err
		}
		for _, r := range rivals {
			all = append(all, Problem{
				fmt.Sprintf("index template %.200q", r.name),
				fmt.Sprintf("has priority %.0f and wins over ours (%d) for %s", r.priority, s.cfg.Priority, s.target(k)),
				"narrow its patterns, or raise elasticsearch.priority above it and " + mendInstall, true,
			})
		}
	}
	return all, nil
}

// blocks are the settings that keep an index from being written.
var blocks = []string{"index.blocks.write", "index.blocks.read_only", "index.blocks.read_only_allow_delete"}

// checkIndices looks at what is there already.
func (s *Store) checkIndices(ctx context.Context) ([]Problem, error) {
	var all []Problem
	lenient := query("ignore_unavailable", "true", "allow_no_indices", "true", "expand_wildcards", "all", "flat_settings", "true")
	for _, k := range Kinds() {
		var indices map[string]struct {
			Settings map[string]any `json:"settings"`
			Mappings object         `json:"mappings"`
		}
		err := s.web.call(ctx, "GET", "/"+s.target(k)+lenient, nil, &indices)
		if err != nil && !absent(err) {
			return all, err
		}
		want := s.mappings(k)["template"].(object)["mappings"].(object)["properties"]
		for _, name := range slices.Sorted(maps.Keys(indices)) {
			if s.cfg.Layout == LayoutDataStream && name == s.base(k) {
				all = append(all, Problem{"index " + name, "is a plain index where a data stream should be",
					"move its documents away (_reindex), delete it and " + mendInstall, true})
				continue
			}
			for _, b := range blocks {
				if fmt.Sprint(indices[name].Settings[b]) == "true" {
					all = append(all, Problem{"index " + name, "is read-only (" + b + ")",
						"set " + b + " to null once the cause is gone; after a full disk Elasticsearch does so by itself", false})
				}
			}
			if why := missing(want, indices[name].Mappings["properties"], ""); why != "" {
				all = append(all, Problem{"index " + name, "has another mapping (" + strings.TrimPrefix(why, ".") + ")",
					"new indices follow the templates; roll the data stream over, or reindex, to have it before", false})
			}
		}
	}
	return all, nil
}

// needs are the privileges for writing, reading and installing.
var needs = struct{ cluster, index []string }{
	cluster: []string{"monitor", "manage_index_templates"},
	index:   []string{"create_index", "auto_configure", "create_doc", "index", "read", "view_index_metadata", "maintenance"},
}

// checkPrivileges asks whether we may do all that is needed. Without security there
// is nobody to ask.
func (s *Store) checkPrivileges(ctx context.Context) ([]Problem, error) {
	cluster, index := needs.cluster, needs.index
	if s.cfg.Lifecycle == lifecycleILM {
		cluster = append(slices.Clone(cluster), "manage_ilm")
	}
	if s.cfg.Layout == LayoutIndex && s.cfg.Lifecycle == lifecycleAuto {
		index = append(slices.Clone(index), "delete_index")
	}
	names := []string{}
	for _, k := range Kinds() {
		names = append(names, s.target(k))
	}
	var out struct {
		User    string                     `json:"username"`
		Cluster map[string]bool            `json:"cluster"`
		Index   map[string]map[string]bool `json:"index"`
	}
	err := s.web.call(ctx, "POST", "/_security/user/_has_privileges", encoded(object{
		"cluster": cluster, "index": []any{object{"names": names, "privileges": index}},
	}), &out)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Problem
	user := fmt.Sprintf("user %.100q", out.User)
	if no := lacking(out.Cluster); no != "" {
		all = append(all, Problem{user, "lacks cluster privileges: " + no, "add them to its role or API key; docs/elasticsearch.md says what each is for", false})
	}
	for _, name := range slices.Sorted(maps.Keys(out.Index)) {
		if no := lacking(out.Index[name]); no != "" {
			all = append(all, Problem{user, "lacks privileges on " + name + ": " + no, "add them to its role or API key; docs/elasticsearch.md says what each is for", false})
		}
	}
	return all, nil
}

func lacking(granted map[string]bool) string {
	var no []string
	for _, name := range slices.Sorted(maps.Keys(granted)) {
		if !granted[name] {
			no = append(no, name)
		}
	}
	return strings.Join(no, ", ")
}

// guard keeps documents from going into an index that would be made without our
// templates, or was: the first time that a name is met, and so each day, they must be
// there. Who may not ask is trusted.
func (s *Store) guard(ctx context.Context, docs []*item) error {
	for _, d := range docs {
		name := s.index(&d.doc)
		s.mu.Lock()
		seen := s.seen[name]
		s.mu.Unlock()
		if seen {
			continue
		}
		if err := s.ready(ctx, d.doc.Kind, name); err != nil {
			return err
		}
		s.mu.Lock()
		if len(s.seen) > 1000 { // a replay of years: ask again rather than grow
			clear(s.seen)
		}
		s.seen[name] = true
		s.mu.Unlock()
	}
	return nil
}

// errNotReady says that the cluster was asked, and lacks what Check reports.
var errNotReady = errors.New("not ready for documents")

func (s *Store) ready(ctx context.Context, k Kind, name string) error {
	t := part{"index template", s.templateName(k), "/_index_template/" + s.templateName(k), nil}
	got, err := s.installed(ctx, t)
	if err == nil && got == nil {
		return fmt.Errorf("%w: %s %s is missing: %s", errNotReady, t.what, t.name, mendInstall)
	}
	var rivals []rival
	if err == nil {
		rivals, err = s.rivals(ctx, k)
	}
	why := ""
	if err == nil && len(rivals) == 0 {
		why, err = s.misfit(ctx, k, name)
	}
	if forbidden(err) {
		s.opt.Log.Warn("elastic: may not look whether the templates are there, and writes without knowing", "error", err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	for _, r := range rivals {
		return fmt.Errorf("%w: index template %.200q has priority %.0f and wins over ours (%d): narrow its patterns, or raise elasticsearch.priority and %s",
			errNotReady, r.name, r.priority, s.cfg.Priority, mendInstall)
	}
	if why != "" {
		return fmt.Errorf("%w: %s", errNotReady, why)
	}
	return nil
}
