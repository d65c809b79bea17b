package kibana

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// every is how finely the query of a panel over time counts. Kibana chooses by the
// width of the panel.
const every = "1m"

// Query is the search that Elasticsearch answers with the figures of a panel.
func (p Panel) Query() ([]byte, error) {
	body := object{"size": 0, "track_total_hits": true, "query": object{"bool": object{"filter": append(list{ours()["query"]}, dsl(p.Where)...)}}}
	if p.Shape == List {
		columns := list{}
		for _, c := range p.Columns {
			columns = append(columns, object{"field": c})
		}
		body["size"], body["fields"], body["_source"] = 1, columns, false
		body["sort"] = list{object{timeField: "desc"}}
	} else {
		body["aggs"] = p.aggregations(0)
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("kibana: query of panel %s: %w", p.ID, err)
	}
	return data, nil
}

// aggregations are those of the splits from one on, and the measures below the last.
func (p Panel) aggregations(depth int) object {
	aggs := object{}
	for i, m := range p.Measures {
		if a := m.aggregation(); a != nil {
			aggs[measureName(i)] = a
		}
	}
	if depth == len(p.By) {
		return aggs
	}
	s := p.By[depth]
	split := object{"aggs": p.aggregations(depth + 1)}
	if s.time() {
		split["date_histogram"] = object{"field": s.Field, "fixed_interval": every, "min_doc_count": 1}
	} else {
		order := "_count"
		if m := p.Measures[0]; m.aggregation() != nil {
			order = measureName(0) + m.path()
		}
		split["terms"] = object{"field": s.Field, "size": s.Size, "order": object{order: "desc"}}
	}
	if depth == 0 {
		return object{"split": split}
	}
	aggs["split"] = split
	return aggs
}

func measureName(i int) string { return "m" + strconv.Itoa(i) }

// aggregation is that of a measure; nil: the count of the documents says it.
func (m Measure) aggregation() object {
	var inner object
	switch m.Op {
	case Sum:
		inner = object{"sum": object{"field": m.Field}}
	case Max:
		inner = object{"max": object{"field": m.Field}}
	case Unique:
		inner = object{"cardinality": object{"field": m.Field}}
	}
	switch {
	case len(m.Where) == 0:
		return inner
	case inner == nil:
		return object{"filter": object{"bool": object{"filter": dsl(m.Where)}}}
	}
	return object{"filter": object{"bool": object{"filter": dsl(m.Where)}}, "aggs": object{"value": inner}}
}

// path leads to the figure that rows are ordered by, from the name of its aggregation.
func (m Measure) path() string {
	switch {
	case len(m.Where) > 0 && m.Op == Count:
		return "._count"
	case len(m.Where) > 0:
		return ">value"
	}
	return ""
}

// Row is a row of figures: the values of the splits, then those of the measures.
type Row struct {
	Keys   []string
	Values []float64
}

// Rows reads the answer to a panel's Query. A panel of documents has one row with
// their number.
func (p Panel) Rows(answer []byte) ([]Row, error) {
	var in struct {
		Hits struct {
			Total struct{ Value float64 }
		}
		Aggs json.RawMessage `json:"aggregations"`
	}
	if err := json.Unmarshal(answer, &in); err != nil {
		return nil, fmt.Errorf("kibana: answer to panel %s: %w", p.ID, err)
	}
	if p.Shape == List {
		return []Row{{Values: []float64{in.Hits.Total.Value}}}, nil
	}
	rows, err := p.rows(in.Aggs, in.Hits.Total.Value, nil)
	if err != nil {
		return nil, fmt.Errorf("kibana: answer to panel %s: %w", p.ID, err)
	}
	return rows, nil
}

func (p Panel) rows(aggs []byte, docs float64, keys []string) ([]Row, error) {
	var in struct {
		Split struct {
			Buckets []json.RawMessage
		}
	}
	if len(keys) == len(p.By) {
		row := Row{Keys: keys}
		for i, m := range p.Measures {
			v, err := m.value(aggs, measureName(i), docs)
			if err != nil {
				return nil, err
			}
			row.Values = append(row.Values, v)
		}
		return []Row{row}, nil
	}
	if err := json.Unmarshal(aggs, &in); err != nil {
		return nil, err
	}
	var out []Row
	for _, b := range in.Split.Buckets {
		var bucket struct {
			Key  json.RawMessage
			Text string  `json:"key_as_string"`
			Docs float64 `json:"doc_count"`
		}
		if err := json.Unmarshal(b, &bucket); err != nil {
			return nil, err
		}
		key := string(bucket.Key)
		if s := ""; json.Unmarshal(bucket.Key, &s) == nil {
			key = s
		}
		inner, err := p.rows(b, bucket.Docs, append(keys[:len(keys):len(keys)], key))
		if err != nil {
			return nil, err
		}
		out = append(out, inner...)
	}
	return out, nil
}

// value is the figure of a measure in a bucket.
func (m Measure) value(aggs []byte, name string, docs float64) (float64, error) {
	if m.aggregation() == nil {
		return docs, nil
	}
	var in map[string]json.RawMessage
	if err := json.Unmarshal(aggs, &in); err != nil {
		return 0, err
	}
	var figure struct {
		Value *float64
		Docs  float64 `json:"doc_count"`
	}
	raw := in[name]
	if len(m.Where) > 0 && m.Op != Count {
		var filtered struct{ Value json.RawMessage }
		if err := json.Unmarshal(raw, &filtered); err != nil {
			return 0, err
		}
		raw = filtered.Value
	}
	if err := json.Unmarshal(raw, &figure); err != nil {
		return 0, err
	}
	switch {
	case len(m.Where) > 0 && m.Op == Count:
		return figure.Docs, nil
	case figure.Value == nil:
		return 0, nil // of no documents
	}
	return *figure.Value, nil
}
