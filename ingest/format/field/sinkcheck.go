package field

import "unicode/utf8"

// CheckUTF8 notes whether a value whose escapes were undone is UTF-8; the line itself
// then does not tell.
func (s *Sink) CheckUTF8(v []byte) {
	if !utf8.Valid(v) {
		s.Bad = true
	}
}
