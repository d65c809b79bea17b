// Package envelope takes off what a log line is wrapped in on its way here: a
// syslog header (RFC 3164, RFC 5424), an entry of the systemd journal, of
// Docker's json-file driver, or of a Kubernetes container log (CRI).
//
// Each function gets one line without its newline and returns the header, the
// gateway's own line, and whether the line had that envelope at all. What is
// returned borrows the line; where JSON escapes must be undone it borrows dst,
// which grows by appending and is returned, so that what earlier lines gave stays
// valid for as long as the caller does not cut dst. Nothing else is allocated.
package envelope

import (
	"strings"
	"time"
	"unsafe"
)

// Header is what an envelope says. The zero value of a field means that it does
// not say, but for Priority.
type Header struct {
	Time     int64  // when the line was written, Unix nanoseconds
	Priority int    // facility*8 + severity (RFC 5424 section 6.2.1), -1 = not said
	Host     string // as the sender calls itself: evidence, no proof
	App      string // tag, APP-NAME or SYSLOG_IDENTIFIER, without the process id
	ProcID   string
	MsgID    string
	Stream   string // "stdout" or "stderr" of a container
	Partial  bool   // the line goes on in the next entry: the container engine cut it
}

// text borrows bytes as a string.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// CRI reads a line of a Kubernetes container log, as containerd and CRI-O write
// it: "2016-10-06T00:17:09.669794202Z stdout F text". The tag P in the place of F
// marks a line that goes on in the next entry.
//
// https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
func CRI(line []byte) (h Header, msg []byte, ok bool) {
	h.Priority = -1
	ns, n := rfc3339(line)
	if n == 0 || n == len(line) || line[n] != ' ' {
		return h, nil, false
	}
	h.Time = ns
	stream, rest, ok := word(line[n+1:])
	if !ok || text(stream) != "stdout" && text(stream) != "stderr" {
		return h, nil, false
	}
	h.Stream = text(stream)
	tags, msg, found := word(rest)
	if !found {
		tags, msg = rest, nil // some writers leave out the blank before an empty line
	}
	first, _, _ := strings.Cut(text(tags), ":") // more tags may follow
	h.Partial = first == "P"
	return h, msg, first == "P" || first == "F"
}

// word cuts b at its first blank.
func word(b []byte) (first, rest []byte, ok bool) {
	for i, c := range b {
		if c == ' ' {
			return b[:i], b[i+1:], true
		}
	}
	return b, nil, false
}

// Syslog reads a message of RFC 5424 or RFC 3164; the line may lack its priority,
// as in files that rsyslog and syslog-ng write. An RFC 3164 time has neither year
// nor zone: the year is chosen so that the time is nearest to ref, and the zone is
// that of ref.
//
// RFC 3164 tells what senders do, and they do not agree. Taken is: a time as "Jan
// _2 15:04:05", with a year before or behind the clock or a fraction of a second,
// or as in RFC 3339, or none; then a host or none; then "tag:" or "tag[pid]:" or
// none. The first word behind the time is the host unless it is such a tag. (A
// sender that writes neither host nor tag has its first word taken for a host:
// give it a tag.)
func Syslog(line []byte, ref time.Time) (h Header, msg []byte, ok bool) {
	var n int
	h.Priority, n = priority(line)
	rest := line[n:]
	if n > 0 && len(rest) > 1 && rest[0] == '1' && rest[1] == ' ' {
		msg, ok = rfc5424(&h, rest[2:])
		return h, msg, ok
	}
	msg, ok = rfc3164(&h, rest, ref)
	return h, msg, ok
}

// priority reads "<PRI>" and returns its length, 0 where there is none.
func priority(b []byte) (pri, n int) {
	if len(b) < 3 || b[0] != '<' {
		return -1, 0
	}
	for i := 1; i < len(b) && i < 5; i++ {
		if b[i] == '>' && i > 1 {
			if pri > 191 { // 23 facilities, 8 severities
				return -1, 0
			}
			return pri, i + 1
		}
		d := b[i] - '0'
		if d > 9 {
			break
		}
		pri = pri*10 + int(d)
	}
	return -1, 0
}
