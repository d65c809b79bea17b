package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/klauspost/compress/s2"
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
	case code == int8(compress.Snappy):
		return unpackSnappy(dst, packed)
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

// unpackSnappy appends the blocks of Kafka's form of snappy, see packSnappy, or the one
// block without a header that some clients write.
func unpackSnappy(dst, packed []byte) ([]byte, error) {
	if len(packed) < len(snappyHead) || string(packed[:len(snappyMagic)]) != snappyMagic {
		return appendSnappy(dst, packed, len(dst))
	}
	from := len(dst)
	for packed = packed[len(snappyHead):]; len(packed) > 0; {
		if len(packed) < 4 {
			return dst, errShort
		}
		size := binary.BigEndian.Uint32(packed)
		if packed = packed[4:]; uint64(size) > uint64(len(packed)) {
			return dst, errShort
		}
		var err error
		if dst, err = appendSnappy(dst, packed[:size], from); err != nil {
			return dst, err
		}
		packed = packed[size:]
	}
	return dst, nil
}

// appendSnappy appends what a block becomes to what stands from there on.
func appendSnappy(dst, block []byte, from int) ([]byte, error) {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return dst, err
	}
	at := len(dst)
	if n > mostPlain-(at-from) {
		return dst, fmt.Errorf("more than %d bytes", mostPlain)
	}
	dst = slices.Grow(dst, n)
	if _, err := s2.Decode(dst[at:at+n], block); err != nil {
		return dst, err
	}
	return dst[:at+n], nil
}
