package nginxconf

import (
	"strings"
	"testing"
)

// TestRefused: what nginx would refuse to parse is refused, and named.
func TestRefused(t *testing.T) {
	for text, part := range map[string]string{
		"a": "no end", "a {": "no end", "}": "without", "a }": "no end", "a \"x": "no end",
		"x_by_lua_block { [[ }": "Lua", strings.Repeat("a {", 100): "too deep",
	} {
		_, err := Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%.40q: error %v, want one with %q", text, err, part)
		}
	}
}

// TestEmptyWords: an empty word is one, at the beginning too.
func TestEmptyWords(t *testing.T) {
	list, err := Parse([]byte(`map $a $b { default ""; "" 0; }`))
	if err != nil {
		t.Fatal(err)
	}
	rows := list[0].Body
	if len(rows) != 2 || len(rows[0].Args) != 1 || rows[0].Args[0] != "" || rows[1].Name != "" || len(rows[1].Args) != 1 || rows[1].Args[0] != "0" {
		t.Errorf("rows: %+v", rows)
	}
}

// FuzzParse: no input panics, and what is found lies where it is said to.
func FuzzParse(f *testing.F) {
	f.Add([]byte("http { server { listen 80; } # x\n } a 'b;' \"c}\";"))
	f.Add([]byte("x_by_lua_block { return { a = '}' } -- }\n }"))
	f.Add([]byte("a ${b} c\\;d;"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := Parse(text)
		if err == nil {
			checkSpans(t, text, list)
		}
	})
}

func checkSpans(t *testing.T, text []byte, list []Directive) {
	for _, d := range list {
		if end := text[d.End-1]; end != ';' && end != '}' || d.End <= d.Start {
			t.Fatalf("directive %q ends at %d in %q", d.Name, d.End, text)
		}
		if !d.Block {
			continue
		}
		if text[d.Open-1] != '{' || text[d.Close] != '}' || d.Start >= d.Open || d.Open > d.Close {
			t.Fatalf("block %q at %d, %d, %d in %q", d.Name, d.Start, d.Open, d.Close, text)
		}
		checkSpans(t, text, d.Body)
	}
}
