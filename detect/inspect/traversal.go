package inspect

import (
	"bytes"
	"strconv"
	"strings"
)

// systemFile is a file or folder that only an intruder asks a web API for.
type systemFile struct {
	path   string
	weight int  // as a whole value; less in the middle of prose
	alone  bool // a word of the text gate is in it, so it may count without a climb
	known  bool // the raw gate knows it too, so it may stand anywhere
}

// mustLoadSystemFiles reads "weight path" and "weight */name" lines.
func mustLoadSystemFiles() ([]systemFile, map[string]int) {
	var list []systemFile
	names := map[string]int{}
	for line := range strings.SplitSeq(mustReadData("files"), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		w, path, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(w)
		if err != nil || path == "" {
			panic("inspect: data/files.txt: " + strconv.Quote(line) + " is not a weight and a path")
		}
		if name, ok := strings.CutPrefix(path, "*/"); ok {
			names[name] = n
			continue
		}
		list = append(list, systemFile{path, n, decoded().hit([]byte("x"+path+"x"), false), rawBytes.hit("x" + path + "x")})
	}
	return list, names
}

// fileHit is the weightiest system file named in a field.
type fileHit struct {
	best    int // index, or -1
	at, end int
}

// fileHit notes file f, whose path ends at end.
func (l *look) fileHit(f, end int) {
	files := l.in.rules.files
	path := files[f].path
	at := end - len(path)
	if path[0] == ':' && at > 0 && alpha(l.text[at-1]) { // the drive letter
		at--
	}
	if at > 0 && word(path[0]) && alnum(l.text[at-1]) {
		return
	}
	if b := l.file.best; b < 0 || files[f].alone && !files[b].alone ||
		files[f].alone == files[b].alone && files[f].weight > files[b].weight {
		l.file = fileHit{f, at, end}
	}
}

// climb is what the path walk found.
type climb struct {
	ups     int // ".." segments
	floor   int // how far above its start the path goes
	odd     int // segments of dots that some filters fold to ".."
	dots    int // "." segments in a row
	at, end int
}

// walk reads every "../" chain of the text.
func walk(t []byte) climb {
	var c climb
	c.at = -1
	depth, run := 0, 0
	for i := 0; i < len(t); {
		j := i
		for j < len(t) && !slash(t[j]) {
			j++
		}
		seg := dotSegment(t[i:j])
		next := j < len(t)
		switch {
		case seg == 2 && (next || c.ups > 0), seg == 2 && i > 0 && c.at < 0:
			c.ups++
			depth--
			c.floor = max(c.floor, -depth)
			c.mark(i, j)
			run = 0
		case seg > 2 && next && (seg > 3 || t[j] == '/' || j-i == 3 && (i == 0 || slash(t[i-1]))):
			c.odd++
			c.mark(i, j)
			run = 0
		case seg == 1:
			run++
			c.dots = max(c.dots, run)
		case j > i:
			if c.ups == 0 || next {
				depth = max(depth, 0) + 1
				if c.ups > 0 {
					depth = 0
				}
			}
			run = 0
		}
		i = j + 1
	}
	return c
}

func (c *climb) mark(at, end int) {
	if c.at < 0 {
		c.at = at
	}
	c.end = end
}

func slash(b byte) bool { return b == '/' || b == '\\' }

// dotSegment counts the dots of a segment that ends in them: 2 for "..",
// "..;" and "x=..", more for "....", 0 for a name. What stands before the dots
// must part them from a word.
func dotSegment(seg []byte) int {
	for len(seg) > 0 && (seg[len(seg)-1] == ';' || seg[len(seg)-1] == ' ' || seg[len(seg)-1] == '?' || seg[len(seg)-1] == '%' || seg[len(seg)-1] >= 0x80) {
		seg = seg[:len(seg)-1]
	}
	n := len(seg)
	dots := 0
	for n > 0 {
		switch {
		case seg[n-1] == '.':
			n, dots = n-1, dots+1
		case n >= 4 && string(seg[n-4:n]) == "0x2e":
			n, dots = n-4, dots+1
		default:
			if word(seg[n-1]) || seg[n-1] == '-' {
				return 0
			}
			return dots
		}
	}
	return dots
}

