package inspect

import "bytes"

// includeNames are parts of variables that tell a PHP script where its code lies. A
// request that sets one has the script include what it names (CWE-98, CWE-473).
var includeNames = []string{
	"_path", "path_", "absolutepath", "abspath", "basepath", "libpath", "classpath", "rootpath", "_root", "root_", "rootdir", "docroot",
	"_dir", "dir_", "basedir", "libdir", "incdir", "homedir", "include", "absolute", "mosconfig", "globals[", "_server[", "_request[", "_session[", "_env[",
	"_conf[", "_config[", "conf[", "cfg[", "config[", "[path]", "[dir", "[root", "path_prefix",
}

func includeName(name []byte) bool {
	for _, w := range includeNames {
		if bytes.Contains(name, []byte(w)) {
			return true
		}
	}
	return false
}

// includes weighs a value that is the path of a PHP script with such a variable in
// its query.
func (l *look) includes() {
	t := l.text
	if len(t) < 8 || t[0] != '/' && !bytes.HasPrefix(t, []byte("http")) || bytes.IndexByte(t, ' ') >= 0 {
		return
	}
	i := bytes.IndexByte(t, '?')
	if i < 0 || i > 160 || !bytes.Contains(t[:i], []byte(".php")) && !bytes.HasSuffix(t[:i], []byte(".inc")) {
		return
	}
	for n, rest := 0, t[i+1:]; n < 8 && len(rest) > 0; n++ {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte("&"))
		if eq := bytes.IndexByte(pair, '='); eq > 0 && includeName(pair[:eq]) {
			l.add(rfi, 50, "sets a variable that names the code of a PHP script", i, i+len(pair)+1)
			return
		}
	}
}
