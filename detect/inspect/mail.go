package inspect

import "bytes"

// mailCommands are what IMAP and SMTP servers run. The arguments decide.
var mailCommands = []struct {
	verb, then string
}{
	{"mail from", ":"}, {"rcpt to", ":"}, {"data", ""}, {"ehlo ", ""}, {"helo ", ""}, {"vrfy ", ""}, {"expn ", ""}, {"rset", ""},
	{"capability", ""}, {"login ", ""}, {"logout", ""}, {"select ", ""}, {"examine ", ""}, {"create ", ""}, {"delete ", ""},
	{"rename ", ""}, {"fetch ", ""}, {"store ", ""}, {"search ", ""}, {"noop", ""}, {"list ", ""}, {"authenticate ", ""}, {"append ", ""},
	{"uid fetch ", ""}, {"uid copy ", ""}, {"uid store ", ""}, {"expunge", ""}, {"lsub ", ""}, {"auth login", ""}, {"auth plain", ""},
}

// unspoken are those that no text has, with what they are told.
var unspoken = map[string]bool{"ehlo ": true, "helo ": true, "vrfy ": true, "expn ": true, "auth login": true, "auth plain": true}

// protocols are the commands of other line protocols: a value that ends a line
// and begins one of these talks to a cache or a queue.
var protocols = []string{
	"config set ", "flushall", "flushdb", "slaveof ", "replicaof ", "eval \"", "*1\r\n$", "*2\r\n$", "*3\r\n$", "*4\r\n$", "set ", "stats\r", "stats items", "save\r", "module load",
}

// mailLine weighs a line that an SMTP, IMAP, Redis or Memcached server would take
// for a command. tagged says that a tag such as A001 stood before it.
func mailLine(t []byte) (class, int) {
	line := t[:min(len(t), 96)]
	if e := bytes.IndexAny(line, "\r\n"); e >= 0 && !bytes.HasPrefix(line, []byte("*")) {
		line = line[:e]
	}
	for _, p := range protocols {
		if bytes.HasPrefix(t, []byte(p)) {
			fields := len(bytes.Fields(line))
			return crlf, pick(p != "set " || fields >= 3 && fields <= 6, 55, 0)
		}
	}
	if len(line) == 1 && line[0] == '.' && len(t) > 2 {
		return mail, 40
	}
	tagged := 0
	if i := bytes.IndexByte(line, ' '); i > 1 && i <= 6 && digit(line[i-1]) && alnum(line[0]) {
		tagged, line = 1, bytes.TrimLeft(line[i:], " ")
	}
	for _, c := range mailCommands {
		rest, ok := bytes.CutPrefix(line, []byte(c.verb))
		if !ok || !bytes.HasPrefix(bytes.TrimLeft(rest, " "), []byte(c.then)) {
			continue
		}
		switch {
		case c.then != "":
			return mail, 65
		case tagged == 1:
			return mail, 60
		case unspoken[c.verb] && len(bytes.Fields(rest)) <= 1:
			return mail, 50
		case len(rest) == 0 && c.verb == "data", c.verb == "rset" && len(rest) == 0:
			return mail, 35
		}
	}
	return noClass, 0
}

// spokenAlone says whether t is one command of SMTP or IMAP without arguments, and the end
// of its line.
func spokenAlone(t []byte) bool {
	line := bytes.TrimRight(t, "\r\n")
	if len(line) == len(t) {
		return false
	}
	switch string(line) {
	case "quit", "rset", "data", "noop", "starttls", "logout", "expunge", "capability":
		return true
	}
	return false
}

// mailHeaders begin a header that a mailer adds to the message.
var mailHeaders = []string{"bcc:", "cc:", "to:", "from:", "subject:", "reply-to:", "return-path:", "mime-version:", "x-mailer:", "content-transfer-encoding:"}

// mailHeader weighs a header of a mail.
func mailHeader(t []byte) int {
	for _, h := range mailHeaders {
		if !bytes.HasPrefix(t, []byte(h)) {
			continue
		}
		rest := t[len(h):min(len(t), len(h)+64)]
		at := bytes.IndexByte(rest, '@') > 0
		switch h {
		case "bcc:":
			return pick(at, 70, 55)
		case "to:", "from:", "cc:":
			return pick(at, 55, 15)
		case "subject:":
			return 25
		}
		return 55
	}
	return 0
}
