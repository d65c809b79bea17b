package config

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Reference returns the settings as Markdown: a table per mapping, with each
// key's type, default, variable and meaning.
func Reference(dst any) ([]byte, error) {
	v, err := fresh(dst)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	referenceTable(&b, v, "", "")
	return b.Bytes(), nil
}

// referenceTable writes the single values of a mapping, then the mappings in it.
func referenceTable(b *bytes.Buffer, v reflect.Value, path, doc string) {
	fs := fields(v)
	if path != "" {
		fmt.Fprintf(b, "## `%s`\n\n", path)
		if doc != "" {
			fmt.Fprintf(b, "%s\n\n", doc)
		}
	}
	head := false
	for _, f := range fs {
		if !f.v.IsValid() || shapeOf(f.v.Type()) == mapping {
			continue
		}
		if !head {
			b.WriteString("| key | type | default | variable | meaning |\n|---|---|---|---|---|\n")
			head = true
		}
		referenceRow(b, f, path)
	}
	if head {
		b.WriteByte('\n')
	}
	for _, f := range fs {
		p := join(path, f.key)
		switch {
		case !f.v.IsValid():
			fmt.Fprintf(b, "## `%s`\n\n%s It has no settings.\n\n", p, sentence(f.doc))
		case shapeOf(f.v.Type()) == mapping:
			referenceTable(b, f.v, p, f.doc)
		case shapeOf(f.v.Type()) == mappings:
			referenceTable(b, newEntry(f.v.Type()), p+"[]", "Each entry of `"+p+"`:")
		}
	}
}

// referenceRow writes one key.
func referenceRow(b *bytes.Buffer, f field, path string) {
	p := join(path, f.key)
	kind, def := strings.TrimPrefix(wanted(f.v.Type(), f.tag), "a "), "`"+defaultText(f)+"`"
	if low, high := f.tag.Get("min"), f.tag.Get("max"); low != "" || high != "" {
		kind += ", " + rangeText(low, high)
	}
	if f.secret() {
		kind, def = "path of a file that holds the secret", ""
	}
	variable := "`" + envName(strings.ReplaceAll(p, "[]", "[0]")) + "`"
	if shapeOf(f.v.Type()) == mappings {
		variable = ""
	}
	if def == "``" {
		def = ""
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", f.yamlKey(), cell(kind), cell(def), variable, cell(f.doc))
}

// rangeText says the bounds in words.
func rangeText(low, high string) string {
	switch {
	case high == "":
		return "at least " + low
	case low == "":
		return "at most " + high
	}
	return low + " to " + high
}

// defaultText is the default as the YAML would have it.
func defaultText(f field) string {
	switch s := shapeOf(f.v.Type()); {
	case s == scalar:
		return textOf(f.v, f.tag)
	case s == mappings && f.v.Len() > 0:
		return fmt.Sprintf("%d entries", f.v.Len())
	case s == labels:
		pairs := make([]string, 0, f.v.Len())
		for it := f.v.MapRange(); it.Next(); {
			pairs = append(pairs, it.Key().String()+"="+it.Value().String())
		}
		slices.Sort(pairs)
		return strings.Join(pairs, ", ")
	case s == texts:
		items := make([]string, f.v.Len())
		for i := range items {
			items[i] = f.v.Index(i).String()
		}
		return strings.Join(items, ", ")
	}
	return ""
}

// cell keeps text within one cell of a Markdown table.
func cell(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "|", `\|`), "\n", " ")
}

// sentence ends text with a full stop.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}
