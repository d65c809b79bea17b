package source

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// How a finished log is compressed is told by its first bytes, never by its name.
//
// What the identity of a file (fileID, Mark.Print) needs of this: it is taken from
// the beginning of the uncompressed content, so a reader must give at least the
// first headBytes of it before any error, and a file that is packed anew by
// another program keeps its identity. Nothing of the archive itself, such as its
// size, its name field or its time, may enter it.

// windowMax bounds what a decoder keeps to look back at. It is what the programs
// zstd and xz use without being told otherwise: zstd reads windows up to 128 MiB
// (zstd(1), --long), and xz -9 makes dictionaries of 64 MiB (xz(1)).
const windowMax = 128 << 20

// packing is one way of compressing.
type packing struct {
	name  string
	magic func(head []byte) bool
	open  func(r *bufio.Reader) (io.Reader, error)
}

// gzMagic begins every gzip member that uses deflate (RFC 1952, section 2.3.1).
var gzMagic = []byte{0x1f, 0x8b, 8}

// headLen is how many bytes packingOf looks at.
const headLen = 10

var packings = []packing{
	{"gzip", prefix(gzMagic), func(r *bufio.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{"zstd", isZstd, openZstd},
	{"xz", prefix([]byte{0xfd, '7', 'z', 'X', 'Z', 0}), openXz}, // The .xz File Format, section 2.1.1.1
	{"bzip2", isBzip2, func(r *bufio.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
}

func prefix(magic []byte) func([]byte) bool {
	return func(head []byte) bool { return bytes.HasPrefix(head, magic) }
}

// isZstd knows a frame, and the skippable frame that pzstd begins with (RFC 8878,
// sections 3.1.1 and 3.1.2).
func isZstd(head []byte) bool {
	return len(head) >= 4 && (bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}))
}

// isBzip2 wants the magic of a first block, or of the end, behind "BZh" and the
// level, since a log may well begin with letters.
func isBzip2(head []byte) bool {
	return len(head) >= 10 && bytes.HasPrefix(head, []byte("BZh")) && head[3] >= '1' && head[3] <= '9' &&
		(bytes.Equal(head[4:10], []byte{0x31, 0x41, 0x59, 0x26, 0x53, 0x59}) ||
			bytes.Equal(head[4:10], []byte{0x17, 0x72, 0x45, 0x38, 0x50, 0x90}))
}

// openZstd decodes in the caller's goroutine, so that nothing is left running
// where a file is not read to its end.
func openZstd(r *bufio.Reader) (io.Reader, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(windowMax))
}

// openXz looks at the dictionary's size before the library makes room for it: in
// the header of the first block, behind the stream's header of 12 bytes (The .xz
// File Format, sections 3.1 and 5.3.1). Programs use one size for all blocks.
func openXz(r *bufio.Reader) (io.Reader, error) {
	head, err := r.Peek(12 + 2)
	if err == nil && head[12] != 0 { // 0: the index, as of an empty file
		head, err = r.Peek(12 + 4*(int(head[12])+1))
	}
	if err != nil {
		return nil, err
	}
	if size := xzDictionary(head[12:]); size > windowMax {
		return nil, fmt.Errorf("needs a dictionary of %d MiB, more than %d: pack it with xz -9 or less", size>>20, windowMax>>20)
	}
	return xz.NewReader(r)
}

// xzDictionary reads the size of the dictionary from the header of a block; 0: it
// is not there. Behind the header's size and flags come the sizes of the block,
// where the flags say so, then the filters, of which a .xz has LZMA2 (number 0x21,
// one byte of properties: the size as two bits of mantissa and an exponent).
func xzDictionary(block []byte) int64 {
	if len(block) < 2 {
		return 0
	}
	rest := block[2:]
	for _, flag := range []byte{0x40, 0x80} {
		if block[1]&flag != 0 {
			_, n := binary.Uvarint(rest)
			rest = rest[max(n, 0):]
		}
	}
	if len(rest) < 3 || rest[0] != 0x21 || rest[1] != 1 {
		return 0
	}
	code := rest[2] & 0x3f
	return int64(2|code&1) << (code/2 + 11)
}

// packingOf tells how a file that begins with head is compressed; nil: it is not.
func packingOf(head []byte) *packing {
	for i := range packings {
		if packings[i].magic(head) {
			return &packings[i]
		}
	}
	return nil
}

// reader decodes r. Its errors are errGzCut where the end is missing, and name the
// packing otherwise.
func (p *packing) reader(r *bufio.Reader) (io.Reader, error) {
	inner, err := p.open(r)
	if err != nil {
		return nil, p.fail(err)
	}
	return &unpacker{p, inner}, nil
}

func (p *packing) fail(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errGzCut
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return fmt.Errorf("zstd: needs a window of more than %d MiB: pack it without --long or --ultra", windowMax>>20)
	}
	return fmt.Errorf("%s: %w", p.name, err)
}

// unpacker puts a decoder's errors into words.
type unpacker struct {
	*packing
	r io.Reader
}

// Read implements io.Reader.
func (u *unpacker) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if err != nil && err != io.EOF {
		err = u.fail(err)
	}
	return n, err
}

// Unpack returns the content of a log that may be compressed by gzip, zstd, xz or
// bzip2, also where several archives stand behind each other. It holds at most
// one window of the decoder, 128 MiB.
func Unpack(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, archiveBlock)
	head, err := b.Peek(headLen)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if p := packingOf(head); p != nil {
		return p.reader(b)
	}
	return b, nil
}

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

// size is how much a reader will give, as far as that is cheap to know: what the
// trailer of gzip says, and at least the compressed size of the others.
func (p *packing) size(r io.ReaderAt, compressed int64) int64 {
	if p.name == "gzip" {
		return gzSize(r, compressed)
	}
	return compressed
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
