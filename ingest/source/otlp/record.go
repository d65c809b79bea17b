package otlp

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"

	"github.com/portcullis/portcullis/ingest/source/serve"
	"github.com/portcullis/portcullis/ingest/source/spool"
)

// maxDepth is how deep a value may nest; what lies deeper is written as null.
const maxDepth = 32

// appendLine appends a record as one line; resource is what appendResource made.
// ok is false for a record that says nothing.
func appendLine(dst []byte, r *logspb.LogRecord, resource []byte) (line []byte, ok bool) {
	body, isText := r.GetBody().GetValue().(*commonpb.AnyValue_StringValue)
	if isText && !hasHTTP(r.GetAttributes()) {
		text := strings.TrimRight(body.StringValue, "\r\n")
		if strings.TrimSpace(text) == "" {
			return dst, false
		}
		return spool.AppendLine(dst, []byte(text)), true
	}
	if r.GetBody().GetValue() == nil && len(r.GetAttributes()) == 0 {
		return dst, false
	}
	return append(appendObject(dst, r, resource), '\n'), true
}

// hasHTTP reports whether attributes tell of an HTTP request.
func hasHTTP(attributes []*commonpb.KeyValue) bool {
	for _, a := range attributes {
		if strings.HasPrefix(a.GetKey(), "http.") || strings.HasPrefix(a.GetKey(), "url.") {
			return true
		}
	}
	return false
}

// appendObject appends a record as a flat JSON object.
func appendObject(dst []byte, r *logspb.LogRecord, resource []byte) []byte {
	dst = append(dst, '{')
	if at := recordTime(r); at != 0 {
		dst = append(appendKey(dst, "", "time"), '"')
		dst = append(time.Unix(0, int64(at)).UTC().AppendFormat(dst, time.RFC3339Nano), '"')
	}
	switch {
	case r.GetSeverityText() != "":
		dst = serve.AppendString(appendKey(dst, "", "severity"), r.GetSeverityText())
	case r.GetSeverityNumber() != 0:
		dst = strconv.AppendInt(appendKey(dst, "", "severity"), int64(r.GetSeverityNumber()), 10)
	}
	if r.GetEventName() != "" {
		dst = serve.AppendString(appendKey(dst, "", "event"), r.GetEventName())
	}
	dst = appendID(dst, "trace_id", r.GetTraceId())
	dst = appendID(dst, "span_id", r.GetSpanId())
	for _, a := range r.GetAttributes() {
		prefix := ""
		if reserved(a.GetKey()) {
			prefix = "attributes."
		}
		dst = appendValue(appendKey(dst, prefix, a.GetKey()), a.GetValue(), maxDepth)
	}
	if len(resource) > 0 && dst[len(dst)-1] == '{' {
		resource = resource[1:] // its comma
	}
	dst = append(dst, resource...)
	if r.GetBody().GetValue() != nil {
		dst = appendValue(appendKey(dst, "", "body"), r.GetBody(), maxDepth)
	}
	return append(dst, '}')
}

// appendResource appends the members that every record of a resource has, each
// behind a comma.
func appendResource(dst []byte, attributes []*commonpb.KeyValue) []byte {
	for _, a := range attributes {
		dst = append(dst, ',')
		dst = append(serve.AppendString(dst, "resource."+a.GetKey()), ':')
		dst = appendValue(dst, a.GetValue(), maxDepth)
	}
	return dst
}

// recordTime is when the event happened, else when it was noticed, in Unix
// nanoseconds; the specification wants receivers to use the latter then.
func recordTime(r *logspb.LogRecord) uint64 {
	if at := r.GetTimeUnixNano(); at != 0 {
		return at
	}
	return r.GetObservedTimeUnixNano()
}

// reserved are the keys that appendObject writes of its own.
func reserved(key string) bool {
	switch key {
	case "time", "severity", "event", "trace_id", "span_id", "body":
		return true
	}
	return false
}

// appendKey appends a key of an object, behind a comma where it is not the first.
func appendKey(dst []byte, prefix, key string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	if prefix != "" {
		key = prefix + key
	}
	return append(serve.AppendString(dst, key), ':')
}

// appendID appends an identifier in hex, as W3C trace context has it.
func appendID(dst []byte, key string, id []byte) []byte {
	if len(id) == 0 {
		return dst
	}
	dst = append(appendKey(dst, "", key), '"')
	return append(hex.AppendEncode(dst, id), '"')
}

// appendValue appends a value as JSON.
func appendValue(dst []byte, v *commonpb.AnyValue, depth int) []byte {
	if depth == 0 {
		return append(dst, "null"...)
	}
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return serve.AppendString(dst, v.StringValue)
	case *commonpb.AnyValue_BoolValue:
		return strconv.AppendBool(dst, v.BoolValue)
	case *commonpb.AnyValue_IntValue:
		return strconv.AppendInt(dst, v.IntValue, 10)
	case *commonpb.AnyValue_DoubleValue:
		return serve.AppendFloat(dst, v.DoubleValue)
	case *commonpb.AnyValue_BytesValue:
		dst = append(dst, '"')
		return append(base64.StdEncoding.AppendEncode(dst, v.BytesValue), '"')
	case *commonpb.AnyValue_ArrayValue:
		dst = append(dst, '[')
		for i, e := range v.ArrayValue.GetValues() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, e, depth-1)
		}
		return append(dst, ']')
	case *commonpb.AnyValue_KvlistValue:
		dst = append(dst, '{')
		for _, e := range v.KvlistValue.GetValues() {
			dst = appendValue(appendKey(dst, "", e.GetKey()), e.GetValue(), depth-1)
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}
