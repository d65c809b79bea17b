package elastic

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/portcullis/portcullis/detect"
)

// TrafficDoc makes the document of a minute. The part tells apart those who count
// the same minute of the same route beside each other, such as the partitions of a
// topic; reading adds them up. "" where there is only one.
func (s *Store) TrafficDoc(r detect.Rollup, part string) (Doc, error) {
	if s.opt.Hide {
		r.Route = s.opt.Cloak.HideText(r.Route)
	}
	id := DocID("traffic", strconv.FormatInt(r.Minute, 10), r.Source, r.Route, part)
	var b Builder
	s.Common(&b, Traffic, r.Minute*1e9, "metric", []string{"web"}, []string{"info"})
	b.Text("event.id", id)
	b.Exact("portcullis.source", r.Source)
	b.Exact("portcullis.route", r.Route)
	b.Exact("portcullis.part", part)
	b.Int("portcullis.minute", r.Minute)
	b.Int("portcullis.requests", r.Requests)
	b.Some("portcullis.status_2xx", r.S2xx)
	b.Some("portcullis.status_3xx", r.S3xx)
	b.Some("portcullis.status_4xx", r.S4xx)
	b.Some("portcullis.status_5xx", r.S5xx)
	b.Some("portcullis.refused", r.Refused)
	b.Some("portcullis.denied", r.Denied)
	b.Some("portcullis.bytes_out", r.BytesOut)
	b.Some("portcullis.duration_ns", r.Nanos)
	// A minute only grows, so its requests order its states; a version is above 0.
	version := max(r.Requests, 0) + 1
	b.Int("portcullis.version", version)
	source, err := b.Done()
	if err != nil {
		return Doc{}, fmt.Errorf("elastic: traffic: %w", err)
	}
	return Doc{Kind: Traffic, ID: id, Time: r.Minute * 1e9, Version: version, Source: source}, nil
}

type trafficDoc struct {
	Source   string `json:"portcullis.source"`
	Route    string `json:"portcullis.route"`
	Minute   int64  `json:"portcullis.minute"`
	Requests int64  `json:"portcullis.requests"`
	S2xx     int64  `json:"portcullis.status_2xx"`
	S3xx     int64  `json:"portcullis.status_3xx"`
	S4xx     int64  `json:"portcullis.status_4xx"`
	S5xx     int64  `json:"portcullis.status_5xx"`
	Refused  int64  `json:"portcullis.refused"`
	Denied   int64  `json:"portcullis.denied"`
	BytesOut int64  `json:"portcullis.bytes_out"`
	Nanos    int64  `json:"portcullis.duration_ns"`
	Raw      Raw    `json:"portcullis.raw"`
}

// decodeTraffic is the inverse of TrafficDoc.
func decodeTraffic(source []byte) (detect.Rollup, error) {
	var in trafficDoc
	if err := json.Unmarshal(source, &in); err != nil {
		return detect.Rollup{}, fmt.Errorf("elastic: a minute of traffic cannot be read: %w", err)
	}
	return detect.Rollup{
		Minute: in.Minute, Source: in.Raw.Text("portcullis.source", in.Source), Route: in.Raw.Text("portcullis.route", in.Route),
		Requests: in.Requests, S2xx: in.S2xx, S3xx: in.S3xx, S4xx: in.S4xx, S5xx: in.S5xx,
		Refused: in.Refused, Denied: in.Denied, BytesOut: in.BytesOut, Nanos: in.Nanos,
	}, nil
}
