package inspect

import "bytes"

// What tells a text about commands from a command.

// asked says whether arguments are those that people ask about: none names an
// address, a path of the system, a URL or a redirection.
func asked(args []byte) bool {
	args = args[:min(len(args), 160)]
	if bytes.ContainsAny(args, "$<>|&;`") || bytes.Contains(args, []byte("://")) || bytes.Contains(args, []byte(" /")) || bytes.Contains(args, []byte("c:")) || bytes.Contains(args, []byte(" -c ")) || bytes.Contains(args, []byte(" -e ")) {
		return false
	}
	dots := 0
	for i, b := range args {
		if b == '.' && i > 0 && digit(args[i-1]) {
			dots++
		}
	}
	return dots < 3
}

// inProse says whether words stand beside the code between backticks, as in Markdown:
// four letters and more in words of three, parted from it by a blank.
func inProse(t []byte) bool {
	if bytes.IndexByte(t, '`') < 0 {
		return false
	}
	letters, run, code := 0, 0, false
	for i, b := range t {
		switch {
		case b == '`':
			if i == 0 || t[i-1] != '`' {
				code = !code
				if code && i > 0 && (word(t[i-1]) || t[i-1] == '=') || !code && i+1 < len(t) && word(t[i+1]) {
					return false // glued to the value
				}
			}
			run = 0
		case !code && alpha(b):
			if run++; run >= 3 {
				letters += pick(run == 3, 3, 1)
			}
		default:
			run = 0
		}
	}
	return letters >= 4
}

// table says whether t is a row of a Markdown table.
func table(t []byte) bool {
	t = bytes.TrimSpace(t)
	n := bytes.Count(t, []byte("|"))
	return n >= 3 && t[0] == '|' && t[1] != '|' && t[len(t)-1] == '|' && bytes.IndexByte(t, ';') < 0
}

// quotation says whether the quote behind t ends what a text quotes: words, behind a blank.
func quotation(t []byte) bool {
	i := bytes.LastIndexByte(t, '"')
	if i < 1 || !blank(t[i-1]) || i+1 == len(t) || len(bytes.TrimRight(t[:i], " ")) == 0 {
		return false
	}
	for _, b := range t[i+1:] {
		if !alpha(b) && b != ' ' && b != '-' {
			return false
		}
	}
	return true
}
