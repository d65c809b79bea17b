package bus

import (
	"bytes"
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
	HeaderFormat  = "format"  // of the lines, as in the config
	HeaderLag     = "lag"     // bytes of the source that were unread behind it, decimal
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
func FromBatch(topic, format string, b *ingest.Batch) (Message, error) {
	mark, err := json.Marshal(b.Mark)
	if err != nil {
		return Message{}, fmt.Errorf("bus: mark of a batch: %w", err)
	}
	m := Message{Topic: topic, Value: b.Data, Free: b.Free, Headers: []Header{
		{HeaderSource, []byte(b.Source)},
		{HeaderFile, strconv.AppendUint(nil, b.File, 16)},
		{HeaderOffset, strconv.AppendInt(nil, b.Offset, 10)},
		{HeaderMark, mark},
		{HeaderFormat, []byte(format)},
		{HeaderLag, strconv.AppendInt(nil, b.Lag, 10)},
	}}
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
func ToBatch(m *Message) (b ingest.Batch, format string, err error) {
	b = ingest.Batch{Source: string(m.Header(HeaderSource)), Data: m.Value}
	fail := func(what string, err error) (ingest.Batch, string, error) {
		return ingest.Batch{}, "", fmt.Errorf("bus: message %s/%d/%d: header %s: %w (was it written by another program?)",
			m.Topic, m.Partition, m.Offset, what, err)
	}
	if b.File, err = strconv.ParseUint(string(m.Header(HeaderFile)), 16, 64); err != nil {
		return fail(HeaderFile, err)
	}
	if b.Offset, err = strconv.ParseInt(string(m.Header(HeaderOffset)), 10, 64); err != nil {
		return fail(HeaderOffset, err)
	}
	if b.Lag, err = strconv.ParseInt(string(m.Header(HeaderLag)), 10, 64); err != nil {
		return fail(HeaderLag, err)
	}
	if err = json.Unmarshal(m.Header(HeaderMark), &b.Mark); err != nil {
		return fail(HeaderMark, err)
	}
	if value := m.Header(HeaderSizes); value != nil {
		if err = json.Unmarshal(value, &b.Sizes); err == nil && len(b.Sizes) != bytes.Count(b.Data, []byte("\n")) {
			err = fmt.Errorf("%d sizes for %d lines", len(b.Sizes), bytes.Count(b.Data, []byte("\n")))
		}
		if err != nil {
			return fail(HeaderSizes, err)
		}
	}
	if value := m.Header(HeaderRejects); value != nil {
		var list []reject
		if err = json.Unmarshal(value, &list); err != nil {
			return fail(HeaderRejects, err)
		}
		for _, r := range list {
			b.Rejects = append(b.Rejects, ingest.Reject{
				Pos:    ingest.Position{Source: b.Source, File: b.File, Offset: r.Offset},
				Reason: r.Reason, Length: r.Length, Sample: string(r.Sample),
			})
		}
	}
	return b, string(m.Header(HeaderFormat)), nil
}
