package cliout

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// JSONL writes one JSON object a line, buffered: nothing is written for sure
// before Flush. It is not for concurrent use.
type JSONL struct {
	w       *bufio.Writer
	scratch bytes.Buffer
	enc     *json.Encoder
}

// NewJSONL returns a writer of JSON lines to w.
func NewJSONL(w io.Writer) *JSONL {
	j := &JSONL{w: bufio.NewWriterSize(w, 64<<10)}
	j.enc = json.NewEncoder(&j.scratch)
	j.enc.SetEscapeHTML(false)
	return j
}

// Write adds one object. Characters that would drive or reorder a terminal are
// written as \u escapes, which every reader of JSON undoes.
func (j *JSONL) Write(v any) error {
	j.scratch.Reset()
	if err := j.enc.Encode(v); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	if err := j.copy(j.scratch.Bytes()); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}

// copy writes an encoded object. Beyond ASCII only strings hold anything, so an
// escape is right wherever such a character stands.
func (j *JSONL) copy(data []byte) error {
	for len(data) > 0 {
		n := 0
		for n < len(data) && data[n] < 0x7f {
			n++
		}
		if _, err := j.w.Write(data[:n]); err != nil {
			return err
		}
		if data = data[n:]; len(data) == 0 {
			break
		}
		r, size := utf8.DecodeRune(data)
		part := data[:size]
		switch {
		case printable(r):
		case r >= 0x10000:
			hi, lo := 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff
			part = fmt.Appendf(nil, `\u%04x\u%04x`, hi, lo)
		default:
			part = fmt.Appendf(nil, `\u%04x`, r)
		}
		if _, err := j.w.Write(part); err != nil {
			return err
		}
		data = data[size:]
	}
	return nil
}

// Flush writes what is buffered.
func (j *JSONL) Flush() error {
	if err := j.w.Flush(); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}
