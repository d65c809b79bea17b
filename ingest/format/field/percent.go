package field

import (
	"bytes"
	"encoding/binary"
)

// UndoPercent undoes the URL encoding of a log once: %HH becomes its byte, a percent
// sign without two digits stays.
func (s *Scratch) UndoPercent(v []byte) []byte {
	k := bytes.IndexByte(v, '%')
	if k < 0 {
		return v
	}
	s.Room(len(v))
	start := len(s.buf)
	out := append(s.buf, v[:k]...)
	for v = v[k:]; len(v) > 0; {
		if v[0] == '%' && len(v) > 2 && hexValue[v[1]]|hexValue[v[2]] < 16 {
			out = append(out, hexValue[v[1]]<<4|hexValue[v[2]])
			v = v[3:]
			continue
		}
		out = append(out, v[0])
		v = v[1:]
	}
	s.buf = out
	return out[start:len(out):len(out)]
}

// Replace puts one byte in another's place.
func (s *Scratch) Replace(v []byte, from, to byte) []byte {
	k := bytes.IndexByte(v, from)
	if k < 0 {
		return v
	}
	s.Room(len(v))
	start := len(s.buf)
	s.buf = append(s.buf, v...)
	out := s.buf[start:len(s.buf):len(s.buf)]
	for what, by := uint64(from)*ones, uint64(from^to); k <= len(out)-8; k += 8 {
		w := binary.LittleEndian.Uint64(out[k:])
		binary.LittleEndian.PutUint64(out[k:], w^zeros(w^what)>>7*by)
	}
	for ; k < len(out); k++ {
		if out[k] == from {
			out[k] = to
		}
	}
	return out
}
