package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// setScalar sets a single value from text, within the bounds of its tags.
func setScalar(v reflect.Value, tag reflect.StructTag, s string) error {
	switch {
	case v.Type() == durationType:
		d, err := ParseDuration(s)
		if err != nil {
			return err
		}
		v.SetInt(int64(d))
	case v.Kind() == reflect.String:
		if err := inEnum(tag, s); err != nil {
			return err
		}
		v.SetString(s)
	case v.Kind() == reflect.Bool:
		if s != "true" && s != "false" {
			return fmt.Errorf("want true or false, got %s", shown(s))
		}
		v.SetBool(s == "true")
	case v.CanFloat():
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("want a number, got %s", shown(s))
		}
		v.SetFloat(f)
	default:
		if err := setInteger(v, tag, s); err != nil {
			return err
		}
	}
	return inRange(v, tag)
}

// setInteger sets whole numbers and sizes.
func setInteger(v reflect.Value, tag reflect.StructTag, s string) error {
	if sized(tag) {
		n, err := ParseSize(s)
		if err != nil {
			return err
		}
		return setInt(v, n, s)
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return outOfRange(v, s)
	case err != nil || strings.HasPrefix(s, "_") || strings.HasSuffix(s, "_"):
		return fmt.Errorf("want a whole number, got %s", shown(s))
	}
	return setInt(v, n, s)
}

// setInt stores n if the field's type can hold it.
func setInt(v reflect.Value, n int64, s string) error {
	if v.CanUint() {
		if n < 0 || v.OverflowUint(uint64(n)) {
			return outOfRange(v, s)
		}
		v.SetUint(uint64(n))
		return nil
	}
	if v.OverflowInt(n) {
		return outOfRange(v, s)
	}
	v.SetInt(n)
	return nil
}

// outOfRange says what the type can hold.
func outOfRange(v reflect.Value, s string) error {
	low, high := bounds(v.Type())
	return fmt.Errorf("want a whole number from %s to %s, got %s", low, high, shown(s))
}

// bounds are the limits of an integer type, in decimal.
func bounds(t reflect.Type) (low, high string) {
	bits := uint(t.Bits())
	switch t.Kind() {
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "0", strconv.FormatUint(1<<min(bits, 63)-1, 10) // numbers are read as int64
	}
	return strconv.FormatInt(-1<<(bits-1), 10), strconv.FormatInt(1<<(bits-1)-1, 10)
}

// sized reports whether an integer is a number of bytes: said by its unit, or by
// a default such as 64MiB.
func sized(tag reflect.StructTag) bool {
	return tag.Get("unit") == "bytes" || isSize(tag.Get("default"))
}

// enumOf lists the values that a text may have; none = any.
func enumOf(tag reflect.StructTag) []string { return split(tag.Get("enum")) }

// inEnum demands one of the tag's values. Empty text passes where it is the default.
func inEnum(tag reflect.StructTag, s string) error {
	enum := enumOf(tag)
	if len(enum) == 0 || s == "" && tag.Get("default") == "" {
		return nil
	}
	for _, e := range enum {
		if e == s {
			return nil
		}
	}
	return fmt.Errorf("want one of %s, got %s", strings.Join(enum, ", "), shown(s))
}

// inRange demands min ≤ v ≤ max of the tag.
func inRange(v reflect.Value, tag reflect.StructTag) error {
	for _, name := range [...]string{"min", "max"} {
		text, ok := tag.Lookup(name)
		if !ok || v.Kind() == reflect.String || v.Kind() == reflect.Bool {
			continue
		}
		bound := reflect.New(v.Type()).Elem()
		if err := setScalar(bound, reflect.StructTag(`unit:"`+unitOf(tag)+`"`), text); err != nil {
			return fmt.Errorf("tag %s: %w", name, err)
		}
		if name == "min" && less(v, bound) {
			return fmt.Errorf("must be at least %s, got %s", text, textOf(v, tag))
		}
		if name == "max" && less(bound, v) {
			return fmt.Errorf("must be at most %s, got %s", text, textOf(v, tag))
		}
	}
	return nil
}

// unitOf is "bytes" for sizes.
func unitOf(tag reflect.StructTag) string {
	if sized(tag) {
		return "bytes"
	}
	return ""
}

// less compares two numbers of one type.
func less(a, b reflect.Value) bool {
	switch {
	case a.CanInt():
		return a.Int() < b.Int()
	case a.CanUint():
		return a.Uint() < b.Uint()
	}
	return a.Float() < b.Float()
}

// textOf writes a single value so that setScalar reads it back.
func textOf(v reflect.Value, tag reflect.StructTag) string {
	switch {
	case v.Type() == durationType:
		return FormatDuration(time.Duration(v.Int()))
	case v.Kind() == reflect.String:
		return v.String()
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case v.CanFloat():
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	case v.CanUint():
		if sized(tag) && v.Uint() <= math.MaxInt64 {
			return FormatSize(int64(v.Uint()))
		}
		return strconv.FormatUint(v.Uint(), 10)
	case sized(tag):
		return FormatSize(v.Int())
	}
	return strconv.FormatInt(v.Int(), 10)
}

// wanted names what a value of this type looks like, for messages and the reference.
func wanted(t reflect.Type, tag reflect.StructTag) string {
	switch shapeOf(t) {
	case texts:
		return "a list of text"
	case mappings:
		return "a list of mappings"
	case labels:
		return "a mapping of text to text"
	case mapping:
		return "a mapping"
	}
	switch {
	case t == durationType:
		return "a duration like 30s"
	case t.Kind() == reflect.String:
		if enum := enumOf(tag); len(enum) > 0 {
			return "one of " + strings.Join(enum, ", ")
		}
		return "text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Float64 || t.Kind() == reflect.Float32:
		return "a number"
	case sized(tag):
		return "a size like 64MiB"
	}
	return "a whole number"
}
