package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress/lz4"
)

// packer compresses the records of a batch in one go: a frame then says how long its
// content is, and has no checksum beside the batch's own. It is safe for concurrent use.
type packer struct {
	code  int16                                   // in the batch's attributes
	pack  func(dst, plain []byte) ([]byte, error) // appends; nil: records go as they are
	spare spare                                   // for what is to be packed
}

// mostSpare bounds what is kept of memory between batches: what one large message took
// is not kept for good.
const mostSpare = 8 << 20

// packers by their name in the settings.
var packers = map[string]func() (*packer, error){
	"zstd":   newZstd,
	"lz4":    func() (*packer, error) { return &packer{code: 3, pack: packLZ4}, nil },
	"snappy": func() (*packer, error) { return &packer{code: 2, pack: packSnappy}, nil },
	"none":   func() (*packer, error) { return &packer{}, nil },
}

func newZstd() (*packer, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true),
		zstd.WithWindowSize(256<<10), zstd.WithEncoderConcurrency(min(4, runtime.GOMAXPROCS(0))))
	if err != nil {
		return nil, fmt.Errorf("kafka: zstd: %w", err)
	}
	return &packer{code: 4, pack: func(dst, plain []byte) ([]byte, error) { return e.EncodeAll(plain, dst), nil }}, nil
}

func packLZ4(dst, plain []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	w := new(lz4.Codec).NewWriter(out)
	_, err := w.Write(plain)
	if err2 := w.Close(); err == nil {
		err = err2
	}
	return out.Bytes(), err
}

// Kafka's snappy is a row of blocks behind a header, each with its length before it:
// https://github.com/xerial/snappy-java (SnappyOutputStream). Those of others have
// 32 KiB; within larger ones there is more to refer to.
const (
	snappyMagic = "\x82SNAPPY\x00"
	snappyHead  = snappyMagic + "\x00\x00\x00\x01\x00\x00\x00\x01"
	snappyBlock = 256 << 10
)

func packSnappy(dst, plain []byte) ([]byte, error) {
	dst = append(dst, snappyHead...)
	for block := range slices.Chunk(plain, snappyBlock) {
		at := len(dst)
		dst = slices.Grow(dst, 4+s2.MaxEncodedLen(len(block)))[:at+4]
		packed := s2.EncodeSnappy(dst[at+4:cap(dst)], block)
		binary.BigEndian.PutUint32(dst[at:], uint32(len(packed)))
		dst = dst[:at+4+len(packed)]
	}
	return dst, nil
}
