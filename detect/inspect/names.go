package inspect

import "bytes"

// names weighs what a parameter's name, or a path into an object, should not be.
func (l *look) names(ctx context) {
	t := l.text
	if !l.seen.any("$_") && !l.holds("prototype") {
		return
	}
	if i := l.find("[$"); i >= 0 {
		switch op := operatorAt(t, i+1); {
		case op == 0:
		case ctx == ctxName:
			l.add(nosqli, 65, "a query operator as a parameter's key", i, op+1)
		case ctx == ctxValue && i == 0 && op < len(t) && t[op] == ']': // user=[$ne]=1
			l.add(nosqli, 55, "a query operator in brackets", 0, op+1)
		case ctx == ctxValue && i > 0 && word(t[i-1]) && bytes.HasPrefix(t[op:], []byte("]=")): // a query in a value
			l.add(nosqli, 55, "a query operator as a parameter's key", i, op+1)
		}
	}
	if i := l.find("__proto__"); i >= 0 {
		name := ctx == ctxName || i+9 < len(t) && (t[i+9] == '[' || t[i+9] == '.' || t[i+9] == '"' || t[i+9] == ']')
		l.add(prototype, pick(name, 70, 20), "writes to an object's prototype", i, i+16)
	}
	if i := l.find("__pro__proto__to__"); i >= 0 { // what is left when a filter drops the inner name
		l.add(prototype, 70, "writes to an object's prototype", i, i+18)
	}
	if i := l.find("constructor"); i >= 0 {
		rest := bytes.TrimLeft(t[i+11:], `]["'.:{ `)
		if bytes.HasPrefix(rest, []byte("prototype")) && len(rest) < len(t)-i-11 && !bytes.HasPrefix(rest, []byte("prototype ")) {
			l.add(prototype, 65, "writes to an object's prototype", i, i+22)
		}
	}
	l.operators()
}

// mongoOps are the operators of MongoDB queries.
var mongoOps = []string{"ne", "gt", "gte", "lt", "lte", "in", "nin", "eq", "or", "and", "nor", "not", "regex", "where", "exists", "expr", "type", "all", "size", "mod", "comment", "func", "function", "elemmatch", "jsonschema", "options", "natural", "lookup", "unionwith", "graphlookup", "accumulator", "merge", "out", "near", "text", "nearsphere", "rand"}

// operatorAt says where the $operator at i ends, or 0.
func operatorAt(t []byte, i int) int {
	if i >= len(t) || t[i] != '$' {
		return 0
	}
	j := i + 1
	for j < len(t) && alpha(t[j]) {
		j++
	}
	for _, op := range mongoOps {
		if string(t[i+1:j]) == op {
			return j
		}
	}
	return 0
}

// operators weighs {"$ne": …}, and $where as a key of an object.
func (l *look) operators() {
	t := l.text
	from := 0
	for n := 0; n < 16 && l.seen.has('$'); n++ {
		k := bytes.IndexByte(t[from:], '$')
		if k < 0 {
			return
		}
		i := from + k
		from = i + 1
		end := operatorAt(t, i)
		if end == 0 {
			continue
		}
		quoted := i > 0 && (t[i-1] == '"' || t[i-1] == '\'')
		after := bytes.TrimLeft(t[end:min(len(t), end+8)], " \"'")
		if len(after) == 0 || after[0] != ':' {
			continue
		}
		switch before := bytes.TrimRight(t[:i], " \"'"); {
		case len(before) > 0 && (before[len(before)-1] == '{' || before[len(before)-1] == ','):
			l.add(nosqli, pick(quoted, 60, 55), "a query operator in an object", i, end+2)
		case string(t[i:end]) == "$where":
			l.add(nosqli, 55, "a query operator in an object", i, end+2)
		}
	}
}
