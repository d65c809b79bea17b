package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
)

// unpacker decompresses the records of a batch, whatever their writer chose. It is safe
// for concurrent use.
type unpacker struct{ zstd *zstd.Decoder }

// mostPlain bounds what a batch becomes: a few bytes can claim to be any amount.
const mostPlain = 64 << 20

func newUnpacker() (*unpacker, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(min(4, runtime.GOMAXPROCS(0))), zstd.WithDecoderMaxMemory(mostPlain))
	if err != nil {
		return nil, fmt.Errorf("kafka: zstd: %w", err)
	}
	return &unpacker{d}, nil
}

// unpack appends what was packed to dst.
func (u *unpacker) unpack(dst []byte, code int8, packed []byte) ([]byte, error) {
	switch {
	case code == 0:
		return append(dst, packed...), nil
	case code == int8(compress.Zstd):
		return u.zstd.DecodeAll(packed, dst)
	case int(code) >= len(compress.Codecs):
		return dst, fmt.Errorf("compression %d is not known", code)
	}
	r := compress.Codecs[code].NewReader(bytes.NewReader(packed))
	out := bytes.NewBuffer(slices.Grow(dst, min(5*len(packed), mostPlain))) // about what log lines become
	n, err := io.Copy(out, io.LimitReader(r, mostPlain+1))
	if n > mostPlain {
		err = fmt.Errorf("more than %d bytes", mostPlain)
	}
	return out.Bytes(), errors.Join(err, r.Close())
}
