package elastic

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Install makes the templates where they are missing or differ, and returns what
// it made. Doing it twice changes nothing. Indices that are there keep their
// mapping; the next one follows the templates.
func (s *Store) Install(ctx context.Context) (made []string, err error) {
	for _, p := range s.parts() {
		got, err := s.installed(ctx, p)
		if err != nil {
			return made, fmt.Errorf("elastic: install %s %s: %w", p.what, p.name, err)
		}
		if got != nil && missing(p.body, got, "") == "" {
			continue
		}
		if err := s.web.call(ctx, "PUT", p.path, encoded(p.body), nil); err != nil {
			return made, fmt.Errorf("elastic: install %s %s: %w%s", p.what, p.name, err, installHint(err))
		}
		made = append(made, p.what+" "+p.name)
	}
	return made, nil
}

// installHint says what to do about refusals that operators meet.
func installHint(err error) string {
	var f *fault
	if !errors.As(err, &f) {
		return ""
	}
	switch r := f.Cause.Reason + fmt.Sprint(f.Cause.Cause); {
	case strings.Contains(r, "same priority"), strings.Contains(r, "overlapping"):
		return ": another template claims the same names; raise elasticsearch.priority above its own, or remove it"
	case strings.Contains(r, "mapper type"), strings.Contains(r, "No handler for type"):
		return ": this edition of Elasticsearch lacks a field type; set elasticsearch.layout to index, which uses portable types"
	case strings.Contains(r, "no handler found"), f.Status == 405:
		return ": this edition of Elasticsearch lacks that interface; set elasticsearch.lifecycle to auto or none"
	}
	return ""
}

// installed reads what there is of a part; nil = nothing.
func (s *Store) installed(ctx context.Context, p part) (object, error) {
	var out object
	err := s.web.call(ctx, "GET", p.path+flat(p.path), nil, &out)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for list, inner := range map[string]string{"component_templates": "component_template", "index_templates": "index_template"} {
		if all, ok := out[list].([]any); ok {
			for _, entry := range all {
				if e, _ := entry.(object); e["name"] == p.name {
					found, _ := e[inner].(object)
					return found, nil
				}
			}
			return nil, nil
		}
	}
	found, _ := out[p.name].(object) // a policy
	return found, nil
}

func flat(path string) string {
	if strings.Contains(path, "template") {
		return "?flat_settings=true"
	}
	return ""
}

// rival is an index template of somebody else.
type rival struct {
	name     string
	priority float64
}

// rivals are the foreign templates that would win over ours for documents of a kind.
func (s *Store) rivals(ctx context.Context, k Kind) ([]rival, error) {
	var out struct {
		Templates []struct {
			Name string `json:"name"`
			T    struct {
				Patterns []string `json:"index_patterns"`
				Priority float64  `json:"priority"`
			} `json:"index_template"`
		} `json:"index_templates"`
	}
	if err := s.web.call(ctx, "GET", "/_index_template", nil, &out); err != nil {
		return nil, err
	}
	name := s.index(&Doc{Kind: k})
	var list []rival
	for _, t := range out.Templates {
		if t.Name == s.templateName(k) || t.T.Priority < float64(s.cfg.Priority) {
			continue
		}
		for _, p := range t.T.Patterns {
			if glob(p, name) {
				list = append(list, rival{t.Name, t.T.Priority})
				break
			}
		}
	}
	return list, nil
}

// glob matches a name with a pattern in which * stands for anything.
func glob(pattern, name string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	if !strings.HasPrefix(name, head) {
		return false
	}
	for name = name[len(head):]; ; name = name[1:] {
		if glob(rest, name) {
			return true
		}
		if name == "" {
			return false
		}
	}
}

// query makes the query part of an URL.
func query(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return "?" + v.Encode()
}
