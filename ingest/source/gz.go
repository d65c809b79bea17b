package source

import (
	"encoding/binary"
	"errors"
	"io"
)

// gzMagic begins every gzip member that uses deflate (RFC 1952, section 2.3.1).
var gzMagic = []byte{0x1f, 0x8b, 8}

// errGzCut is what a reader of a compressed log is told when its end is missing.
var errGzCut = errors.New("compressed file is cut off: its end is missing, lines up to there were read; was it still being written, or the disk full?")

// gzEnd makes the end of a compressed stream nil and a broken end an error that
// says so.
func gzEnd(err error) error {
	switch {
	case err == io.EOF:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errGzCut
	}
	return err
}

// gzSize reads the uncompressed size from the trailer. It is modulo 4 GiB and of
// the last member only: good enough for a lag, not for a decision.
func gzSize(r io.ReaderAt, compressed int64) int64 {
	var b [4]byte
	if _, err := r.ReadAt(b[:], compressed-4); err != nil {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(b[:]))
}
