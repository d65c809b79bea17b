package syslog

import "bytes"

// frames cuts a stream into messages. Which of the two framings of RFC 6587 a
// message has is told by its beginning: octet counting is "LENGTH <PRI>...", all
// else is a line that ends with LF or, as some senders do it, NUL.
type frames struct {
	max  int // longest message
	buf  []byte
	skip int  // bytes of an over-long counted message that are still to come
	line bool // within an over-long line
}

// longestCount is how many digits a length may have.
const longestCount = 8

// space returns where to read the next bytes to; fed says how many came.
func (f *frames) space() []byte {
	const chunk = 16 << 10
	if cap(f.buf)-len(f.buf) < chunk/4 {
		grown := make([]byte, len(f.buf), max(2*cap(f.buf), chunk))
		copy(grown, f.buf)
		f.buf = grown
	}
	return f.buf[len(f.buf):cap(f.buf)]
}

func (f *frames) fed(n int) { f.buf = f.buf[:len(f.buf)+n] }

// take calls got for each whole message and long for each that was over max.
// With final the stream is over: what is left is a message too, if it is a line.
// What got is given is valid until space is called.
func (f *frames) take(final bool, got func([]byte), long func()) {
	b := f.buf
	for len(b) > 0 {
		n, msg, ok := f.next(b, final, long)
		if n == 0 {
			break
		}
		if ok {
			got(msg)
		}
		b = b[n:]
	}
	f.buf = f.buf[:copy(f.buf, b)]
}

// next looks at the beginning of b. n is how far it got, 0 = more is needed.
func (f *frames) next(b []byte, final bool, long func()) (n int, msg []byte, ok bool) {
	if f.skip > 0 {
		n = min(f.skip, len(b))
		f.skip -= n
		return n, nil, false
	}
	if !f.line {
		size, head, kind := count(b)
		switch {
		case kind == counted && size > f.max:
			long()
			f.skip = head + size
			return f.next(b, final, long)
		case kind == counted && len(b) < head+size, kind == unsure && !final:
			return 0, nil, false
		case kind == counted:
			return head + size, b[head : head+size], true
		}
	}
	return f.nextLine(b, final, long)
}

// nextLine takes a message that ends with LF or NUL.
func (f *frames) nextLine(b []byte, final bool, long func()) (n int, msg []byte, ok bool) {
	end := bytes.IndexByte(b, '\n')
	seen := b
	if end >= 0 {
		seen = b[:end]
	}
	if nul := bytes.IndexByte(seen, 0); nul >= 0 {
		end = nul
	}
	if end < 0 && !final {
		if len(b) <= f.max && !f.line {
			return 0, nil, false
		}
		if !f.line {
			long()
		}
		f.line = true
		return len(b), nil, false
	}
	n = end + 1
	if end < 0 {
		end, n = len(b), len(b)
	}
	within := f.line
	f.line = false
	if !within && end > f.max {
		long()
		within = true
	}
	return n, b[:end], !within
}

// kinds of a beginning.
const (
	asLine = iota
	counted
	unsure // it depends on bytes that have not come yet
)

// count reads "LENGTH SP" if a "<" follows; head is how long that is. A line may
// begin with a number as well, but then not with a priority behind it.
func count(b []byte) (size, head, kind int) {
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9' && i < longestCount && (i > 0 || c != '0'):
			size = size*10 + int(c-'0')
		case c == ' ' && i > 0:
			if i+1 == len(b) {
				return 0, 0, unsure
			}
			if b[i+1] != '<' {
				return 0, 0, asLine
			}
			return size, i + 1, counted
		default:
			return 0, 0, asLine
		}
	}
	return 0, 0, unsure
}
