package inspect

import "strings"

// What programs put into a parameter: JSON, tokens, and base64 of both.

// jsonInside is how many times JSON may stand in a string of JSON.
const jsonInside = 2

// opensJSON says whether a text may be an object or an array that holds a string.
func opensJSON(s string) bool {
	return len(s) >= 4 && (s[0] == '{' || s[0] == '[') && strings.IndexByte(s, '"') > 0
}

// jsonValue is the JSON of a parameter, "" where it is none. An escaped one is made anew.
func jsonValue(value string) string {
	switch {
	case len(value) < 4, value[0] != '{' && value[0] != '[' && value[0] != '%':
		return ""
	case value[0] == '%' && !strings.EqualFold(value[:3], "%7b") && !strings.EqualFold(value[:3], "%5b"):
		return ""
	}
	if s := unescape(strings.ReplaceAll(value, "+", " ")); opensJSON(s) && validJSON(s) {
		return s
	}
	return ""
}

// validJSON says whether all of s is JSON.
func validJSON(s string) bool {
	var j jsonText
	j.reset(s)
	for {
		if kind, _ := j.next(); kind == jsonEnd {
			return j.at == len(s) && len(j.open) == 0
		}
	}
}

// packed looks into a parameter that is JSON or base64 of text. The parameter as a whole
// was looked at before.
func (l *look) packed(prefix, name, value string) {
	l.base64(prefix, name, value)
	if s := jsonValue(value); s != "" {
		l.jsonFields(prefix, name, s, 0)
	}
}

// mayNest is the first pass of packed: false proves that it finds nothing which the look at
// the whole value does not. Strings with escapes are taken to be anything.
func mayNest(value string) bool {
	if base64Text(payload(value)) {
		return true
	}
	s := jsonValue(value)
	if s == "" {
		return false
	}
	if strings.IndexByte(s, '\\') >= 0 {
		return true
	}
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			return false
		}
		if s = s[i+1:]; base64Text(s) {
			return true
		}
	}
}
