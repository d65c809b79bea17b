package field

// Rank tells which fact a field states, named by the best field that states it,
// and how good the field is among its rivals. The four that say what was asked for
// are one fact here: of an absolute URL and a path only one is used.
func Rank(f Field) (fact Field, n uint8) {
	switch f {
	case URL, HostURI:
		return RequestURI, ranks[RequestURI].n
	}
	return ranks[f].slot, ranks[f].n
}
