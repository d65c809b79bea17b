package config

import "strings"

// Nearest returns the candidate that a mistyped word most likely meant, and
// whether any is near enough to be worth naming.
func Nearest(word string, candidates []string) (string, bool) {
	const longest = 64 // a word beyond it is no typo
	if word == "" || len(word) > longest {
		return "", false
	}
	w := folded(word)
	best, bestAt := "", 2+len(w)/5
	for _, c := range candidates {
		f := folded(c)
		d := distance(w, f)
		if len(w) >= 3 && len(f) >= 3 && (strings.HasPrefix(f, w) || strings.HasPrefix(w, f)) {
			d = min(d, 1)
		}
		if d < bestAt {
			best, bestAt = c, d
		}
	}
	return best, best != ""
}

// folded makes case, blanks and the choice of dash or underscore irrelevant.
func folded(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' || r == '.' {
			return '_'
		}
		return r
	}, strings.ToLower(s))
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

// didYouMean is the hint for an unknown word: the nearest one, or all of a short list.
func didYouMean(word string, candidates []string) string {
	if c, ok := Nearest(word, candidates); ok {
		return "did you mean " + c + "?"
	}
	const few = 12
	if n := len(candidates); n > 0 && n <= few {
		return "valid here: " + strings.Join(candidates, ", ")
	}
	return ""
}
