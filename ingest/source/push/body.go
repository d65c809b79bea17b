package push

import (
	"mime"
	"strings"
)

// modeOf is how a body of a media type is cut; ok is false for types that are no
// log lines.
func modeOf(contentType string) (m mode, ok bool) {
	if contentType == "" {
		return modeSniff, true
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return 0, false
	}
	if c := strings.ToLower(params["charset"]); strings.HasPrefix(c, "utf-16") || strings.HasPrefix(c, "utf-32") {
		return 0, false
	}
	switch kind {
	case "application/json", "text/json", "application/stream+json":
		return modeJSON, true
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines",
		"application/jsonlines", "application/x-jsonlines":
		return modeNDJSON, true
	case "application/octet-stream", "application/x-www-form-urlencoded": // what curl says unless told
		return modeSniff, true
	}
	return modeText, strings.HasPrefix(kind, "text/")
}