// traversal weighs climbing paths and the files they reach.
func (l *look) traversal(ctx context) {
	if ctx == ctxName {
		return
	}
	t := l.text
	c := climb{at: -1}
	if l.holds("..") || l.holds("/./") || l.holds(`\.\`) || l.holds("0x2") || l.holds("0x5") {
		c = l.climbs(ctx, t)
	}
	l.systemFiles(ctx, c)
	if l.in.canon.flags&sawDisguise != 0 && ctx != ctxAgent {
		l.disguised()
	}
	if ctx == ctxValue {
		l.serverFile()
		l.hiddenFile(c)
	}
}

// serverFile weighs a path that is the whole value and ends in a configuration, a log
// or a key of a server.
func (l *look) serverFile() {
	t := bytes.TrimRight(l.text, " ")
	if len(t) < 6 || t[0] != '/' && t[0] != '\\' && t[0] != '~' && (len(t) < 3 || t[1] != ':') {
		return
	}
	at := bytes.LastIndexAny(t, `/\`)
	if at < 1 || len(t)-at > 32 || bytes.IndexByte(t[:min(at+1, len(t))], '\n') >= 0 {
		return
	}
	for i := range t[:at] {
		if b := t[i]; !word(b) && !containsByte("/\\.-:~ ()", b) {
			return
		}
	}
	if w := l.in.rules.names[string(t[at+1:])]; w > 0 {
		l.add(traversal, w, "a path to a configuration, log or key of a server", 0, len(t))
	}
}

// disguised weighs a slash, a dot or a bracket as overlong UTF-8 in a text that is plain
// ASCII: in charsets of two bytes other letters that are none stand beside it.
func (l *look) disguised() {
	letters := 0
	for _, b := range l.text {
		if b >= 0x80 {
			return
		}
		letters += pick(alpha(b), 1, 0)
	}
	if letters >= 6 {
		l.add(traversal, 50, "slashes, dots or brackets as overlong UTF-8", 0, len(l.text))
	}
}

// hiddenFiles hold what a server needs and nobody may read; other files of such names
// are asked for by name only.
var hiddenFiles = []string{".git/config", ".git/head", ".svn/entries", ".ssh/", ".aws/credentials", ".npmrc", ".dockerenv", ".ds_store", "config.json", "appsettings.json", "application.properties", "application.yml", "database.php", "settings.py", "local_settings.py", "cmd.exe"}

// hiddenFile weighs a climb, however short, that is the whole value and ends in a file
// that only the server itself reads.
func (l *look) hiddenFile(c climb) {
	if c.ups+c.odd == 0 || c.end >= len(l.text) || l.searched() || bytes.IndexByte(l.text[:c.end], ' ') >= 0 {
		return
	}
	rest := bytes.Trim(l.text[c.end:], `/\ `)
	if e := bytes.IndexByte(rest, '?'); e > 0 { // what the program is told
		rest = rest[:e]
	}
	at := bytes.LastIndexAny(rest, `/\`)
	known := l.in.rules.names[string(rest[at+1:])] > 0
	for _, f := range hiddenFiles {
		known = known || bytes.HasSuffix(rest, []byte(f)) && (len(rest) == len(f) || slash(rest[len(rest)-len(f)-1]))
	}
	if known {
		l.add(traversal, 50, "a climbing path that ends in a configuration or a key of a server", c.at, len(l.text))
	}
}

// climbEnd weighs where a climb of so many levels ends.
func (l *look) climbEnd(ctx context, t []byte, c climb, up int) {
	name := t[1+bytes.LastIndexAny(t, `/\`):]
	if up == 2 && ctx == ctxValue && l.in.rules.names[string(name)] > 0 && bytes.IndexByte(t, ' ') < 0 {
		l.add(traversal, 20, "it ends in a configuration, a log or a key", 0, len(t))
	}
	if c.end+1 < len(t) && bytes.HasSuffix(t, []byte("}")) {
		l.unfilled(t, c.end)
	}
}

// unfilled weighs the placeholder of a tool where the name of a file belongs: ../{file}.
func (l *look) unfilled(t []byte, at int) {
	rest := bytes.TrimLeft(t[at:], `./\`)
	for _, name := range [...]string{"{file}", "{filename}", "{path}"} {
		if string(rest) == name {
			l.add(traversal, 40, "a climb to the placeholder of a tool", at, len(t))
		}
	}
}

// dotRun is longer than any ellipsis.
var dotRun = []byte("................")

func (l *look) climbs(ctx context, t []byte) climb {
	if bytes.Contains(t, []byte("0x2f")) || bytes.Contains(t, []byte("0x5c")) {
		t = bytes.ReplaceAll(bytes.ReplaceAll(t, []byte("0x2f"), []byte("/   ")), []byte("0x5c"), []byte("/   "))
		t = bytes.ReplaceAll(t, []byte("/   "), []byte("/"))
	}
	c := walk(t)
	if n := bytes.Count(t, []byte("..2f")) + bytes.Count(t, []byte("..5c")); n > 1 { // a filter ate the percent sign
		c.ups += n
		c.at, c.end = max(c.at, 0), len(t)
		l.add(traversal, 20, "slashes whose percent sign is missing", c.at, c.end)
	}
	up := c.ups + c.odd
	switch {
	case up >= 3:
		l.add(traversal, 60, "a path that climbs three levels or more", c.at, c.end)
	case up == 2:
		l.add(traversal, pick(c.floor > 0 && ctx == ctxPath, 45, 35), "a path that climbs two levels", c.at, c.end)
	case up == 1:
		l.add(traversal, pick(ctx == ctxPath && c.floor > 0, 30, 15), "a path that climbs a level", c.at, c.end)
	}
	if up == 2 && ctx == ctxValue && len(bytes.Trim(t, `./\`)) == 0 && !l.searched() {
		l.add(traversal, 15, "the value is nothing but a climb", 0, len(t))
	}
	if up > 0 {
		l.climbEnd(ctx, t, c, up)
	}
	if c.odd > 0 {
		l.add(traversal, min(20*c.odd, 40), "dots that some filters fold to ..", c.at, c.end)
	}
	if i := bytes.Index(t, dotRun); i >= 0 && (i == 0 || slash(t[i-1])) && len(bytes.TrimLeft(t[i:], ".")) > 0 {
		l.add(traversal, 50, "a run of dots in a path", i, i+32)
	}
	if c.dots >= 3 {
		w := min(c.dots*10, 60)
		if bytes.Contains(t, []byte(`/\`)) || bytes.Contains(t, []byte(`\/`)) {
			w += 20
		}
		l.add(traversal, w, "a chain of /./", 0, len(t))
	}
	if up > 0 {
		if l.holds("0x2") || l.holds("0x5") {
			l.add(traversal, 35, "dots or slashes written as hexadecimal numbers", 0, len(l.text))
		}
		if l.in.canon.flags&(sawOverlong|sawWideURL) != 0 {
			l.add(traversal, 35, "dots or slashes in an encoding that only filters miss", c.at, c.end)
		}
		if bytes.IndexByte(t, '\\') >= 0 {
			l.add(traversal, 20, "backslashes in a climbing path", c.at, c.end)
		}
		if l.in.canon.flags&sawNUL != 0 {
			l.add(traversal, 25, "a NUL byte cuts the path", c.at, c.end)
		}
		if bytes.Contains(t, []byte("..;/")) {
			l.add(traversal, 45, "..;/ means .. to Java servers only", c.at, c.end)
		}
	}
	return c
}

// systemFiles weighs known files: most behind a climb or as the whole value.
func (l *look) systemFiles(ctx context, c climb) {
	t := l.text
	if l.file.best < 0 {
		return
	}
	file, at, end := &l.in.rules.files[l.file.best], l.file.at, l.file.end
	w := file.weight
	climbing := c.at >= 0 && c.at < at
	switch {
	case climbing && (w >= 50 || c.ups+c.odd > 1):
		certain := w >= 70 && c.ups+c.odd >= 2
		l.addCertain(traversal, 50, "a climbing path that ends in a system file", c.at, end, certain)
	case ctx == ctxAgent && w >= 60 && file.alone && (bytes.HasPrefix(t[at:], []byte("/etc/")) || bytes.HasPrefix(t[at:], []byte("/proc/"))):
		l.add(traversal, 50, "names a file of the operating system", at, end)
	case ctx == ctxAgent, !file.alone, ctx == ctxPath && file.path[:2] == "/.": // exposure tells of hidden files in a path
	case !file.known && (ctx == ctxPath || at > 0 && !containsByte(":=/.?\"'(` \\", t[at-1])):
	case (ctx == ctxPath && bytes.IndexByte(t[:at], ' ') < 0 || bareBefore(t, at)) && !sentence(t[end:]):
		l.add(traversal, w, "names a file of the operating system", at, end)
		if tail := bytes.TrimRight(t[end:], " "); w >= 30 && hasAnySuffix(tail, ".conf", ".log", "_log", ".ini", ".cnf", ".cfg", "passwd", ".php", ".bak", ".sql", ".pdb") {
			l.add(traversal, 15, "a log or a configuration", at, len(t))
		}
	default:
		l.add(traversal, w*2/5, "mentions a file of the operating system", at, end)
	}
}

// sentence says whether words follow a path, as where a text speaks of it: three and
// more, or nothing but words.
func sentence(t []byte) bool {
	i := bytes.IndexByte(t, ' ')
	if i < 0 {
		return false
	}
	t = t[i:] // behind the rest of the path
	n, plain := 0, true
	for f := range bytes.FieldsSeq(t[:min(len(t), 96)]) {
		if alpha(f[0]) && len(f) > 1 && !bytes.ContainsAny(f, "/;|=") {
			n++
		}
		for _, b := range bytes.TrimRight(f, ".,?!") {
			plain = plain && (alpha(b) || b == '-' || b == '\'')
		}
	}
	return n >= 3 || plain && n > 0
}

// bareBefore says whether the path at i is the value, not a word of a text:
// nothing before it, or a scheme, a quote or an assignment.
func bareBefore(t []byte, i int) bool {
	if i+1 < len(t) && t[i] == '/' && t[i+1] == '.' && bytes.IndexByte(t[:i], ' ') < 0 {
		return true
	}
	if blankBefore(t, i) || i > 0 && bytes.IndexByte(t[:i], ' ') < 0 && !alnum(t[i-1]) {
		return true
	}
	return false
}
