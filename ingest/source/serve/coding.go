package serve

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Codings are the content codings that are understood (RFC 9110 section 8.4.1,
// RFC 8878 for zstd), as Accept-Encoding has them.
const Codings = "gzip, zstd, deflate, identity"

// maxWindow is the largest zstd window: what RFC 8878 section 3.1.1.1.2 wants
// every decoder to support.
const maxWindow = 8 << 20

// ErrPlain says that a body is too large after decompression.
var ErrPlain = errors.New("serve: too large after decompression")

// ErrCoding says that a body is not what its Content-Encoding says.
var ErrCoding = errors.New("serve: damaged compression")

// zstds keeps decoders, which are dear to make. One without concurrency starts
// no goroutine, so one that is dropped leaks nothing.
var zstds = sync.Pool{}

// codingOf is a Content-Encoding in lower case; codings are case-insensitive.
func codingOf(header string) string { return strings.ToLower(strings.TrimSpace(header)) }

// Understands reports whether Body knows a Content-Encoding.
func Understands(header string) bool {
	switch codingOf(header) {
	case "", "identity", "gzip", "x-gzip", "deflate", "zstd":
		return true
	}
	return false
}

// Body returns a reader of a body without its content coding, which must be one
// that is understood, and what gives the decoder back. It ends with ErrPlain
// behind max bytes, whatever the compression promised.
func Body(body io.Reader, coding string, max int64) (r io.Reader, free func()) {
	r, free = decoded(body, coding)
	return &bounded{r: r, left: max}, free
}

// decoded is Body without the bound.
func decoded(body io.Reader, header string) (r io.Reader, free func()) {
	free = func() {}
	switch codingOf(header) {
	case "gzip", "x-gzip":
		return &late{open: func() (io.Reader, error) { return gzip.NewReader(body) }}, free
	case "deflate":
		return &late{open: func() (io.Reader, error) { return inflate(body) }}, free
	case "zstd":
		d, err := zstdReader(body)
		if err != nil {
			return &late{open: func() (io.Reader, error) { return nil, err }}, free
		}
		return &late{r: d}, func() { _ = d.Reset(nil); zstds.Put(d) }
	}
	return body, free
}

// zstdReader takes a decoder from the pool.
func zstdReader(body io.Reader) (*zstd.Decoder, error) {
	if d, ok := zstds.Get().(*zstd.Decoder); ok {
		return d, d.Reset(body)
	}
	return zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow))
}

// inflate reads "deflate": the zlib format (RFC 9110 section 8.4.1.2), and the
// raw one that some senders send instead.
func inflate(body io.Reader) (io.Reader, error) {
	b := bufio.NewReader(body)
	head, err := b.Peek(2)
	if err == io.EOF && len(head) > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	if head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 { // RFC 1950 section 2.2
		return zlib.NewReader(b)
	}
	return flate.NewReader(b), nil
}

// late opens a decoder at the first read, for a sender that waits for 100
// Continue must not be kept waiting by a decoder that wants a header. It tells
// damaged compression from a body that could not be read.
type late struct {
	open func() (io.Reader, error)
	r    io.Reader
}

// Read implements io.Reader.
func (l *late) Read(p []byte) (int, error) {
	if l.r == nil {
		r, err := l.open()
		if err != nil {
			return 0, codingError(err)
		}
		l.r = r
	}
	n, err := l.r.Read(p)
	return n, codingError(err)
}

// codingError wraps what a decoder says of its input.
func codingError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil, err == io.EOF, errors.As(err, &tooLarge), IsTimeout(err):
		return err
	}
	return fmt.Errorf("%w: %w", ErrCoding, err)
}

// IsTimeout reports whether a sender was too slow.
func IsTimeout(err error) bool {
	var slow interface{ Timeout() bool }
	return errors.As(err, &slow) && slow.Timeout()
}

// bounded ends with ErrPlain behind max bytes.
type bounded struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrPlain
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, ErrPlain
	}
	return n, err
}
