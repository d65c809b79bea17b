package push

import "bytes"

// mode is how a body is cut into records.
type mode uint8

const (
	modeSniff  mode = iota // the first bytes tell
	modeText               // each line is a record
	modeNDJSON             // each line is a JSON object
	modeJSON               // objects one after another, over as many lines as they like, or arrays of them
)

// taker is told the records of a body, piece by piece.
type taker interface {
	// add appends a piece to the record under way. It does not keep the bytes.
	add(piece []byte)
	// end ends the record: why is "" for a good one, else what is wrong with it. The
	// error says that nothing more can be taken.
	end(why string) error
}

// What is wrong with a record.
const (
	notObject = "is not a JSON object"
	cutOff    = "the body ends within the record"
	brokenEnd = "a line ends within a string, or brackets do not match"
	noBracket = "the body ends before the array is closed"
)

// blanks are what may stand around a record on its line.
const blanks = " \t\r"

// splitter cuts a body into records. It is a state machine over chunks of any
// size, so that a body of any length needs no more memory than one record. It
// checks only what finding the end of a record needs: whether the inside is
// valid JSON is for the parser of the format to say.
type splitter struct {
	mode mode
	to   taker

	begun  bool // something of the record under way was added
	first  byte // its first byte that is no blank
	last   byte // its newest byte that is no blank
	array  bool // within a top-level array
	object bool // the record under way began with {
	depth  int  // brackets open in it
	quoted bool // within a string
	escape bool // behind a backslash
}

// feed takes the next bytes of the body.
func (s *splitter) feed(chunk []byte) error {
	if s.mode == modeJSON {
		return s.values(chunk)
	}
	return s.lines(chunk)
}

// finish takes the end of the body.
func (s *splitter) finish() error {
	switch {
	case s.mode != modeJSON:
		if s.begun {
			return s.endLine()
		}
	case s.begun && !s.object && !s.array:
		return s.done(notObject)
	case s.begun:
		return s.done(cutOff)
	case s.array:
		return s.to.end(noBracket)
	}
	return nil
}

// lines is feed for one record a line.
func (s *splitter) lines(chunk []byte) error {
	for len(chunk) > 0 {
		i := bytes.IndexByte(chunk, '\n')
		if i < 0 {
			s.piece(chunk)
			return nil
		}
		s.piece(chunk[:i])
		chunk = chunk[i+1:]
		if err := s.endLine(); err != nil {
			return err
		}
	}
	return nil
}

// piece adds a part of a line. Blanks before a record are no part of it.
func (s *splitter) piece(p []byte) {
	if !s.begun {
		p = bytes.TrimLeft(p, blanks)
		if len(p) == 0 {
			return
		}
		s.begun, s.first = true, p[0]
	}
	if trimmed := bytes.TrimRight(p, blanks); len(trimmed) > 0 {
		s.last = trimmed[len(trimmed)-1]
	}
	s.to.add(p)
}

// endLine ends the record of a line, if there is one.
func (s *splitter) endLine() error {
	if !s.begun {
		return nil
	}
	why := ""
	if s.mode == modeNDJSON && (s.first != '{' || s.last != '}') {
		why = notObject
	}
	return s.done(why)
}

// done ends the record under way.
func (s *splitter) done(why string) error {
	s.begun, s.object, s.quoted, s.escape, s.depth = false, false, false, false, 0
	return s.to.end(why)
}

// values is feed for JSON texts: objects, and arrays of objects.
func (s *splitter) values(chunk []byte) error {
	for i := 0; i < len(chunk); {
		if !s.begun {
			s.between(chunk[i])
			if !s.begun {
				i++
				continue
			}
		}
		n, why, ended := s.within(chunk[i:])
		s.to.add(chunk[i : i+n])
		i += n
		if !ended {
			continue
		}
		if err := s.done(why); err != nil {
			return err
		}
	}
	return nil
}

// between looks at a byte between two records.
func (s *splitter) between(c byte) {
	switch c {
	case ' ', '\t', '\r', '\n', ',':
	case '[':
		// An array within the array is a record that is no object.
		s.begun = s.array
		s.array = true
	case ']':
		s.begun = !s.array
		s.array = false
	default:
		s.begun, s.object = true, c == '{'
	}
}

// within returns how many bytes belong to the record under way, and whether it
// ends there.
func (s *splitter) within(p []byte) (n int, why string, ended bool) {
	for i, c := range p {
		switch {
		case c == '\n' && !s.array && (s.quoted || !s.object):
			// No string goes over a line (RFC 8259 section 7): the next line is a
			// record of its own again.
			return i, s.badEnd(), true
		case s.escape:
			s.escape = false
		case s.quoted:
			s.escape = c == '\\'
			s.quoted = c != '"'
		case c == '"':
			s.quoted = true
		case c == '{' || c == '[':
			s.depth++
		case !s.object && s.depth == 0 && s.array && (c == ',' || c == ']'):
			return i, notObject, true
		case c == '}' || c == ']':
			if s.depth--; s.object && s.depth == 0 {
				return i + 1, s.goodEnd(c), true
			}
			s.depth = max(s.depth, 0)
		}
	}
	return len(p), "", false
}

// goodEnd is the verdict on an object whose last bracket is c.
func (s *splitter) goodEnd(c byte) string {
	if c == '}' {
		return ""
	}
	return brokenEnd
}

// badEnd is the verdict on a record that a line end cuts.
func (s *splitter) badEnd() string {
	if s.object {
		return brokenEnd
	}
	return notObject
}

// sniff tells JSON from text by the first bytes of a body: an object, or an array
// whose first element is one or that is empty. A line of text may begin with [
// too, such as a date.
func sniff(head []byte) mode {
	head = bytes.TrimLeft(head, " \t\r\n")
	if len(head) > 0 && head[0] == '[' {
		head = bytes.TrimLeft(head[1:], " \t\r\n")
		if len(head) == 0 || head[0] == ']' {
			return modeJSON
		}
	}
	if len(head) > 0 && head[0] == '{' {
		return modeJSON
	}
	return modeText
}
