package elastic

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// reasonMax caps what is quoted of an answer: it may hold bytes of an attacker.
const reasonMax = 400

// cause is the error object of Elasticsearch.
type cause struct {
	Type   string `json:"type"`
	Reason string `json:"reason"`
	Cause  *cause `json:"caused_by"`
}

func (c cause) String() string {
	text := fmt.Sprintf("%.80s: %s", c.Type, capped(c.Reason))
	if c.Cause != nil && c.Cause.Reason != "" && !strings.Contains(c.Reason, c.Cause.Reason) {
		text += " (" + capped(c.Cause.Reason) + ")"
	}
	return text
}

// capped quotes and cuts a text of an answer.
func capped(s string) string {
	if len(s) > reasonMax {
		s = s[:reasonMax]
	}
	return fmt.Sprintf("%q", s)
}

// fault is an answer that is no success, of a request or of one document in it.
type fault struct {
	Status int
	Cause  cause
}

// newFault reads an answer; one that is not Elasticsearch's own is quoted.
func newFault(status int, body []byte) *fault {
	var in struct {
		Error json.RawMessage `json:"error"`
	}
	f := &fault{Status: status}
	_ = json.Unmarshal(body, &in) // what is no JSON is quoted below
	if json.Unmarshal(in.Error, &f.Cause) != nil || f.Cause.Type == "" {
		f.Cause = cause{Type: http.StatusText(status), Reason: strings.TrimSpace(string(body[:min(len(body), reasonMax)]))}
	}
	return f
}

// Error implements error: what happened, and how it is mended.
func (f *fault) Error() string {
	text := fmt.Sprintf("status %d, %s", f.Status, f.Cause)
	if m := f.mend(); m != "" {
		text += ": " + m
	}
	return text
}

// mend says what an operator can do; "" where waiting is all.
func (f *fault) mend() string {
	r := f.Cause.Reason
	switch {
	case f.Status == http.StatusUnauthorized:
		return "the API key or password is wrong, expired or revoked: put a valid one in place"
	case f.Cause.Type == "security_exception" || f.Status == http.StatusForbidden && f.Cause.Type != typeBlock:
		return "the user or API key lacks a privilege: docs/elasticsearch.md lists those that are needed"
	case strings.Contains(r, "flood-stage") || strings.Contains(r, "read-only-allow-delete"):
		return "a disk of the cluster is nearly full: free some space; Elasticsearch lifts the block by itself below the high watermark"
	case f.Cause.Type == typeBlock:
		return "the index is blocked: lift it with index.blocks.write, index.blocks.read_only = false"
	case strings.Contains(r, "maximum normal shards open"), strings.Contains(r, "maximum shards"):
		return "the cluster has as many shards as it allows: remove old indices, shorten the retention or add a node"
	case f.Cause.Type == "index_closed_exception":
		return "the index is closed: open or delete it"
	case strings.Contains(r, "op_type of create"), strings.Contains(r, "require_data_stream"), strings.Contains(r, "requires a data stream"):
		return "elasticsearch.layout does not fit what is there: run \"portcullis index check\""
	case f.Status == http.StatusNotFound && f.Cause.Type == "index_not_found_exception":
		return "the index is not there and is not made: see action.auto_create_index, and run \"portcullis index check\""
	case f.Status == http.StatusTooManyRequests:
		return "the cluster is busy; it is tried again"
	}
	return ""
}

const typeBlock = "cluster_block_exception"

// poison reports whether a document can never be taken, whatever is mended in the
// cluster: what is in it does not fit the mapping or the limits of Lucene.
func (f *fault) poison() bool {
	if f.Status != http.StatusBadRequest {
		return false
	}
	switch f.Cause.Type {
	case "document_parsing_exception", "mapper_parsing_exception", "strict_dynamic_mapping_exception", "parsing_exception":
		return true
	case "illegal_argument_exception", "x_content_parse_exception", "json_parse_exception":
		r := f.Cause.Reason
		return !strings.Contains(r, "op_type") && !strings.Contains(r, "shards") &&
			!strings.Contains(r, "number of documents") && !strings.Contains(r, "backing ind") && !strings.Contains(r, "alias")
	}
	return false
}

// overload reports whether an error asks for smaller requests.
func overload(err error) bool {
	var f *fault
	return errors.As(err, &f) && f.Status == http.StatusTooManyRequests && f.Cause.Type != typeBlock
}

// tooLarge reports whether a request was refused for its size.
func tooLarge(err error) bool {
	var f *fault
	return errors.As(err, &f) && f.Status == http.StatusRequestEntityTooLarge
}

// absent reports whether an error says that a part of Elasticsearch is not there:
// no such object, or an edition without that interface.
func absent(err error) bool {
	var f *fault
	return errors.As(err, &f) && (f.Status == http.StatusNotFound || f.Status == http.StatusMethodNotAllowed ||
		f.Status == http.StatusBadRequest && (strings.Contains(f.Cause.Reason, "no handler found") || f.Cause.Type == "invalid_index_name_exception"))
}

// forbidden reports whether an error says that we may not.
func forbidden(err error) bool {
	var f *fault
	return errors.As(err, &f) && f.Status == http.StatusForbidden && f.Cause.Type != typeBlock
}
