package config

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Example returns a YAML file with every key at its default and its
// documentation as a comment. It loads back to the same values. Entries of lists
// that are empty by default are shown as comments.
func Example(dst any) ([]byte, error) {
	v, err := fresh(dst)
	if err != nil {
		return nil, err
	}
	w := &exampleWriter{}
	w.mapping(v, "")
	return w.Bytes(), nil
}

// exampleWriter writes YAML; with comment set, everything is commented out.
type exampleWriter struct {
	bytes.Buffer
	comment bool
}

// line writes one line at an indentation.
func (w *exampleWriter) line(indent, format string, args ...any) {
	if w.comment {
		w.WriteString("# ")
	}
	fmt.Fprintf(w, indent+format+"\n", args...)
}

// docWidth is where documentation is wrapped.
const docWidth = 80

// doc writes documentation as comment lines.
func (w *exampleWriter) doc(indent, text string) {
	if text == "" {
		return
	}
	for _, l := range wrap(text, max(docWidth-len(indent)-2, 30)) {
		w.line(indent, "# %s", l)
	}
}

// wrap breaks text at blanks into lines of at most width characters.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// mapping writes the keys of a mapping.
func (w *exampleWriter) mapping(v reflect.Value, indent string) {
	for i, f := range fields(v) {
		if i > 0 && (indent == "" || f.doc != "") && !w.comment {
			w.WriteByte('\n')
		}
		w.doc(indent, f.doc)
		w.field(f, indent)
	}
}

// field writes one key with its value.
func (w *exampleWriter) field(f field, indent string) {
	key := yamlWord(f.yamlKey())
	switch {
	case !f.v.IsValid():
		w.line(indent, "%s: {}", key)
		return
	case f.secret():
		w.line(indent, "%s: \"\"", key)
		return
	}
	switch s := shapeOf(f.v.Type()); {
	case s == mapping && len(fields(f.v)) == 0:
		w.line(indent, "%s: {}", key)
	case s == mapping:
		w.line(indent, "%s:", key)
		w.mapping(f.v, indent+"  ")
	case s == mappings:
		w.mappings(f, key, indent)
	case s == labels && f.v.Len() > 0:
		w.line(indent, "%s:", key)
		m := f.v.Convert(reflect.TypeFor[map[string]string]()).Interface().(map[string]string)
		for _, k := range slices.Sorted(maps.Keys(m)) {
			w.line(indent+"  ", "%s: %s", yamlWord(k), strconv.Quote(m[k]))
		}
	case s == labels:
		w.line(indent, "%s: {}", key)
	case s == texts:
		items := make([]string, f.v.Len())
		for i := range items {
			items[i] = strconv.Quote(f.v.Index(i).String())
		}
		w.line(indent, "%s: [%s]", key, strings.Join(items, ", "))
	default:
		w.line(indent, "%s: %s", key, yamlScalar(f.v, f.tag))
	}
}

// mappings writes a list of mappings: its entries, or one as a comment.
func (w *exampleWriter) mappings(f field, key, indent string) {
	if f.v.Len() > 0 {
		w.line(indent, "%s:", key)
		for i := range f.v.Len() {
			w.entry(f.v.Index(i), indent)
		}
		return
	}
	w.line(indent, "%s: []", key)
	if w.comment {
		return
	}
	sub := &exampleWriter{comment: true}
	sub.line(indent, "an entry:")
	sub.entry(newEntry(f.v.Type()), indent)
	w.Write(sub.Bytes())
}

// entry writes one entry of a list of mappings. Its first line carries the dash.
func (w *exampleWriter) entry(v reflect.Value, indent string) {
	w.line(indent, "  -")
	w.mapping(v, indent+"    ")
}

// yamlWord writes a key: plain where YAML takes it for text.
func yamlWord(s string) string {
	if _, err := strconv.ParseFloat(s, 64); err == nil || shownKey(s) != s {
		return strconv.Quote(s)
	}
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return strconv.Quote(s)
	}
	return s
}

// yamlScalar writes a single value; text is always quoted.
func yamlScalar(v reflect.Value, tag reflect.StructTag) string {
	if v.Kind() == reflect.String {
		return strconv.Quote(v.String())
	}
	return textOf(v, tag)
}
