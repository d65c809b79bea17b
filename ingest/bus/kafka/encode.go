package kafka

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/portcullis/portcullis/ingest/bus"
)

// The record batch that a produce request carries, version 2. The library writes
// one as well, but without a producer id, by which a broker knows a repeat:
// https://kafka.apache.org/documentation/#recordbatch
const (
	atLength     = 4 + 8 // the size of the batch stands before it
	atMagic      = atLength + 4 + 4
	atCRC        = atMagic + 1
	atAttributes = atCRC + 4
	atLastDelta  = atAttributes + 2
	atFirstTime  = atLastDelta + 4
	atMaxTime    = atFirstTime + 8
	atProducer   = atMaxTime + 8
	atEpoch      = atProducer + 8
	atSequence   = atEpoch + 2
	atCount      = atSequence + 4
	headSize     = atCount + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encoder makes record batches; for one goroutine.
type encoder struct {
	packer *packer
	out    []byte
}

// batch encodes messages as the records of one batch, without a producer. The
// bytes are the encoder's, until the next call or lend.
func (e *encoder) batch(messages []entry, now time.Time) ([]byte, error) {
	if cap(e.out) > mostSpare {
		e.out = nil
	}
	b := append(e.out[:0], make([]byte, headSize)...)
	if e.packer.pack == nil {
		b = appendRecords(b, messages)
	} else {
		plain := appendRecords(e.packer.spare.get(), messages)
		var err error
		b, err = e.packer.pack(b, plain)
		e.packer.spare.put(plain)
		if err != nil {
			return nil, fmt.Errorf("kafka: encode: %w", err)
		}
	}
	e.out = b
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-atLength-4))
	binary.BigEndian.PutUint32(b[atLength+4:], ^uint32(0)) // no leader epoch
	b[atMagic] = 2
	binary.BigEndian.PutUint16(b[atAttributes:], uint16(e.packer.code))
	binary.BigEndian.PutUint32(b[atLastDelta:], uint32(len(messages)-1))
	binary.BigEndian.PutUint64(b[atFirstTime:], uint64(now.UnixMilli()))
	binary.BigEndian.PutUint64(b[atMaxTime:], uint64(now.UnixMilli()))
	binary.BigEndian.PutUint32(b[atCount:], uint32(len(messages)))
	return b, nil
}

// lend leaves the bytes of the last batch to whoever may still read them.
func (e *encoder) lend() { e.out = nil }

// appendRecords appends the records of messages.
func appendRecords(dst []byte, messages []entry) []byte {
	size := 0
	for i := range messages {
		size += int(messages[i].size)
	}
	dst = slices.Grow(dst, size)
	for i := range messages {
		dst = appendRecord(dst, &messages[i].message, i)
	}
	return dst
}

// producer is who wrote a batch; id -1: not said.
type producer struct {
	id       int64
	epoch    int16
	sequence int32 // of the next record
}

// stamp makes the batch that of a producer.
func stamp(b []byte, p producer) {
	sequence := p.sequence
	if p.id < 0 {
		sequence = -1
	}
	binary.BigEndian.PutUint64(b[atProducer:], uint64(p.id))
	binary.BigEndian.PutUint16(b[atEpoch:], uint16(p.epoch))
	binary.BigEndian.PutUint32(b[atSequence:], uint32(sequence))
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], castagnoli))
}

// after is the producer behind n more records; sequences wrap round.
func (p producer) after(n int) producer {
	p.sequence = int32((int64(p.sequence) + int64(n)) & (1<<31 - 1))
	return p
}

// appendRecord appends one message.
func appendRecord(dst []byte, m *bus.Message, index int) []byte {
	size := 1 + 1 + varintSize(int64(index)) + sizeOfBytes(m.Key) + sizeOfBytes(m.Value) + varintSize(int64(len(m.Headers)))
	for _, h := range m.Headers {
		size += varintSize(int64(len(h.Key))) + len(h.Key) + sizeOfBytes(h.Value)
	}
	dst = binary.AppendVarint(dst, int64(size))
	dst = append(dst, 0, 0) // attributes, and the time since the batch's
	dst = binary.AppendVarint(dst, int64(index))
	dst = appendBytes(dst, m.Key)
	dst = appendBytes(dst, m.Value)
	dst = binary.AppendVarint(dst, int64(len(m.Headers)))
	for _, h := range m.Headers {
		dst = binary.AppendVarint(dst, int64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendBytes(dst, h.Value)
	}
	return dst
}

// appendBytes appends a length and bytes; nil is told apart from empty.
func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

func sizeOfBytes(b []byte) int {
	if b == nil {
		return varintSize(-1)
	}
	return varintSize(int64(len(b))) + len(b)
}

func varintSize(v int64) int {
	var b [binary.MaxVarintLen64]byte
	return binary.PutVarint(b[:], v)
}

// sizeOf is what a message takes in a queue.
func sizeOf(m *bus.Message) int64 {
	n := 64 + len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		n += 16 + len(h.Key) + len(h.Value)
	}
	return int64(n)
}
