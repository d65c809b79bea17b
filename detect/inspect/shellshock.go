package inspect

import "bytes"

// shellshock weighs the function definition that bash ran on import.
func (l *look) shellshock() {
	t := l.text
	for i := 0; i+1 < len(t); i++ {
		if t[i] != '(' || t[i+1] != ')' {
			continue
		}
		rest := bytes.TrimLeft(t[i+2:min(len(t), i+64)], " ")
		if len(rest) < 2 || rest[0] != '{' {
			continue
		}
		rest = bytes.TrimLeft(rest[1:], " ")
		if len(rest) == 0 || !containsByte(":_fti", rest[0]) {
			continue
		}
		ok := bytes.HasPrefix(rest, []byte(":;")) || bytes.HasPrefix(rest, []byte("_;")) || bytes.HasPrefix(rest, []byte(":")) && bytes.Contains(rest, []byte("};")) || bytes.HasPrefix(rest, []byte("_ ; } >"))
		if ok || bytes.HasPrefix(rest, []byte("foo;")) || bytes.HasPrefix(rest, []byte("test;")) || bytes.HasPrefix(rest, []byte("ignored;")) || bytes.HasPrefix(rest, []byte("_; }")) {
			l.addCertain(shellshock, 95, "a bash function definition in a value (CVE-2014-6271)", i, i+32, true)
			return
		}
	}
}
