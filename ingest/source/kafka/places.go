package kafka

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

// recordBits is how many bits of a position's offset count bytes within one
// record; the bits above are the record's offset in the partition.
const recordBits = 20

// maxRecord is the longest record, so that its bytes fit recordBits; it is also
// the default limit of a line in a file.
const maxRecord = 1 << recordBits

// maxOffset is the last record offset that a position can hold: a partition that
// takes a million records a second reaches it after a hundred days.
const maxOffset = 1<<(63-recordBits) - 1

// places holds the offset of the next record to read by partition. One mark
// carries those of all partitions, since one mark is kept of a source.
type places map[int]int64

// fileOf is the identity of a partition in positions.
func fileOf(topic string, partition int) uint64 {
	sum := sha256.Sum256(strconv.AppendInt([]byte(topic+"\x00"), int64(partition), 10))
	return max(binary.LittleEndian.Uint64(sum[:]), 1)
}

// positionOf is the offset of a record's first byte in positions.
func positionOf(offset int64) int64 { return offset << recordBits }

// ids are the partitions in order.
func (p places) ids() []int { return slices.Sorted(maps.Keys(p)) }

// text appends places as "TOPIC 0:17,1:4" to buf, in the order of ids.
func (p places) text(buf []byte, topic string, ids []int) []byte {
	buf = append(append(buf, topic...), ' ')
	for i, id := range ids {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = append(strconv.AppendInt(buf, int64(id), 10), ':')
		buf = strconv.AppendInt(buf, p[id], 10)
	}
	return buf
}

// errPlace is a mark that is not ours.
var errPlace = errors.New("the saved position is not of this topic")

// parsePlaces reads what text wrote.
func parsePlaces(s, topic string) (places, error) {
	name, list, ok := strings.Cut(s, " ")
	if !ok || name != topic {
		return nil, fmt.Errorf("%w: %.80q", errPlace, s)
	}
	out := places{}
	for pair := range strings.SplitSeq(list, ",") {
		left, right, _ := strings.Cut(pair, ":")
		id, err := strconv.ParseInt(left, 10, 32)
		off, err2 := strconv.ParseInt(right, 10, 64)
		if err != nil || err2 != nil || id < 0 || off < 0 || off > maxOffset {
			return nil, fmt.Errorf("%w: %.80q", errPlace, s)
		}
		out[int(id)] = max(out[int(id)], off)
	}
	return out, nil
}

// placesOf gathers where to go on from the marks of a source. The error tells of
// marks that cannot be used; the others are.
func placesOf(from []ingest.Mark, name, topic string) (places, error) {
	out := places{}
	var errs []error
	for _, m := range from {
		if m.Source != name {
			continue
		}
		one, err := parsePlaces(m.Path, topic)
		if err != nil {
			errs = append(errs, err)
		}
		for id, off := range one {
			out[id] = max(out[id], off)
		}
	}
	return out, errors.Join(errs...)
}
