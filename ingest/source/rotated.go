package source

import (
	"slices"
	"strings"
)

// Logs lists the log and the rotated files beside it, for whoever reads them all once
// more: of one that is there plain and packed, the plain one.
func (c FileConfig) Logs() ([]string, error) {
	names, err := c.candidates()
	out := []string{c.Path}
	for name := range names {
		if plain, packed := unpackedName(name); packed {
			if _, both := names[plain]; both {
				continue
			}
		}
		if name != c.Path {
			out = append(out, name)
		}
	}
	slices.SortFunc(out[1:], strings.Compare)
	return out, err
}
