package field

import (
	"encoding/base64"
	"unsafe"
)

// Extend is Join for a list that grows: where the list so far is the last thing in
// the scratch, only the new element is written, so that a thousand header lines of
// one name do not cost a million.
func (s *Scratch) Extend(list, between string, v []byte) string {
	more := len(between) + len(v)
	k := len(s.buf) - len(list)
	if k < 0 || len(list) == 0 || unsafe.StringData(list) != unsafe.SliceData(s.buf[k:]) || cap(s.buf)-len(s.buf) < more {
		s.Room(2 * (len(list) + more))
		k = len(s.buf)
		s.buf = append(s.buf, list...)
	}
	s.buf = append(append(s.buf, between...), v...)
	return Str(s.buf[k:])
}

// Base64 undoes base64 with padding; ok is false for what is none.
func (s *Scratch) Base64(v []byte) (_ []byte, ok bool) {
	s.Room(base64.StdEncoding.DecodedLen(len(v)))
	start := len(s.buf)
	out := s.buf[start : start+base64.StdEncoding.DecodedLen(len(v))]
	n, err := base64.StdEncoding.Decode(out, v)
	if err != nil {
		return nil, false
	}
	s.buf = s.buf[:start+n]
	return s.buf[start : start+n : start+n], true
}
