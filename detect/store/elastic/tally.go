package elastic

import (
	"context"
	"fmt"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
)

// tallyPage is how many groups one answer holds.
const tallyPage = 1000

// Tallies counts findings as store.DB does: Elasticsearch counts, no finding is fetched.
func (s *Store) Tallies(ctx context.Context, since, until int64) ([]store.Tally, error) {
	where := s.where(store.FindingQuery{Since: since, Until: until})
	var out []store.Tally
	var after object
	for {
		groups := object{"size": tallyPage, "sources": []any{
			object{"rule": object{"terms": object{"field": "rule.id"}}},
			object{"family": object{"terms": object{"field": "rule.category"}}},
			object{"severity": object{"terms": object{"field": "event.severity"}}},
			object{"kind": object{"terms": object{"field": "portcullis.subject.kind"}}},
		}}
		if after != nil {
			groups["after"] = after
		}
		page, next, err := s.tallyPage(ctx, object{
			"size": 0, "track_total_hits": false, "query": object{"bool": object{"filter": where}},
			"aggs": object{"groups": object{"composite": groups, "aggs": object{"newest": object{"max": object{"field": "portcullis.fired_ns"}}}}},
		})
		if err != nil {
			return nil, fmt.Errorf("elastic: count %s: %w", s.target(Finding), err)
		}
		out = append(out, page...)
		if next == nil || len(page) < tallyPage {
			return out, nil
		}
		after = next
	}
}

func (s *Store) tallyPage(ctx context.Context, body object) (page []store.Tally, next object, err error) {
	var answer struct {
		Aggregations struct {
			Groups struct {
				After   object `json:"after_key"`
				Buckets []struct {
					Key struct {
						Rule, Family, Kind string
						Severity           int64
					}
					Count  int64 `json:"doc_count"`
					Newest struct {
						Value float64 // exact to some hundred nanoseconds
					}
				}
			}
		}
	}
	path := "/" + s.target(Finding) + "/_search" + query("ignore_unavailable", "true", "allow_no_indices", "true", "allow_partial_search_results", "false")
	if err := s.web.call(ctx, "POST", path, encoded(body), &answer); err != nil && !absent(err) {
		return nil, nil, err
	}
	for _, b := range answer.Aggregations.Groups.Buckets {
		page = append(page, store.Tally{Rule: b.Key.Rule, Family: detect.Family(b.Key.Family), Severity: severityOf(b.Key.Severity), Kind: b.Key.Kind, Findings: b.Count, Newest: int64(b.Newest.Value)})
	}
	return page, answer.Aggregations.Groups.After, nil
}
