package elastic

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/portcullis/portcullis/ingest"
)

const (
	keywordMax = 1024 // bytes of a value that is searched for; Lucene's own limit is 32 766
	textMax    = 8192 // bytes of a value that is only shown
	hexDigits  = "0123456789abcdef"
)

// Builder writes a document: field names with dots, one level deep, on one line.
// Bytes that JSON cannot hold are written as \xHH, and what a field cannot hold as
// it is goes besides, in base64, to portcullis.raw. The zero value is ready.
type Builder struct {
	buf []byte
	raw []rawField
	bad error
}

type rawField struct{ name, value string }

func (b *Builder) name(field string) {
	if len(b.buf) == 0 {
		b.buf = append(b.buf, '{')
	} else {
		b.buf = append(b.buf, ',')
	}
	b.buf = append(b.buf, '"')
	b.buf = append(b.buf, field...) // our own names need no escapes
	b.buf = append(b.buf, '"', ':')
}

// Text adds a string that is shown; an empty one is left out.
func (b *Builder) Text(field, s string) {
	if s != "" {
		b.name(field)
		b.buf = appendString(b.buf, s[:min(len(s), textMax)])
	}
}

// Exact adds a string that is searched for and comes back as it was, whatever its
// bytes; the empty one too.
func (b *Builder) Exact(field, s string) {
	key := exact(s)
	b.name(field)
	b.buf = appendString(b.buf, key)
	if key != s {
		b.Keep(field, s)
	}
}

// Whole adds a string that is shown and comes back as it was; an empty one is left out.
func (b *Builder) Whole(field, s string) {
	b.Text(field, s)
	if len(s) > textMax || !utf8.ValidString(s) {
		b.Keep(field, s)
	}
}

// Keep adds a string, as it was, to portcullis.raw only.
func (b *Builder) Keep(name, s string) { b.raw = append(b.raw, rawField{name, s}) }

// Int adds a number.
func (b *Builder) Int(field string, n int64) {
	b.name(field)
	b.buf = strconv.AppendInt(b.buf, n, 10)
}

// Some adds a number other than 0.
func (b *Builder) Some(field string, n int64) {
	if n != 0 {
		b.Int(field, n)
	}
}

// Float adds a number; one that is not finite makes the document invalid.
func (b *Builder) Float(field string, f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		b.bad = errors.Join(b.bad, errors.New(field+" is no finite number"))
		return
	}
	b.name(field)
	b.buf = strconv.AppendFloat(b.buf, f, 'g', -1, 64)
}

// Time adds a moment in Unix nanoseconds, with the milliseconds that a date has in
// Elasticsearch.
func (b *Builder) Time(field string, ns int64) {
	b.name(field)
	b.buf = append(b.buf, '"')
	b.buf = time.Unix(0, ns).UTC().AppendFormat(b.buf, "2006-01-02T15:04:05.000Z")
	b.buf = append(b.buf, '"')
}

// Addr adds an address, if it is one.
func (b *Builder) Addr(field string, a netip.Addr) {
	if a.IsValid() {
		b.name(field)
		b.buf = append(b.buf, '"')
		b.buf = a.Unmap().WithZone("").AppendTo(b.buf)
		b.buf = append(b.buf, '"')
	}
}

// List adds strings; none are left out.
func (b *Builder) List(field string, list []string) {
	if len(list) == 0 {
		return
	}
	b.name(field)
	b.buf = append(b.buf, '[')
	for i, s := range list {
		if i > 0 {
			b.buf = append(b.buf, ',')
		}
		b.buf = appendString(b.buf, s[:min(len(s), textMax)])
	}
	b.buf = append(b.buf, ']')
}

// JSON adds any value, which must not hold strings that are not UTF-8.
func (b *Builder) JSON(field string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		b.bad = errors.Join(b.bad, err)
		return
	}
	b.name(field)
	b.buf = append(b.buf, data...)
}

// Done ends the document and returns it.
func (b *Builder) Done() ([]byte, error) {
	if len(b.raw) > 0 {
		raw := make(map[string]string, len(b.raw))
		for _, r := range b.raw {
			raw[r.name] = base64.StdEncoding.EncodeToString([]byte(r.value))
		}
		b.JSON("portcullis.raw", raw)
	}
	return append(b.buf, '}'), b.bad
}

// appendString appends a JSON string. Bytes that are not UTF-8 become the text
// \xHH, so that a person sees them.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			default:
				dst = append(dst, `\u00`...)
				dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, s[start:i]...)
			dst = append(dst, `\\x`...)
			dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
			start = i + 1
		}
		i += n
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// exact is the form in which a string is searched for: itself, or its beginning
// and a hash where a keyword cannot hold it.
func exact(s string) string {
	if len(s) <= keywordMax && utf8.ValidString(s) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	head := appendString(nil, s[:min(len(s), 200)])
	return string(head[1:len(head)-1]) + "#sha256:" + hex.EncodeToString(sum[:16])
}

// DocID is an id of what the parts say, in order.
func DocID(parts ...string) string {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// positionSum is a hash of where a line stands.
func positionSum(pos ingest.Position) [sha256.Size]byte {
	buf := make([]byte, 0, 128)
	buf = binary.BigEndian.AppendUint64(buf, pos.File)
	buf = binary.BigEndian.AppendUint64(buf, uint64(pos.Offset))
	return sha256.Sum256(append(buf, pos.Source...))
}

func positionHash(pos ingest.Position) uint64 {
	sum := positionSum(pos)
	return binary.BigEndian.Uint64(sum[24:]) // not the bytes of the id, which stay evenly spread in a sample
}

// Raw is what a field could not hold as it was, by name of the field.
type Raw map[string][]byte

// Text is the value of a field as it was before it was written.
func (r Raw) Text(field, stored string) string {
	if v, ok := r[field]; ok {
		return string(v)
	}
	return stored
}
