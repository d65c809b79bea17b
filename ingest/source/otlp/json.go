package otlp

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
)

// The JSON encoding of OTLP is that of protobuf but for hex identifiers, numeric
// enums and ignored unknown fields (specification, "JSON Protobuf Encoding"). It
// is decoded record by record here, so that one that is wrong costs itself only.

type jsonRequest struct {
	ResourceLogs []struct {
		Resource struct {
			Attributes []jsonPair `json:"attributes"`
		} `json:"resource"`
		ScopeLogs []struct {
			LogRecords []json.RawMessage `json:"logRecords"`
		} `json:"scopeLogs"`
	} `json:"resourceLogs"`
}

type jsonRecord struct {
	Time         jsonInt    `json:"timeUnixNano"`
	Observed     jsonInt    `json:"observedTimeUnixNano"`
	Severity     jsonInt    `json:"severityNumber"`
	SeverityText string     `json:"severityText"`
	Event        string     `json:"eventName"`
	Body         *jsonValue `json:"body"`
	Attributes   []jsonPair `json:"attributes"`
	Trace        string     `json:"traceId"`
	Span         string     `json:"spanId"`
}

type jsonPair struct {
	Key   string     `json:"key"`
	Value *jsonValue `json:"value"`
}

type jsonValue struct {
	String *string    `json:"stringValue"`
	Bool   *bool      `json:"boolValue"`
	Int    *jsonInt   `json:"intValue"`
	Double *jsonFloat `json:"doubleValue"`
	Bytes  *[]byte    `json:"bytesValue"`
	Array  *struct {
		Values []*jsonValue `json:"values"`
	} `json:"arrayValue"`
	Map *jsonMap `json:"kvlistValue"`
}

// jsonMap is {"values":[...]}; the specification's example of an event has the
// list alone (opentelemetry-proto, examples/events.json), so that is taken too.
type jsonMap struct{ Values []jsonPair }

// UnmarshalJSON implements json.Unmarshaler.
func (m *jsonMap) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, &m.Values)
	}
	var full struct {
		Values []jsonPair `json:"values"`
	}
	err := json.Unmarshal(data, &full)
	m.Values = full.Values
	return err
}

// jsonInt is a 64-bit number, which may be written as one or as a string. The
// times are unsigned but reach 2262 as signed ones, too.
type jsonInt int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *jsonInt) UnmarshalJSON(data []byte) error {
	text := string(bytes.Trim(data, `"`))
	if text == "null" || text == "" {
		return nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("%.40q is no 64-bit integer", text)
	}
	*n = jsonInt(v)
	return nil
}

// jsonFloat is a number, or as a string what JSON has no number for.
type jsonFloat float64

// UnmarshalJSON implements json.Unmarshaler.
func (f *jsonFloat) UnmarshalJSON(data []byte) error {
	v, err := strconv.ParseFloat(string(bytes.Trim(data, `"`)), 64)
	if err != nil {
		return fmt.Errorf("%.40q is no number", data)
	}
	*f = jsonFloat(v)
	return nil
}

// fromJSON decodes a request. Records that cannot be decoded are counted and left
// out; why is what was wrong with the first.
func fromJSON(data []byte) (req *collectorpb.ExportLogsServiceRequest, bad int64, why error) {
	var in jsonRequest
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, 0, fmt.Errorf("the body is no ExportLogsServiceRequest in JSON: %w", err)
	}
	req = &collectorpb.ExportLogsServiceRequest{}
	for _, rl := range in.ResourceLogs {
		out := &logspb.ResourceLogs{Resource: &resourcepb.Resource{Attributes: pairs(rl.Resource.Attributes)}}
		for _, sl := range rl.ScopeLogs {
			scope := &logspb.ScopeLogs{}
			for _, raw := range sl.LogRecords {
				r, err := recordFromJSON(raw)
				if err != nil {
					if bad++; why == nil {
						why = err
					}
					continue
				}
				scope.LogRecords = append(scope.LogRecords, r)
			}
			out.ScopeLogs = append(out.ScopeLogs, scope)
		}
		req.ResourceLogs = append(req.ResourceLogs, out)
	}
	return req, bad, why
}

// recordFromJSON decodes one record. An identifier that is no hex is left out.
func recordFromJSON(raw []byte) (*logspb.LogRecord, error) {
	var in jsonRecord
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, fmt.Errorf("a record cannot be decoded: %w", err)
	}
	out := &logspb.LogRecord{
		TimeUnixNano: uint64(in.Time), ObservedTimeUnixNano: uint64(in.Observed),
		SeverityNumber: logspb.SeverityNumber(in.Severity), SeverityText: in.SeverityText,
		EventName: in.Event, Attributes: pairs(in.Attributes),
	}
	if in.Body != nil {
		out.Body = in.Body.value()
	}
	if id, err := hex.DecodeString(in.Trace); err == nil {
		out.TraceId = id
	}
	if id, err := hex.DecodeString(in.Span); err == nil {
		out.SpanId = id
	}
	return out, nil
}

func pairs(in []jsonPair) []*commonpb.KeyValue {
	out := make([]*commonpb.KeyValue, 0, len(in))
	for _, p := range in {
		out = append(out, &commonpb.KeyValue{Key: p.Key, Value: p.Value.value()})
	}
	return out
}

// value is the value of whichever member is set; nil and none are empty.
func (v *jsonValue) value() *commonpb.AnyValue {
	out := &commonpb.AnyValue{}
	switch {
	case v == nil:
	case v.String != nil:
		out.Value = &commonpb.AnyValue_StringValue{StringValue: *v.String}
	case v.Bool != nil:
		out.Value = &commonpb.AnyValue_BoolValue{BoolValue: *v.Bool}
	case v.Int != nil:
		out.Value = &commonpb.AnyValue_IntValue{IntValue: int64(*v.Int)}
	case v.Double != nil:
		out.Value = &commonpb.AnyValue_DoubleValue{DoubleValue: float64(*v.Double)}
	case v.Bytes != nil:
		out.Value = &commonpb.AnyValue_BytesValue{BytesValue: *v.Bytes}
	case v.Array != nil:
		list := &commonpb.ArrayValue{}
		for _, e := range v.Array.Values {
			list.Values = append(list.Values, e.value())
		}
		out.Value = &commonpb.AnyValue_ArrayValue{ArrayValue: list}
	case v.Map != nil:
		out.Value = &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: pairs(v.Map.Values)}}
	}
	return out
}
