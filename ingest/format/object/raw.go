package object

import (
	"bytes"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// raw takes the request line and X-Forwarded-For of a request that is logged whole,
// in base64 (RFC 4648, section 4). The head of one that is none is not an error: the
// gateway cuts long ones.
func (r *Reader) raw(v []byte, ev *ingest.Event) {
	text, ok := r.sink.Mem.Base64(v)
	if !ok {
		return
	}
	line, rest, _ := bytes.Cut(text, []byte("\n"))
	r.sink.Text(field.Request, bytes.TrimSuffix(line, []byte("\r")), ev)
	const name = "x-forwarded-for:"
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
			break // the body begins
		}
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			v := bytes.TrimSpace(line[len(name):])
			if ev.Chain != "" {
				ev.Chain = r.sink.Mem.Extend(ev.Chain, ", ", v)
			} else {
				ev.Chain = field.Str(v)
			}
		}
	}
}
