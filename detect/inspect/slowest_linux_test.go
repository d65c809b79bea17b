package inspect

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest"
)

// made is a request that the search made of pieces.
type made struct {
	parts []string
	cost  int64
}

// spots are where the search puts the pieces, as many as 8 KB hold.
var spots = map[string]func(in *Inspector, parts []string) func() Verdict{
	"value": func(in *Inspector, parts []string) func() Verdict {
		return lookAt(in, "/x?q="+fill(queryEscape(strings.Join(parts, "")), 8<<10))
	},
	"as they are": func(in *Inspector, parts []string) func() Verdict {
		return lookAt(in, heavyTarget(strings.Join(parts, ""), 8<<10))
	},
	"parameters": func(in *Inspector, parts []string) func() Verdict {
		return lookAt(in, "/x?"+among(parts, maxFields, queryEscape, "=", "&"))
	},
	"form": func(in *Inspector, parts []string) func() Verdict {
		return inBody(in, "application/x-www-form-urlencoded", among(parts, maxFields, queryEscape, "=", "&"))
	},
	"json": func(in *Inspector, parts []string) func() Verdict {
		list := make([]string, 0, 2000)
		for size := 0; size < 8000; size += len(list[len(list)-1]) + 3 {
			list = append(list, parts[len(list)%len(parts)]+strconv.Itoa(len(list)%1000))
		}
		b, _ := json.Marshal(list) // strings: it cannot fail
		return inBody(in, "application/json", string(b))
	},
	"headers": func(in *Inspector, parts []string) func() Verdict {
		headers := make([][2]string, 0, 100)
		for size := 0; size < 8000; size += len(headers[len(headers)-1][1]) + 8 {
			headers = append(headers, [2]string{"X-A" + strconv.Itoa(len(headers)), fill(parts[len(headers)%len(parts)], 100)})
		}
		return func() Verdict { return in.InspectRequest("GET", "/x", headers, "") }
	},
}

// among names n pieces, each repeated so that all together are 8 KB.
func among(parts []string, n int, escape func(string) string, is, and string) string {
	var sb strings.Builder
	for i := range n {
		sb.WriteString("p" + strconv.Itoa(i) + is + fill(escape(parts[i%len(parts)]), 8000/n-6) + and)
	}
	return sb.String()
}

func lookAt(in *Inspector, target string) func() Verdict {
	ev := &ingest.Event{Target: target}
	return func() Verdict { return in.Inspect(ev) }
}

func inBody(in *Inspector, contentType, body string) func() Verdict {
	headers := [][2]string{{"Content-Type", contentType}}
	return func() Verdict { return in.InspectRequest("POST", "/x", headers, body) }
}

// TestSoakSlowest looks for the 8 KB that cost most: units of heavy and pieces of attacks,
// put together at random, in each place, the slowest of which breed: for a moment, and with
// PORTCULLIS_SOAK for a minute. It asserts nothing about time, what it finds belongs into
// heavy; but all that carries an attack has to pass the first look.
func TestSoakSlowest(t *testing.T) {
	limit := time.Second / 2
	if os.Getenv("PORTCULLIS_SOAK") != "" {
		limit = time.Minute
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	in, r := New(Config{}), rand.New(rand.NewPCG(1, 2))
	var words []string
	for _, a := range attackLines() {
		words = append(words, strings.Fields(a.text)...)
	}
	words = append(words, heavy...)
	for name, put := range spots {
		slow := slowest(t, in, r, words, put, limit/time.Duration(len(spots)))
		for _, s := range slow[:min(len(slow), 3)] {
			t.Logf("%-12s %4d us (again: %d us) %q", name, s.cost/1000, costOf(t, put(in, s.parts))/1000, s.parts)
		}
	}
	for range 500 {
		ev := &ingest.Event{Target: heavyTarget(words[r.IntN(len(words))]+words[r.IntN(len(words))], 8<<10)}
		if v := in.full(ev); v.Class != "" && !in.Suspicious(ev) {
			t.Fatalf("%s is found in what the first look lets pass: %.200q", v.Class, ev.Target)
		}
	}
}

// costOf is the processor time of a call, the best of five.
func costOf(t *testing.T, call func() Verdict) int64 {
	best := int64(1 << 62)
	for range 5 {
		start := cpu(t)
		call()
		best = min(best, cpu(t)-start)
	}
	return best
}

// slowest breeds the requests that cost most for so long.
func slowest(t *testing.T, in *Inspector, r *rand.Rand, words []string, put func(in *Inspector, parts []string) func() Verdict, limit time.Duration) []made {
	var slow []made
	for start := time.Now(); time.Since(start) < limit; {
		var parts []string
		if len(slow) > 0 && r.IntN(3) > 0 {
			parts = slices.Clone(slow[r.IntN(len(slow))].parts)
		}
		for n := 1 + r.IntN(3); n > 0; n-- {
			switch w := words[r.IntN(len(words))]; {
			case len(parts) > 1 && r.IntN(3) == 0:
				parts = slices.Delete(parts, 0, 1)
			case len(parts) > 0 && r.IntN(2) == 0:
				parts[r.IntN(len(parts))] = w
			default:
				parts = slices.Insert(parts, r.IntN(len(parts)+1), w)
			}
		}
		slow = append(slow, made{parts, costOf(t, put(in, parts))})
		slices.SortFunc(slow, func(a, b made) int { return int(b.cost - a.cost) })
		slow = slow[:min(len(slow), 40)]
	}
	return slow
}
