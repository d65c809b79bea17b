package config

// Key is one single value of a settings struct, as it stands.
type Key struct {
	Name  string
	Value string // as the YAML has it
	Want  string // what it takes, in words
	Doc   string
}

// Keys lists the single values of dst, a pointer to a settings struct, in the order of
// their declaration. Lists and mappings are left out.
func Keys(dst any) ([]Key, error) {
	v, err := rootOf(dst)
	if err != nil {
		return nil, err
	}
	var out []Key
	for _, f := range fields(v) {
		if f.v.IsValid() && !f.secret() && shapeOf(f.v.Type()) == scalar {
			out = append(out, Key{f.key, textOf(f.v, f.tag), wanted(f.v.Type(), f.tag), f.doc})
		}
	}
	return out, nil
}
