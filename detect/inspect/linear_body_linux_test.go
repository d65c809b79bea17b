package inspect

import (
	"cmp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// shapes wrap a unit into bodies of about n bytes: as one text, and as many small fields.
var shapes = map[string]func(unit string, n int) (contentType, body string){
	"text": func(unit string, n int) (string, string) {
		return "text/plain", strings.Repeat(unit, n/len(unit)+1)[:n]
	},
	"form": func(unit string, n int) (string, string) {
		return "application/x-www-form-urlencoded", many("a=", queryEscape(unit), "&", n)
	},
	"form, names": func(unit string, n int) (string, string) {
		return "application/x-www-form-urlencoded", many(queryEscape(unit), "=1", "&", n)
	},
	"json": func(unit string, n int) (string, string) {
		return "application/json", "[" + strings.TrimSuffix(many("", strconv.Quote(unit), ",", n), ",") + "]"
	},
	"json, members": func(unit string, n int) (string, string) {
		return "application/json", "{" + strings.TrimSuffix(many(`"a":`, strconv.Quote(unit), ",", n), ",") + "}"
	},
	"json, names": func(unit string, n int) (string, string) {
		return "application/json", "{" + strings.TrimSuffix(many(strconv.Quote(unit), ":1", ",", n), ",") + "}"
	},
	"json, one text": func(unit string, n int) (string, string) {
		return "application/json", `{"a":` + strconv.Quote(strings.Repeat(unit, n/len(unit)+1)[:n]) + "}"
	},
	"json, deep": func(unit string, n int) (string, string) {
		return "application/json", many("[", strconv.Quote(unit), ",", n)
	},
	"xml": func(unit string, n int) (string, string) {
		return "application/xml", "<a>" + many("<b c='x'>", unit, "</b>", n)
	},
	"multipart": func(unit string, n int) (string, string) {
		return "multipart/form-data; boundary=x", many("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n", unit, "\r\n", n)
	},
}

func many(before, unit, after string, n int) string {
	one := before + unit + after
	return strings.Repeat(one, max(n/len(one), 1))
}

// TestLinearBodies is TestLinear for bodies, also of many small fields. It asserts how the
// work grows and nothing about time.
func TestLinearBodies(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	in := New(Config{MaxBytes: 128 << 10})
	cost := func(kind, body string) int64 {
		best := int64(1 << 62)
		for range 3 {
			start := cpu(t)
			in.InspectRequest("POST", "/x", [][2]string{{"Content-Type", kind}}, body)
			best = min(best, cpu(t)-start)
		}
		return best
	}
	// The most expensive of those of heavy in each shape, what attacks are like, and nothing.
	units := []string{"${${", "<", "()", "$(", "{\"$", "=", "sleep(", "a' or 1=1--", "<script>alert(1)</script>", "\x00a", "x"}
	type row struct {
		shape, unit string
		small, big  int64
	}
	var rows []row
	for shape, wrap := range shapes {
		for _, unit := range units {
			kind, small := wrap(unit, 8<<10)
			_, big := wrap(unit, 64<<10)
			r := row{shape, unit, cost(kind, small), cost(kind, big)}
			rows = append(rows, r)
			if r.big > 16*r.small+200_000 {
				t.Errorf("%s of %q: 8 KB take %d us, 64 KB %d us", shape, unit, r.small/1000, r.big/1000)
			}
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(b.big, a.big) })
	seen := map[string]int{}
	for _, r := range rows {
		if seen[r.shape]++; seen[r.shape] > 2 {
			continue
		}
		t.Logf("%-14s of %-26q 8 KB %5d us, 64 KB %6d us", r.shape, r.unit, r.small/1000, r.big/1000)
	}
}
