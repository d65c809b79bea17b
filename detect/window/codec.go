package window

import (
	"encoding/binary"
	"errors"
	"math"
	"unsafe"
)

// ErrCorrupt says that a snapshot ended early or holds an impossible length.
var ErrCorrupt = errors.New("window: snapshot is damaged")

// Codec writes or reads a snapshot with the same calls, so that the two
// directions cannot drift apart. A reading Codec turns into a no-op at the
// first error, which Err reports.
type Codec struct {
	buf     []byte
	reading bool
	borrows bool // strings that are read are parts of buf
	err     error
}

// NewWriter returns a Codec that appends to buf.
func NewWriter(buf []byte) *Codec { return &Codec{buf: buf} }

// NewReader returns a Codec that reads data. Strings it yields are copies.
func NewReader(data []byte) *Codec { return &Codec{buf: data, reading: true} }

// NewBorrower returns a Codec that reads data. Strings it yields are parts of data:
// they are valid as long as that is not written to.
func NewBorrower(data []byte) *Codec { return &Codec{buf: data, reading: true, borrows: true} }

// Reading reports the direction.
func (c *Codec) Reading() bool { return c.reading }

// Bytes returns what was written, or what is left to read.
func (c *Codec) Bytes() []byte { return c.buf }

// Err returns the first error of reading.
func (c *Codec) Err() error { return c.err }

// Fail makes a reading Codec fail: what it read cannot be true.
func (c *Codec) Fail() { c.fail() }

// Done makes a reading Codec fail if something is left.
func (c *Codec) Done() {
	if c.reading && len(c.buf) > 0 {
		c.fail()
	}
}

func (c *Codec) fail() {
	if c.err == nil {
		c.err = ErrCorrupt
	}
	c.buf = nil
}

// U64 passes an unsigned number.
func (c *Codec) U64(v *uint64) {
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, *v)
		return
	}
	n, w := binary.Uvarint(c.buf)
	if w <= 0 {
		c.fail()
		*v = 0
		return
	}
	*v, c.buf = n, c.buf[w:]
}

// I64 passes a signed number.
func (c *Codec) I64(v *int64) {
	u := uint64(*v)<<1 ^ uint64(*v>>63)
	c.U64(&u)
	*v = int64(u>>1) ^ -int64(u&1)
}

// U32 passes an unsigned number of 32 bits.
func (c *Codec) U32(v *uint32) {
	u := uint64(*v)
	c.U64(&u)
	*v = uint32(u)
}

// U16 passes an unsigned number of 16 bits.
func (c *Codec) U16(v *uint16) {
	u := uint64(*v)
	c.U64(&u)
	*v = uint16(u)
}

// U8 passes a byte.
func (c *Codec) U8(v *uint8) {
	u := uint64(*v)
	c.U64(&u)
	*v = uint8(u)
}

// Bool passes a flag.
func (c *Codec) Bool(v *bool) {
	var u uint64
	if *v {
		u = 1
	}
	c.U64(&u)
	*v = u != 0
}

// F64 passes a floating-point number, bit for bit.
func (c *Codec) F64(v *float64) {
	u := math.Float64bits(*v)
	c.U64(&u)
	*v = math.Float64frombits(u)
}

// String passes a string.
func (c *Codec) String(s *string) {
	n := uint64(len(*s))
	c.U64(&n)
	if !c.reading {
		c.buf = append(c.buf, *s...)
		return
	}
	if n > uint64(len(c.buf)) {
		c.fail()
		*s = ""
		return
	}
	if c.borrows {
		*s = unsafe.String(unsafe.SliceData(c.buf), n)
	} else {
		*s = string(c.buf[:n])
	}
	c.buf = c.buf[n:]
}

// Len passes the length of a list whose elements take at least one byte each.
func (c *Codec) Len(n int) int {
	u := uint64(n)
	c.U64(&u)
	if c.reading && u > uint64(len(c.buf)) {
		c.fail()
		return 0
	}
	return int(u)
}

// Block passes a length-prefixed part, written by write or handed to read as a
// Codec of its own, so that a reader may skip what it does not know.
func (c *Codec) Block(write func(*Codec), read func(*Codec)) {
	if !c.reading {
		inner := NewWriter(nil)
		write(inner)
		n := uint64(len(inner.buf))
		c.U64(&n)
		c.buf = append(c.buf, inner.buf...)
		return
	}
	var n uint64
	c.U64(&n)
	if n > uint64(len(c.buf)) {
		c.fail()
		return
	}
	part := c.buf[:n]
	c.buf = c.buf[n:]
	if c.err == nil {
		inner := NewReader(part)
		if read(inner); inner.err != nil {
			c.fail()
		}
	}
}
