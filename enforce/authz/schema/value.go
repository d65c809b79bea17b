package schema

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// kind is a set of kinds of values in JSON.
type kind uint8

const (
	kindNull kind = 1 << iota
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
)

// value is a value of JSON. Texts may borrow what it was read from.
type value struct {
	kind  kind
	flag  bool
	text  string   // of a string; a number as it was written
	names []string // of members, beside list
	list  []value  // items, or the values of members
}

// valueOf takes over a value that a document holds.
func valueOf(v any) value {
	switch x := v.(type) {
	case nil:
		return value{kind: kindNull}
	case bool:
		return value{kind: kindBool, flag: x}
	case string:
		return value{kind: kindString, text: x}
	case float64:
		return value{kind: kindNumber, text: strconv.FormatFloat(x, 'g', -1, 64)}
	case int:
		return value{kind: kindNumber, text: strconv.Itoa(x)}
	case int64:
		return value{kind: kindNumber, text: strconv.FormatInt(x, 10)}
	case uint64:
		return value{kind: kindNumber, text: strconv.FormatUint(x, 10)}
	case []any:
		out := value{kind: kindArray}
		for _, item := range x {
			out.list = append(out.list, valueOf(item))
		}
		return out
	case map[string]any:
		out := value{kind: kindObject}
		for name, member := range x {
			out.names, out.list = append(out.names, name), append(out.list, valueOf(member))
		}
		return out
	}
	return value{} // nothing that JSON has: no value is equal to it
}

// equal compares values as JSON Schema does: 1 and 1.0 are the same, and the order of
// members does not count.
func equal(a, b *value) bool {
	if a.kind != b.kind || a.kind == 0 {
		return false
	}
	switch a.kind {
	case kindNull:
		return true
	case kindBool:
		return a.flag == b.flag
	case kindString:
		return a.text == b.text
	case kindNumber:
		return a.text == b.text || !(exact(a.text) && exact(b.text)) && number(a.text) == number(b.text)
	case kindArray:
		return slices.EqualFunc(a.list, b.list, func(x, y value) bool { return equal(&x, &y) })
	}
	if len(a.names) != len(b.names) {
		return false
	}
	for i, name := range a.names {
		at := slices.Index(b.names, name)
		if at < 0 || !equal(&a.list[i], &b.list[at]) {
			return false
		}
	}
	return true
}

// exact reports whether a number is written as an integer in its one form, so that two of
// them are equal only if their texts are.
func exact(text string) bool {
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || digits[0] == '0' && text != "0" {
		return false
	}
	return strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// number reads a number as it was written; what is too large is infinite.
func number(text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(f, 0) {
		return math.NaN()
	}
	return f
}

// integral reports whether a number is one without a fraction, 1.0 and 1e3 too.
func integral(text string) bool {
	if !strings.ContainsAny(text, ".eE") {
		return true
	}
	f := number(text)
	return math.IsInf(f, 0) || f == math.Trunc(f)
}

// fits reports whether an integer is one of so many bits.
func fits(text string, bits int) bool {
	if !strings.ContainsAny(text, ".eE") {
		_, err := strconv.ParseInt(text, 10, bits)
		return err == nil
	}
	f, edge := number(text), math.Ldexp(1, bits-1)
	return f >= -edge && f < edge
}
