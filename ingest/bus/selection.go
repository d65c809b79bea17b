package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/portcullis/portcullis/ingest"
)

func appendGaps(out []byte, gaps []int32) []byte {
	for _, n := range gaps {
		out = binary.AppendUvarint(out, uint64(n))
	}
	return out
}

func readGaps(b *ingest.Batch, value []byte) error {
	n := 0
	for _, c := range value {
		if c < 0x80 { // the last byte of a number
			n++
		}
	}
	b.Gaps = make([]int32, 0, n)
	for len(value) > 0 {
		n, w := binary.Uvarint(value)
		if w <= 0 || n > math.MaxInt32 {
			return errors.New("a gap is not a number of bytes")
		}
		b.Gaps, value = append(b.Gaps, int32(n)), value[w:]
	}
	return perLine(b, "gaps", len(b.Gaps))
}

func appendRemarks(out []byte, b *ingest.Batch) []byte {
	at := b.Offset
	for _, r := range b.Remarks {
		out = binary.AppendUvarint(out, uint64(r.At-at))
		out = binary.AppendUvarint(out, uint64(r.What))
		out = binary.AppendVarint(out, r.Value)
		at = r.At
	}
	return out
}

func readRemarks(b *ingest.Batch, value []byte) error {
	at := b.Offset
	for len(value) > 0 {
		step, n := binary.Uvarint(value)
		kind, k := binary.Uvarint(value[max(n, 0):])
		to, v := binary.Varint(value[max(n, 0)+max(k, 0):])
		switch {
		case n <= 0 || k <= 0 || v <= 0 || step > math.MaxInt64 || at+int64(step) < at:
			return errors.New("a remark is cut off, or out of order")
		case kind > math.MaxUint8 || !ingest.RemarkKind(kind).Known():
			return fmt.Errorf("a remark of kind %d, which a later version writes: update this program first", kind)
		}
		at += int64(step)
		b.Remarks = append(b.Remarks, ingest.Remark{At: at, What: ingest.RemarkKind(kind), Value: to})
		value = value[n+k+v:]
	}
	return nil
}
