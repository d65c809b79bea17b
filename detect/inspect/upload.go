package inspect

import (
	"bytes"
	"strings"
)

// serverRuns are endings of files that web servers run where they find them. Source: CWE-434,
// and the handlers that PHP, Tomcat, Jetty, IIS and ColdFusion install.
var serverRuns = wordSet(`
	php php3 php4 php5 php6 php7 php8 pht phtml phar phps
	jsp jspx jspf jspa jsw jsv war
	asp aspx ashx asmx asa asax ascx cer
	cfm cfml cfc cgi fcgi`)

// fileHeaders name an uploaded file outside of a multipart body.
var fileHeaders = map[string]bool{"x-filename": true, "x-file-name": true, "x.filename": true, "slug": true}

// upload weighs the name of an uploaded file. Blanks, dots and ::$DATA behind it are
// dropped by Windows, and quotes and semicolons by those who parse the header.
func (l *look) upload(prefix, name string) {
	text := bytes.ToLower([]byte(name))
	text = bytes.TrimRight(text, " .;'\"\t")
	text = bytes.TrimSuffix(text, []byte("::$data"))
	dot := bytes.LastIndexByte(text, '.')
	ending := text[dot+1:]
	if dot < 0 || !serverRuns[string(ending)] && !bytes.HasSuffix(text, []byte(".htaccess")) && !bytes.HasSuffix(text, []byte(".user.ini")) {
		return
	}
	l.ev, l.text = l.ev[:0], text
	l.add(code, 55, "uploads a file that the server may run", dot, len(text))
	l.settle(prefix, "")
}

// fileHeader says whether a header of this name carries the name of a file.
func fileHeader(lowerName string) bool { return fileHeaders[strings.ReplaceAll(lowerName, "_", "-")] }
