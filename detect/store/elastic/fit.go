package elastic

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// misfit says why an index, where there is one of that name, was not made by our
// templates; "" = it was, or there is none. Fields of ours that it lacks are no
// reason: an earlier version made it.
func (s *Store) misfit(ctx context.Context, k Kind, name string) (string, error) {
	var all map[string]struct {
		Mappings object `json:"mappings"`
	}
	err := s.web.call(ctx, "GET", "/"+name+"/_mapping"+query("ignore_unavailable", "true", "allow_no_indices", "true"), nil, &all)
	if absent(err) || err == nil && len(all) == 0 {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	names := slices.Sorted(maps.Keys(all))
	last := names[len(names)-1] // of a data stream, the one that is written
	got := all[last].Mappings
	want := s.mappings(k)["template"].(object)["mappings"].(object)
	why := ""
	if is, ours := fmt.Sprint(got["dynamic"]), want["dynamic"]; is != ours {
		why = fmt.Sprintf("its mapping has dynamic: %.40q, ours %q", is, ours)
	} else if why = conflict(want, got, ""); why == "" {
		return "", nil
	}
	return fmt.Sprintf("index %.200q was not made by our template (%s): move its documents away (_reindex) and delete it; it is made anew by itself", last, why), nil
}

// conflict finds a field that is there with another type than ours.
func conflict(want, got object, path string) string {
	ours, _ := want["properties"].(object)
	theirs, _ := got["properties"].(object)
	for _, name := range slices.Sorted(maps.Keys(ours)) {
		w, _ := ours[name].(object)
		g, there := theirs[name].(object)
		if !there {
			continue
		}
		if a, b := kindOf(w), kindOf(g); a != b {
			return fmt.Sprintf("%s%s is %.40q, ours %q", path, name, b, a)
		}
		if why := conflict(w, g, path+name+"."); why != "" {
			return why
		}
	}
	return ""
}

// kindOf is the type of a field; one with fields in it needs not name it.
func kindOf(field object) string {
	if t, named := field["type"]; named {
		return fmt.Sprint(t)
	}
	return "object"
}

// NotReady notes why nothing can be written yet, for Health; nil: it can. It is for
// who installs, who also logs it.
func (s *Store) NotReady(err error) {
	s.meet.mu.Lock()
	defer s.meet.mu.Unlock()
	switch {
	case err == nil:
		s.meet.h.Error = ""
	case s.meet.h.Error == "":
		s.meet.h.Since = s.meet.now()
		fallthrough
	default:
		s.meet.h.Error = err.Error()
	}
}
