package inspect

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// jsonTokens are the tokens of s as jsonText reads them, and where it stopped.
func jsonTokens(j *jsonText, s string) (out []string, end int) {
	for j.reset(s); ; {
		switch kind, text := j.next(); kind {
		case jsonEnd:
			return out, j.at
		case jsonDelim:
			out = append(out, text)
		case jsonPlain:
			out = append(out, "plain")
		default:
			out = append(out, fmt.Sprintf("%q", text))
		}
	}
}

// decoderTokens are the same of encoding/json.
func decoderTokens(s string) (out []string, end int) {
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	for {
		tok, err := dec.Token()
		if err != nil {
			return out, int(dec.InputOffset())
		}
		switch v := tok.(type) {
		case json.Delim:
			out = append(out, v.String())
		case string:
			out = append(out, fmt.Sprintf("%q", v))
		default:
			out = append(out, "plain")
		}
	}
}

func sameJSON(t *testing.T, j *jsonText, s string) {
	t.Helper()
	got, at := jsonTokens(j, s)
	want, end := decoderTokens(s)
	left := func(n int) string { return strings.Trim(s[n:], " \t\r\n") } // of blanks nothing is looked at
	if !slices.Equal(got, want) || left(at) != left(end) && len(left(end)) > 1 {
		t.Fatalf("%q: read as %q up to %d, encoding/json reads %q up to %d", s, got, at, want, end)
	}
}

// jsonPieces are what JSON and its mistakes are made of.
var jsonPieces = []string{
	"{", "}", "[", "]", ",", ":", `"a"`, `"`, `\`, `\n`, `"\n"`, `"\u0041"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ud83dx\udE00"`, `"\x"`, `"\u12"`, "\"\xff\"", "\"é\"",
	"1", "-1.5e+3", "01", "-", "1.", "1e", "true", "false", "null", "nul", "tru", " ", "\n", "\t", "\x00", "\"\x01\"", "'a'", "{\"a\":1}", "[1,\"x\"]", `"a":`, "/*", "truefalse", "\ufeff",
}

// TestJSONText holds the reader of JSON against encoding/json: the same tokens, and the same
// place where it is none any more.
func TestJSONText(t *testing.T) {
	j, r := new(jsonText), rand.New(rand.NewPCG(3, 4))
	for _, s := range spoken(100)["json"] {
		sameJSON(t, j, s)
		for n := range len(s) {
			sameJSON(t, j, s[:n])
		}
	}
	for range 60_000 {
		var sb strings.Builder
		for n := r.IntN(12); n >= 0; n-- {
			sb.WriteString(jsonPieces[r.IntN(len(jsonPieces))])
		}
		sameJSON(t, j, sb.String())
	}
}

// FuzzJSONText does so for any text.
func FuzzJSONText(f *testing.F) {
	for _, s := range jsonPieces {
		f.Add(s)
	}
	j := new(jsonText)
	f.Fuzz(func(t *testing.T, s string) { sameJSON(t, j, s) })
}
