package elastic

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
)

// hit is a document that a search found.
type hit struct {
	Index       string             `json:"_index"`
	ID          string             `json:"_id"`
	Source      json.RawMessage    `json:"_source"`
	Seq         int64              `json:"_seq_no"`
	PrimaryTerm int64              `json:"_primary_term"`
	Fields      map[string][]int64 `json:"fields"`
	Sort        []json.RawMessage  `json:"sort"`
}

// search runs one search. A part of an answer is an error: a page with holes would
// look like the truth.
func (s *Store) search(ctx context.Context, k Kind, body object) ([]hit, error) {
	var out struct {
		Hits struct {
			Hits []hit `json:"hits"`
		} `json:"hits"`
	}
	body["track_total_hits"] = false
	path := "/" + s.target(k) + "/_search" + query("ignore_unavailable", "true", "allow_no_indices", "true", "allow_partial_search_results", "false")
	if err := s.web.call(ctx, "POST", path, encoded(body), &out); err != nil && !absent(err) {
		return nil, err
	}
	return out.Hits.Hits, nil
}

// Clause is a part of a query in Elasticsearch's own language.
type Clause = map[string]any

// Term wants a field to be one of some values, exactly.
func Term(field string, values ...string) Clause {
	keys := make([]string, 0, len(values))
	for _, v := range values {
		if key := exact(v); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return Clause{"terms": Clause{field: keys}}
}

// From wants a number to be at least some value, Below to be less.
func From(field string, n int64) Clause { return Clause{"range": Clause{field: Clause{"gte": n}}} }

// Below wants a number to be less than some value.
func Below(field string, n int64) Clause { return Clause{"range": Clause{field: Clause{"lt": n}}} }

// Page is a search for documents.
type Page struct {
	Where  []Clause // all of them
	By     string   // number to sort by
	Rising bool     // lowest first; otherwise highest
	Then   string   // what decides between equals, lowest first
	Limit  int      // 0 = 100, at most 10 000
	After  []any    // values of By and Then of the last document of the page before
}

// Bounds of a page.
const (
	pageDefault = 100
	pageMax     = 10000 // Elasticsearch's own bound, index.max_result_window
)

// Find returns the sources of a page of documents. What was written within the
// refresh interval may not be seen yet.
func (s *Store) Find(ctx context.Context, k Kind, p Page) ([][]byte, error) {
	if p.Limit <= 0 {
		p.Limit = pageDefault
	}
	order := "desc"
	if p.Rising {
		order = "asc"
	}
	body := object{
		"size": min(p.Limit, pageMax),
		"sort": []any{
			object{p.By: object{"order": order, "unmapped_type": "long"}},
			object{p.Then: object{"order": "asc", "unmapped_type": "keyword"}},
		},
	}
	if len(p.Where) > 0 {
		body["query"] = object{"bool": object{"filter": p.Where}}
	}
	if p.After != nil {
		body["search_after"] = p.After
	}
	hits, err := s.search(ctx, k, body)
	if err != nil {
		return nil, fmt.Errorf("elastic: read %s: %w", s.target(k), err)
	}
	out := make([][]byte, len(hits))
	for i, h := range hits {
		out[i] = h.Source
	}
	return out, nil
}

// Refresh makes what was written visible to searches at once, for tests and for those
// who just changed something. It costs the cluster more than waiting.
func (s *Store) Refresh(ctx context.Context) error {
	for _, k := range Kinds() {
		if err := s.refresh(ctx, k); err != nil {
			return fmt.Errorf("elastic: refresh %s: %w", s.target(k), err)
		}
	}
	return nil
}

func (s *Store) refresh(ctx context.Context, k Kind) error {
	err := s.web.call(ctx, "POST", "/"+s.target(k)+"/_refresh"+query("ignore_unavailable", "true", "allow_no_indices", "true"), nil, nil)
	if absent(err) {
		return nil
	}
	return err
}

// Findings returns a page of findings as store.DB does: the newest FiredAt first,
// then by id.
func (s *Store) Findings(ctx context.Context, q store.FindingQuery) ([]detect.Finding, error) {
	p := Page{By: "portcullis.fired_ns", Then: "event.id", Limit: q.Limit, Where: s.where(q)}
	if q.After != "" {
		last, ok, err := s.Finding(ctx, q.After)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("elastic: findings: no finding %.80q to go on after: start from the first page", q.After)
		}
		p.After = []any{last.FiredAt, exact(last.ID)}
	}
	return Read(ctx, s, Finding, p, decodeFinding)
}

