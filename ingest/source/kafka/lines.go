package kafka

import (
	"bytes"
	"encoding/json"
)

// appendLines appends the lines of a pushed record to dst, each ended by '\n':
//
//   - a JSON array gives one line per element (what shippers send in batches),
//   - a JSON object is one line, also where it is printed over several,
//   - anything else is text: its lines are taken as they are.
//
// It adds at most one byte to what the record holds. An empty array gives no line.
func appendLines(dst, record []byte) []byte {
	switch first := bytes.TrimLeft(record, " \t\r\n"); {
	case len(first) == 0:
	case first[0] == '[' && json.Valid(first): // a log line may begin with [ as well
		return appendElements(dst, first)
	case first[0] == '{' && spread(record) && json.Valid(first):
		return append(appendFlat(dst, bytes.TrimRight(first, " \t\r\n")), '\n')
	}
	dst = append(dst, record...)
	if len(record) > 0 && record[len(record)-1] != '\n' {
		dst = append(dst, '\n')
	}
	return dst
}

// spread says whether a record has line ends before its last byte.
func spread(record []byte) bool {
	at := bytes.IndexByte(record, '\n')
	return at >= 0 && at < len(record)-1
}

// appendElements appends each element of a valid JSON array as a line.
func appendElements(dst, array []byte) []byte {
	array = bytes.TrimRight(array, " \t\r\n")
	from, depth := 1, 0
	for i := 1; i < len(array); i++ {
		switch array[i] {
		case '"':
			i = endOfString(array, i)
		case '[', '{':
			depth++
		case ']', '}', ',':
			if depth == 0 { // behind an element, or the end
				if element := bytes.Trim(array[from:i], " \t\r\n"); len(element) > 0 {
					dst = append(appendFlat(dst, element), '\n')
				}
				from = i + 1
			} else if array[i] != ',' {
				depth--
			}
		}
	}
	return dst
}

// endOfString returns the index of the quote that ends the string begun at i.
func endOfString(b []byte, i int) int {
	for i++; i < len(b) && b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i
}

// appendFlat appends a valid JSON value. Line ends can only stand between its
// tokens, where a blank says the same.
func appendFlat(dst, value []byte) []byte {
	from := len(dst)
	dst = append(dst, value...)
	for i := from; i < len(dst); i++ {
		if dst[i] == '\n' || dst[i] == '\r' {
			dst[i] = ' '
		}
	}
	return dst
}
