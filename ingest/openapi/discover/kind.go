package discover

import (
	"strings"

	"github.com/portcullis/portcullis/ingest/openapi"
)

// kind is a set of what values look like.
type kind uint8

const (
	isInteger kind = 1 << iota
	isNumber
	isBoolean
	isUUID
	isDate
	isDateTime
	isEmpty
	isText
)

// shapes are told in this order; a value has the first that fits.
var shapes = []struct {
	kind kind
	is   func(string) bool
}{
	{isEmpty, func(s string) bool { return s == "" }},
	{isInteger, func(s string) bool { return openapi.IsInteger(s, false) && !padded(s) }},
	{isNumber, func(s string) bool { return openapi.IsNumber(s) && !padded(s) }},
	{isBoolean, func(s string) bool { return s == "true" || s == "false" }},
	{isUUID, openapi.Format("uuid")},
	{isDate, openapi.Format("date")},
	{isDateTime, openapi.Format("date-time")},
}

// padded reports whether a number has zeros in front that mean something: it is a code.
func padded(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9'
}

func kindOf(s string) kind {
	for _, x := range shapes {
		if x.is(s) {
			return x.kind
		}
	}
	return isText
}

// schema describes values by all that was seen of them: of no type, or of several, they are
// texts.
func (k kind) schema() object {
	switch k &^ isEmpty {
	case isInteger:
		return object{"type": "integer"}
	case isNumber, isInteger | isNumber:
		return object{"type": "number"}
	case isBoolean:
		return object{"type": "boolean"}
	case isUUID:
		return object{"type": "string", "format": "uuid"}
	case isDate:
		return object{"type": "string", "format": "date"}
	case isDateTime, isDate | isDateTime:
		if k&isDate != 0 {
			break
		}
		return object{"type": "string", "format": "date-time"}
	}
	return object{"type": "string"}
}
