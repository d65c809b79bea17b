package kafka

import (
	"encoding/binary"
	"fmt"

	"github.com/portcullis/portcullis/ingest/bus"
)

// batchHead is a record batch as it came.
type batchHead struct {
	base, last int64 // offsets
	code       int8  // of its compression
	control    bool  // a marker that ends a transaction: no message
	count      int
	records    []byte // compressed; nil where the batch is cut off
}

// readBatch reads the first of a row of record batches, and returns the others.
func readBatch(b []byte) (h batchHead, rest []byte, err error) {
	const lead = 4 // the places of fields count a size in front
	if len(b) < atCRC-lead {
		return h, nil, nil
	}
	if magic := b[atMagic-lead]; magic != 2 {
		return h, nil, fmt.Errorf("a record batch of format %d, which brokers of before 2017 wrote: is message.format.version of the topic set?", magic)
	}
	size := int64(binary.BigEndian.Uint32(b[atLength-lead:])) + atLength
	if size > int64(len(b)) {
		return h, nil, nil
	}
	if size < headSize-lead {
		return h, nil, errShort
	}
	attributes := binary.BigEndian.Uint16(b[atAttributes-lead:])
	h.base = int64(binary.BigEndian.Uint64(b))
	h.last = h.base + int64(int32(binary.BigEndian.Uint32(b[atLastDelta-lead:])))
	h.code, h.control = int8(attributes&7), attributes&0x20 != 0
	h.count = int(int32(binary.BigEndian.Uint32(b[atCount-lead:])))
	h.records = b[headSize-lead : size : size]
	if h.count < 0 || h.last < h.base {
		return h, nil, fmt.Errorf("a record batch at offset %d of %d records up to offset %d", h.base, h.count, h.last)
	}
	return h, b[size:], nil
}

// cutter cuts bytes off a buffer. Where they do not suffice it gives zeros, and says so.
type cutter struct {
	b     []byte
	short bool
}

func (c *cutter) bytes(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.short, c.b = true, nil
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

func (c *cutter) uint16() uint16 {
	if b := c.bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cutter) int32() int32 {
	if b := c.bytes(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (c *cutter) int64() int64 {
	if b := c.bytes(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (c *cutter) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.short, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

// field is a length and bytes; nil is told apart from empty.
func (c *cutter) field() []byte {
	n := c.varint()
	if n < 0 {
		return nil
	}
	return c.bytes(int(min(n, 1<<31)))
}

// record reads one record into a message, and returns its place in the batch.
func (c *cutter) record(m *bus.Message) (delta int64) {
	r := cutter{b: c.bytes(int(min(c.varint(), 1<<31)))}
	r.bytes(1) // attributes
	r.varint() // time since the batch's
	delta = r.varint()
	m.Key, m.Value = r.field(), r.field()
	if n := r.varint(); n > 0 && n <= int64(len(r.b)) { // each takes a byte at least
		m.Headers = make([]bus.Header, n)
		for i := range m.Headers {
			m.Headers[i] = bus.Header{Key: string(r.field()), Value: r.field()}
		}
	} else if n != 0 {
		r.short = true
	}
	c.short = c.short || r.short
	return delta
}
