package bus

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/portcullis/portcullis/ingest"
)

// The headers of a message of access-log lines, in this order.
const (
	HeaderSource  = "source"  // name of the source
	HeaderFile    = "file"    // identity of the file, hexadecimal
	HeaderOffset  = "offset"  // of the first line, decimal
	HeaderMark    = "mark"    // ingest.Mark as JSON: where to resume behind the message
	HeaderFormat  = "format"  // of the lines, as in the config; empty: as the reader has it for the source
	HeaderLag     = "lag"     // bytes of the source that were unread behind it, decimal
	HeaderNewest  = "newest"  // newest event time of the stream that the sender has read, Unix seconds, decimal; only where said
	HeaderGaps    = "gaps"    // bytes of the file left out before each line, as unsigned varints; only of a selection of lines
	HeaderRemarks = "remarks" // what only the sender knows of single lines, see Batch.Remarks: for each, as varints, the offset less that of the one before (unsigned), the kind (unsigned), the value (signed); only where there are any
	HeaderSizes   = "sizes"   // bytes of each line in the file, as JSON; only where redaction changed them
	HeaderRejects = "rejects" // lines the source refused, as JSON; only where there are any
)

// reject is a Reject as it travels: the sample may not be UTF-8, so it goes as
// base64, and source and file are in the headers already.
type reject struct {
	Offset int64         `json:"offset"`
	Reason ingest.Reason `json:"reason"`
	Length int64         `json:"length"`
	Sample []byte        `json:"sample"`
}

// FromBatch makes a message of a batch without copying its lines. The message
// takes over Data and Free: the batch is empty afterwards and needs no Release.
func FromBatch(topic string, b *ingest.Batch) (Message, error) {
	mark, err := json.Marshal(b.Mark)
	if err != nil {
		return Message{}, fmt.Errorf("bus: mark of a batch: %w", err)
	}
	m := Message{Topic: topic, Value: b.Data, Free: b.Free, Headers: []Header{
		{HeaderSource, []byte(b.Source)},
		{HeaderFile, strconv.AppendUint(nil, b.File, 16)},
		{HeaderOffset, strconv.AppendInt(nil, b.Offset, 10)},
		{HeaderMark, mark},
		{HeaderFormat, []byte(b.Format)},
		{HeaderLag, strconv.AppendInt(nil, b.Lag, 10)},
	}}
	if b.Newest != 0 {
		m.Headers = append(m.Headers, Header{HeaderNewest, strconv.AppendInt(nil, b.Newest, 10)})
	}
	if b.Gaps != nil {
		m.Headers = append(m.Headers, Header{HeaderGaps, appendGaps(nil, b.Gaps)})
	}
	if b.Remarks != nil {
		m.Headers = append(m.Headers, Header{HeaderRemarks, appendRemarks(nil, b)})
	}
	if b.Sizes != nil {
		value, err := json.Marshal(b.Sizes)
		if err != nil {
			return Message{}, fmt.Errorf("bus: sizes of a batch: %w", err)
		}
		m.Headers = append(m.Headers, Header{HeaderSizes, value})
	}
	if len(b.Rejects) > 0 {
		list := make([]reject, len(b.Rejects))
		for i, r := range b.Rejects {
			list[i] = reject{r.Pos.Offset, r.Reason, r.Length, []byte(r.Sample)}
		}
		value, err := json.Marshal(list)
		if err != nil {
			return Message{}, fmt.Errorf("bus: rejects of a batch: %w", err)
		}
		m.Headers = append(m.Headers, Header{HeaderRejects, value})
	}
	b.Data, b.Free = nil, nil
	return m, nil
}

// ToBatch reads a message of access-log lines. The batch borrows the message's
// bytes and has no Free: it is valid until the message is committed.
func ToBatch(m *Message) (b ingest.Batch, err error) {
	b = ingest.Batch{Source: string(m.Header(HeaderSource)), Format: string(m.Header(HeaderFormat)), Data: m.Value}
	fail := func(what string, err error) (ingest.Batch, error) {
		return ingest.Batch{}, fmt.Errorf("bus: message %s/%d/%d: header %s: %w (was it written by another program?)",
			m.Topic, m.Partition, m.Offset, what, err)
	}
	if b.File, err = strconv.ParseUint(string(m.Header(HeaderFile)), 16, 64); err != nil {
		return fail(HeaderFile, err)
	}
	for _, h := range []struct {
		key string
		to  *int64
		may bool // be absent
	}{{HeaderOffset, &b.Offset, false}, {HeaderLag, &b.Lag, false}, {HeaderNewest, &b.Newest, true}} {
		value := m.Header(h.key)
		if value == nil && h.may {
			continue
		}
		if *h.to, err = strconv.ParseInt(string(value), 10, 64); err != nil {
			return fail(h.key, err)
		}
	}
	if err = json.Unmarshal(m.Header(HeaderMark), &b.Mark); err != nil {
		return fail(HeaderMark, err)
	}
	for _, h := range []struct {
		key  string
		read func(*ingest.Batch, []byte) error
	}{{HeaderSizes, readSizes}, {HeaderGaps, readGaps}, {HeaderRemarks, readRemarks}, {HeaderRejects, readRejects}} {
		if value := m.Header(h.key); value != nil {
			if err = h.read(&b, value); err != nil {
				return fail(h.key, err)
			}
		}
	}
	return b, nil
}

func readSizes(b *ingest.Batch, value []byte) error {
	if err := json.Unmarshal(value, &b.Sizes); err != nil {
		return err
	}
	for _, n := range b.Sizes {
		if n < 0 {
			return fmt.Errorf("a line of %d bytes", n)
		}
	}
	return perLine(b, "sizes", len(b.Sizes))
}

func perLine(b *ingest.Batch, what string, n int) error {
	if lines := b.Lines(); n != lines {
		return fmt.Errorf("%d %s for %d lines", n, what, lines)
	}
	return nil
}

func readRejects(b *ingest.Batch, value []byte) error {
	var list []reject
	if err := json.Unmarshal(value, &list); err != nil {
		return err
	}
	for _, r := range list {
		b.Rejects = append(b.Rejects, ingest.Reject{
			Pos:    ingest.Position{Source: b.Source, File: b.File, Offset: r.Offset},
			Reason: r.Reason, Length: r.Length, Sample: string(r.Sample),
		})
	}
	return nil
}
