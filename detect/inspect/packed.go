package inspect

import "strings"

// What programs put into a parameter: JSON, tokens, and base64 of both.

// jsonInside is how many times JSON may stand in a string of JSON.
const jsonInside = 2

// jsonValue is the JSON of a parameter, "" where it is none. An escaped one is made anew.
func jsonValue(value string) string {
	switch {
	case len(value) < 4, value[0] != '{' && value[0] != '[' && value[0] != '%':
		return ""
	case value[0] == '%' && !strings.EqualFold(value[:3], "%7b") && !strings.EqualFold(value[:3], "%5b"):
		return ""
	}
	if s := unescape(strings.ReplaceAll(value, "+", " ")); isJSON(s) {
		return s
	}
	return ""
}

// isJSON says whether all of s is an object or an array that holds a string.
func isJSON(s string) bool {
	if len(s) < 4 || s[0] != '{' && s[0] != '[' || strings.IndexByte(s, '"') < 0 {
		return false
	}
	var j jsonText
	j.reset(s)
	for {
		if kind, _ := j.next(); kind == jsonEnd {
			return j.at == len(s) && len(j.open) == 0
		}
	}
}

// packed looks into a parameter that is JSON or base64 of text. The parameter as a whole
// was looked at before; the first pass needs to ask for base64 only, since it clears nothing
// that holds a double quote.
func (l *look) packed(prefix, name, value string) {
	l.base64(prefix, name, value)
	if s := jsonValue(value); s != "" {
		l.jsonFields(prefix, name, s, 0)
	}
}
