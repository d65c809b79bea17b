package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// decodeFields sets the fields of a mapping from its YAML.
func (l *loader) decodeFields(n *node, v reflect.Value, path string) {
	fs := fields(v)
	for _, p := range n.pairs {
		key := join(path, shownKey(p.key))
		i := slices.IndexFunc(fs, func(f field) bool { return f.yamlKey() == p.key })
		if i < 0 {
			l.unknown(p, fs, key)
			continue
		}
		l.where[key] = p.at
		l.where[join(path, fs[i].key)] = p.at // a Check names a secret by its own key
		l.decodeField(p.value, fs[i], key)
	}
}

// unknown reports a key that the mapping does not have.
func (l *loader) unknown(p pair, fs []field, key string) {
	for _, f := range fs {
		if f.secret() && f.key == p.key {
			l.fault(p.at, key, "a secret must not stand in this file",
				fmt.Sprintf("put it into a file of its own and give its path as %s, or set the variable %s", f.yamlKey(), envName(key)))
			return
		}
	}
	if near, ok := Nearest(p.key, keysOf(fs)); ok {
		l.meant[join(parentOf(key), near)] = true
	}
	l.fault(p.at, key, "unknown key", didYouMean(p.key, keysOf(fs)))
}

// decodeField sets one field. A mapping or a list without a value is as if its
// key were not there: its entries are often commented out.
func (l *loader) decodeField(n *node, f field, key string) {
	if n.kind == refused {
		return
	}
	if !f.v.IsValid() {
		if n.kind != nothing && (n.kind != table || len(n.pairs) > 0) {
			l.fault(n.at, key, "has no settings", "")
		}
		return
	}
	s := shapeOf(f.v.Type())
	if n.kind == nothing {
		if s == scalar {
			l.fault(l.where[key], key, "has no value: want "+wanted(f.v.Type(), f.tag), "write one or remove the line")
		}
		return
	}
	if f.secret() {
		l.secret(n, f, key)
		return
	}
	switch {
	case s == mapping && n.kind == table:
		l.decodeFields(n, f.v, key)
	case s == mappings && n.kind == list:
		l.decodeMappings(n, f.v, key)
	case s == texts && n.kind == list:
		l.decodeTexts(n, f, key)
	case s == labels && n.kind == table:
		l.decodeLabels(n, f.v, key)
	case s == scalar:
		l.decodeScalar(n, f.v, f.tag, key)
	default:
		l.fault(n.at, key, "want "+wanted(f.v.Type(), f.tag)+", got "+n.describe(), listHint(s, n))
	}
}

// listHint shows how a single text becomes a list.
func listHint(s shape, n *node) string {
	if s == texts && n.kind == text && len(n.text) < 40 {
		return fmt.Sprintf("write [%q]", n.text)
	}
	return ""
}

// decodeMappings fills a list of structs, each starting with its own defaults.
func (l *loader) decodeMappings(n *node, v reflect.Value, key string) {
	out := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, it := range n.items {
		k, entry := item(key, i), out.Index(i)
		l.where[k] = it.at
		start(entry)
		if err := setDefaults(entry, k); err != nil {
			l.fault(it.at, k, err.Error(), "")
			continue
		}
		switch it.kind {
		case table:
			l.decodeFields(it, entry, k)
		case refused:
		default:
			l.fault(it.at, k, "want a mapping, got "+it.describe(), "")
		}
	}
	v.Set(out)
}

// decodeTexts fills a list of texts.
func (l *loader) decodeTexts(n *node, f field, key string) {
	out := reflect.MakeSlice(f.v.Type(), len(n.items), len(n.items))
	for i, it := range n.items {
		k := item(key, i)
		l.where[k] = it.at
		if it.kind == nothing {
			l.fault(it.at, k, "has no value: want text", "")
			continue
		}
		l.decodeScalar(it, out.Index(i), f.tag, k)
	}
	f.v.Set(out)
}

// decodeLabels fills a mapping of text to text.
func (l *loader) decodeLabels(n *node, v reflect.Value, key string) {
	out := reflect.MakeMap(v.Type())
	for _, p := range n.pairs {
		k := join(key, shownKey(p.key))
		l.where[k] = p.at
		value := reflect.New(v.Type().Elem()).Elem()
		if p.value.kind == nothing {
			l.fault(p.at, k, "has no value: want text", `write "" for empty text`)
			continue
		}
		l.decodeScalar(p.value, value, "", k)
		out.SetMapIndex(reflect.ValueOf(p.key).Convert(v.Type().Key()), value)
	}
	v.Set(out)
}

// decodeScalar sets a single value. Text must be text and numbers numbers, so
// that the file means the same to every YAML reader.
func (l *loader) decodeScalar(n *node, v reflect.Value, tag reflect.StructTag, key string) {
	isText := v.Kind() == reflect.String
	want := wanted(v.Type(), tag)
	switch {
	case n.kind == refused:
	case isText && n.kind == table: // [HOST:PORT] within {} is read as a mapping
		l.fault(n.at, key, "want "+want+", got "+n.describe(), "put quotes around text with a colon")
	case n.kind == list || n.kind == table:
		l.fault(n.at, key, "want "+want+", got "+n.describe(), "")
	case isText && n.kind != text:
		l.fault(n.at, key, "want "+want+", got "+n.describe(), fmt.Sprintf("quote it: %q", n.text))
	case !isText && n.quoted && v.Type() != durationType && !sized(tag):
		l.fault(n.at, key, "want "+want+", got "+n.describe(), "remove the quotes")
	case v.Type() == durationType && n.kind == number && n.text != "0":
		l.fault(n.at, key, "want "+want+", got "+n.describe(), "give the unit: "+n.text+"s")
	default:
		if err := setScalar(v, tag, n.text); err != nil {
			l.fault(n.at, key, err.Error(), scalarHint(n.text, v, tag))
		}
	}
}

// scalarHint guesses what a refused single value meant.
func scalarHint(s string, v reflect.Value, tag reflect.StructTag) string {
	if v.Kind() == reflect.Bool {
		switch strings.ToLower(s) {
		case "yes", "on", "true", "y":
			return "write true"
		case "no", "off", "false", "n":
			return "write false"
		}
	}
	if c, ok := Nearest(s, enumOf(tag)); ok && v.Kind() == reflect.String {
		return "did you mean " + c + "?"
	}
	return ""
}

// maxSecret bounds the file of a secret: keys and passwords are short.
const maxSecret = 64 << 10

// secret reads the file that key_file names. An empty name is no secret.
func (l *loader) secret(n *node, f field, key string) {
	if n.kind != text {
		l.fault(n.at, key, "want the path of a file, got "+n.describe(), "")
		return
	}
	value, err := readSecret(l.file, n.text)
	if err != nil {
		l.fault(n.at, key, err.Error(), "the file holds the secret and nothing else")
		return
	}
	f.v.SetString(value)
}

// readSecret reads a secret's file without the newline at its end; a relative
// path is taken from the folder of the settings file.
func readSecret(settings, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(settings), path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("cannot read the secret: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("cannot read the secret: %s is not a regular file", shown(path))
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("cannot read the secret: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("cannot read the secret: %w", err)
	}
	value := strings.TrimRight(string(data), "\r\n")
	switch {
	case len(data) > maxSecret:
		return "", fmt.Errorf("the secret %s is longer than %s", shown(path), FormatSize(maxSecret))
	case value == "":
		return "", fmt.Errorf("the secret %s is empty", shown(path))
	}
	return value, nil
}
