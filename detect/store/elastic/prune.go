package elastic

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Prune removes dated indices whose last day is past its retention, and returns
// their names. It does nothing where Elasticsearch itself removes what is old: with
// data streams, or with lifecycle ilm or none. Call it about once an hour.
func (s *Store) Prune(ctx context.Context, now time.Time) ([]string, error) {
	if s.cfg.Layout != LayoutIndex || s.cfg.Lifecycle != lifecycleAuto {
		return nil, nil
	}
	var gone []string
	for _, k := range Kinds() {
		var indices map[string]any
		err := s.web.call(ctx, "GET", "/"+s.target(k)+"/_settings/index.uuid"+query("ignore_unavailable", "true", "allow_no_indices", "true"), nil, &indices)
		if err != nil && !absent(err) {
			return gone, fmt.Errorf("elastic: look for old indices: %w", err)
		}
		for _, name := range slices.Sorted(maps.Keys(indices)) {
			day, err := time.Parse(dayFormat, strings.TrimPrefix(name, s.base(k)+"-"))
			if err != nil || now.Before(day.Add(24*time.Hour+s.cfg.Retention.of(k))) {
				continue // not one of ours, or young enough
			}
			if err := s.web.call(ctx, "DELETE", "/"+name, nil, nil); err != nil && !absent(err) {
				return gone, fmt.Errorf("elastic: remove the index %s: %w", name, err)
			}
			gone = append(gone, name)
		}
	}
	return gone, nil
}
