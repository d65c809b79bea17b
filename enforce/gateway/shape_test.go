package gateway

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shape is what an API description says of an object: it has these fields and no others.
// A field is checked by its rule; null stands for a field that is not there where the rule
// is made by nullable.
type shape map[string]rule

// rule checks one value; nil = it is right.
type rule func(v any) error

// check checks an object; fields that are needed begin by "!" in the shape.
func (s shape) check(v any) error {
	o, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("expected a record, got %T", v)
	}
	for name, value := range o {
		r, known := s[name]
		if !known {
			r, known = s["!"+name]
		}
		if !known {
			return fmt.Errorf("%s: unknown field", name)
		}
		if err := r(value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for name := range s {
		if field, needed := strings.CutPrefix(name, "!"); needed {
			if _, there := o[field]; !there {
				return fmt.Errorf("%s: required field missing", field)
			}
		}
	}
	return nil
}

func nullable(r rule) rule {
	return func(v any) error {
		if v == nil {
			return nil
		}
		return r(v)
	}
}

func isBool(v any) error {
	if _, ok := v.(bool); !ok {
		return fmt.Errorf("expected a boolean, got %T", v)
	}
	return nil
}

func isText(pattern string, longest int) rule {
	re := regexp.MustCompile(pattern)
	return func(v any) error {
		s, ok := v.(string)
		if !ok || len(s) > longest || !re.MatchString(s) {
			return fmt.Errorf("expected a string like %s of %d bytes at most, got %.60q", pattern, longest, fmt.Sprint(v))
		}
		return nil
	}
}

func isOneOf(words ...string) rule {
	return func(v any) error {
		if s, ok := v.(string); !ok || !slices.Contains(words, s) {
			return fmt.Errorf("expected one of %v, got %.60q", words, fmt.Sprint(v))
		}
		return nil
	}
}

func isNumber(lowest, highest float64) rule {
	return func(v any) error {
		if n, ok := v.(float64); !ok || n < lowest || n > highest {
			return fmt.Errorf("expected a number from %g to %g, got %.60q", lowest, highest, fmt.Sprint(v))
		}
		return nil
	}
}

func isInteger(lowest, highest float64) rule {
	return func(v any) error {
		if n, ok := v.(float64); !ok || n != math.Trunc(n) {
			return fmt.Errorf("expected an integer, got %.60q", fmt.Sprint(v))
		}
		return isNumber(lowest, highest)(v)
	}
}

func isListOf(r rule, least int) rule {
	return func(v any) error {
		list, ok := v.([]any)
		if !ok || len(list) < least {
			return fmt.Errorf("expected an array of %d at least, got %T", least, v)
		}
		for i, x := range list {
			if err := r(x); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return nil
	}
}

// isMapOf is an object with any names.
func isMapOf(r rule) rule {
	return func(v any) error {
		o, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("expected an object, got %T", v)
		}
		for name, x := range o {
			if err := r(x); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	}
}

// isAddress is an address or a prefix.
func isAddress(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("expected a string, got %T", v)
	}
	if _, err := netip.ParseAddr(s); err == nil && !strings.Contains(s, "%") {
		return nil
	}
	if _, err := netip.ParsePrefix(s); err != nil {
		return fmt.Errorf("invalid ip or cidr range: %.60q", s)
	}
	return nil
}

// never is the largest number where a description names none.
const never = math.MaxFloat64

// readJSON reads an object.
func readJSON(text []byte) (map[string]any, error) {
	var o map[string]any
	err := json.Unmarshal(text, &o)
	return o, err
}

// TestShape: what is not described is refused, and so is what has another type.
func TestShape(t *testing.T) {
	s := shape{"!count": isInteger(1, 9), "key": nullable(isText("^[a-z]+$", 3)), "list": isListOf(isAddress, 1), "on": isBool, "of": isOneOf("a", "b"), "map": isMapOf(isNumber(0, 1))}
	for text, want := range map[string]string{
		`{"count":3,"key":"abc","list":["::1","10.0.0.0/8"],"on":true,"of":"a","map":{"x":0.5}}`: "",
		`{"count":3,"key":null}`: "", `[]`: "cannot unmarshal",
		`{}`: "count: required field missing", `{"count":3,"other":1}`: "other: unknown field", `{"count":"3"}`: "count: expected an integer",
		`{"count":1.5}`: "count: expected an integer", `{"count":10}`: "from 1 to 9", `{"count":1,"key":"abcd"}`: "key: expected a string",
		`{"count":1,"list":[]}`: "list: expected an array of 1", `{"count":1,"list":["fe80::1%eth0"]}`: "list: [0]: invalid ip",
		`{"count":1,"on":"true"}`: "on: expected a boolean", `{"count":1,"of":"c"}`: "of: expected one of", `{"count":1,"map":{"x":2}}`: "map: x: expected a number",
	} {
		o, err := readJSON([]byte(text))
		if err == nil {
			err = s.check(o)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