// Finding returns one finding by id, and whether there is one.
func (s *Store) Finding(ctx context.Context, id string) (detect.Finding, bool, error) {
	sources, err := s.Find(ctx, Finding, Page{By: "portcullis.fired_ns", Then: "event.id", Limit: 1, Where: []Clause{Term("event.id", id)}})
	if err != nil || len(sources) == 0 {
		return detect.Finding{}, false, err
	}
	f, err := decodeFinding(sources[0])
	return f, err == nil, err
}

func (s *Store) where(q store.FindingQuery) []Clause {
	var out []Clause
	add := func(on bool, c Clause) {
		if on {
			out = append(out, c)
		}
	}
	add(q.Since != 0, From("portcullis.fired_ns", q.Since))
	add(q.Until != 0, Below("portcullis.fired_ns", q.Until))
	add(q.SeenSince != 0, From("portcullis.last_ns", q.SeenSince))
	add(q.Rule != "", Term("rule.id", q.Rule))
	add(q.Family != "", Term("rule.category", q.Family))
	add(q.Subject.Kind != "", Term("portcullis.subject.kind", q.Subject.Kind))
	add(q.Subject.Value != "", Term("portcullis.subject.value", q.Subject.Value, s.Hidden(q.Subject.Value)))
	add(q.MinSeverity > detect.Info, From("event.severity", severityNumber(q.MinSeverity)))
	return out
}

// Hidden is how a value may be stored besides as it is.
func (s *Store) Hidden(value string) string {
	if s.opt.Cloak == nil {
		return value
	}
	return s.opt.Cloak.HideText(value)
}

// Hide is a text as it is stored from now on.
func (s *Store) Hide(text string) string {
	if !s.opt.Hide || text == "" {
		return text
	}
	return s.opt.Cloak.HideText(text)
}

// Rollups returns minutes as store.DB does: those that start at or after since and
// before until (Unix seconds, 0 = no bound) of one route, "" being the traffic as a
// whole. What several counted of one minute is added up.
func (s *Store) Rollups(ctx context.Context, since, until int64, route string) ([]detect.Rollup, error) {
	p := Page{By: "portcullis.minute", Then: "event.id", Rising: true, Limit: pageMax, Where: []Clause{From("portcullis.minute", since)}}
	if until != 0 {
		p.Where = append(p.Where, Below("portcullis.minute", until))
	}
	if route != store.AnyRoute {
		p.Where = append(p.Where, Term("portcullis.route", route))
	}
	sums := map[[2]string]map[int64]*detect.Rollup{}
	var out []*detect.Rollup
	for {
		sources, err := s.Find(ctx, Traffic, p)
		if err != nil {
			return nil, err
		}
		for _, src := range sources {
			r, err := decodeTraffic(src)
			if err != nil {
				return nil, err
			}
			minutes := sums[[2]string{r.Source, r.Route}]
			if minutes == nil {
				minutes = map[int64]*detect.Rollup{}
				sums[[2]string{r.Source, r.Route}] = minutes
			}
			if have := minutes[r.Minute]; have != nil {
				addUp(have, &r)
				continue
			}
			minutes[r.Minute] = &r
			out = append(out, &r)
		}
		if len(sources) < pageMax {
			return sorted(out), nil
		}
		var last struct {
			ID     string `json:"event.id"`
			Minute int64  `json:"portcullis.minute"`
		}
		if err := json.Unmarshal(sources[len(sources)-1], &last); err != nil {
			return nil, fmt.Errorf("elastic: traffic: %w", err)
		}
		p.After = []any{last.Minute, last.ID}
	}
}

func addUp(to, r *detect.Rollup) {
	to.Requests += r.Requests
	to.S2xx += r.S2xx
	to.S3xx += r.S3xx
	to.S4xx += r.S4xx
	to.S5xx += r.S5xx
	to.Refused += r.Refused
	to.Denied += r.Denied
	to.BytesOut += r.BytesOut
	to.Nanos += r.Nanos
}

func sorted(list []*detect.Rollup) []detect.Rollup {
	slices.SortFunc(list, func(a, b *detect.Rollup) int {
		return cmp.Or(cmp.Compare(a.Minute, b.Minute), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Route, b.Route))
	})
	var out []detect.Rollup
	for _, r := range list {
		out = append(out, *r)
	}
	return out
}

// Read returns a page of documents, decoded.
func Read[T any](ctx context.Context, s *Store, k Kind, p Page, decode func([]byte) (T, error)) ([]T, error) {
	sources, err := s.Find(ctx, k, p)
	if err != nil {
		return nil, err
	}
	var out []T
	for _, src := range sources {
		v, err := decode(src)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
