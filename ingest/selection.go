package ingest

import (
	"bytes"
	"net/netip"
	"slices"
)

// Remark says of one line what a receiver that sees only a part of the stream
// cannot know.
type Remark struct {
	At    int64 // where the line begins in the file
	What  RemarkKind
	Value int64 // see the kinds
}

// RemarkKind says what a Remark is about.
type RemarkKind uint8

// The kinds of remarks.
const (
	RemarkLate   RemarkKind = iota + 1 // the line came behind the late bound; Value is the last closed second then
	RemarkFuture                       // the line was ahead of all others, and not believed; Value as above
	RemarkTime                         // the line does not say its time; Value is it, Unix nanoseconds
	remarkKinds
)

// Known reports whether a kind is one of the above.
func (k RemarkKind) Known() bool { return k > 0 && k < remarkKinds }

// Line is what the sender of a selection must know of a line.
type Line struct {
	Cursor
	Client  netip.Addr
	Time    int64 // Unix nanoseconds
	Untimed bool  // the line itself does not say its time
	Reason  Reason
	Format  string // by which it was read, as format.Open takes it; "auto": none is found yet
}

// Cursor is a line's place, in the batch and in the file.
type Cursor struct {
	Start, End int   // in the batch's Data, newline included
	At, Size   int64 // in the file, newline included
	Number     int   // of the line in the batch, from 0
}

// Begin is a cursor in front of the batch's first line.
func (b *Batch) Begin() Cursor { return Cursor{At: b.Offset, Number: -1} }

// Next moves the cursor to the next line and reports whether there is one.
func (b *Batch) Next(c *Cursor) bool {
	if c.End == len(b.Data) {
		return false
	}
	c.Number++
	c.At += c.Size
	if c.Number < len(b.Gaps) {
		c.At += int64(b.Gaps[c.Number])
	}
	c.Start, c.End = c.End, len(b.Data)
	if i := bytes.IndexByte(b.Data[c.Start:], '\n'); i >= 0 {
		c.End = c.Start + i + 1
	}
	c.Size = int64(c.End - c.Start)
	if c.Number < len(b.Sizes) {
		c.Size = int64(b.Sizes[c.Number])
	}
	return true
}

// Lines is the number of lines in Data.
func (b *Batch) Lines() int {
	n := bytes.Count(b.Data, []byte{'\n'})
	if len(b.Data) > 0 && b.Data[len(b.Data)-1] != '\n' {
		n++
	}
	return n
}

// End is where in the file the batch ends: what begins before it is in the batch,
// or was left out of it. SkipTo(End()) leaves nothing.
func (b *Batch) End() int64 {
	end := b.Offset + int64(len(b.Data))
	if b.Sizes != nil {
		end = b.Offset
	}
	for _, n := range b.Sizes {
		end += int64(n)
	}
	for _, n := range b.Gaps {
		end += int64(n)
	}
	for i := range b.Rejects {
		end = max(end, b.Rejects[i].Pos.Offset+1)
	}
	return end
}

// SkipTo drops the lines that begin below an offset of the file, and what is said of
// them: they were taken in before.
func (b *Batch) SkipTo(offset int64) {
	b.Remarks = b.Remarks[sortedBelow(b.Remarks, offset):]
	if len(b.Remarks) == 0 {
		b.Remarks = nil
	}
	if slices.ContainsFunc(b.Rejects, func(r Reject) bool { return r.Pos.Offset < offset }) {
		var rest []Reject
		for _, r := range b.Rejects {
			if r.Pos.Offset >= offset {
				rest = append(rest, r)
			}
		}
		b.Rejects = rest
	}
	c, more := b.Begin(), false
	for more = b.Next(&c); more && c.At < offset; {
		more = b.Next(&c)
	}
	if !more {
		b.Offset, b.Data, b.Sizes, b.Gaps = c.At+c.Size, b.Data[len(b.Data):], nil, nil
		return
	}
	b.Offset, b.Data = c.At, b.Data[c.Start:]
	if c.Number < len(b.Gaps) {
		b.Offset -= int64(b.Gaps[c.Number])
	}
	b.Sizes, b.Gaps = from(b.Sizes, c.Number), from(b.Gaps, c.Number)
}

// sortedBelow is the number of remarks about lines that begin below an offset.
func sortedBelow(list []Remark, offset int64) int {
	n, _ := slices.BinarySearchFunc(list, offset, func(r Remark, at int64) int {
		if r.At < at {
			return -1
		}
		return 1
	})
	return n
}

func from(list []int32, n int) []int32 {
	if n >= len(list) {
		return nil
	}
	return list[n:]
}

// Remarked returns the remark of a kind that the batch holds on the line at an
// offset of the file. The remarks before it are dropped from list: ask in the
// order of the lines.
func Remarked(list *[]Remark, at int64, is func(RemarkKind) bool) (Remark, bool) {
	for len(*list) > 0 && (*list)[0].At <= at {
		r := (*list)[0]
		if r.At == at && is(r.What) {
			return r, true
		}
		*list = (*list)[1:]
	}
	return Remark{}, false
}
