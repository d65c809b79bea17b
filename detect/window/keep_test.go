package window

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
)

// drawSamples draws distinct lines: no two share a position.
func drawSamples(rt *rapid.T) []Sample {
	times := rapid.SliceOfN(rapid.Int64Range(0, 400), 0, 40).Draw(rt, "times")
	list := make([]Sample, len(times))
	for i, at := range times {
		list[i] = Sample{Time: at, Pos: ingest.Position{Source: "s", File: uint64(i % 2), Offset: int64(i)}, Line: string(rune('a' + i)), Note: "n"}
	}
	return list
}

// earliest is what Samples must hold of a list: the first of every bucket.
func earliest(list []Sample, bucket int64) []Sample {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b Sample) int {
		if c := cmp.Compare(a.Time, b.Time); c != 0 {
			return c
		}
		if a.Pos.Less(b.Pos) {
			return -1
		}
		return 1
	})
	kept := map[int64]int{}
	return slices.DeleteFunc(sorted, func(s Sample) bool {
		kept[s.Time/bucket]++
		return kept[s.Time/bucket] > SamplesPerBucket
	})
}

func TestSamplesKeepTheEarliestOfEveryBucket(t *testing.T) {
	const bucket = 100
	rapid.Check(t, func(rt *rapid.T) {
		list := drawSamples(rt)
		asked, unasked := new(Samples), new(Samples)
		for _, s := range rapid.Permutation(list).Draw(rt, "order") {
			if asked.Wants(s.Time, s.Pos, bucket) {
				asked.Add(s, bucket)
			}
			unasked.Add(s, bucket)
			if asked.Wants(s.Time, s.Pos, bucket) {
				rt.Fatalf("%+v was just offered and is wanted again", s)
			}
		}
		want := earliest(list, bucket)
		if !slices.Equal(asked.list, want) || !slices.Equal(unasked.list, want) {
			rt.Fatalf("kept\n%v, without asking\n%v, want\n%v", asked.list, unasked.list, want)
		}
		checkBetween(rt, recode(rt, asked, new(Samples)), want)
		forget := rapid.Int64Range(0, 500).Draw(rt, "forget")
		asked.Forget(forget, bucket)
		want = slices.DeleteFunc(want, func(s Sample) bool { return (s.Time/bucket+1)*bucket <= forget })
		if !slices.Equal(asked.list, want) || asked.Empty() != (len(want) == 0) {
			rt.Fatalf("after Forget(%d): %v, want %v", forget, asked.list, want)
		}
	})
}

func checkBetween(rt *rapid.T, s *Samples, all []Sample) {
	from, to := rapid.Int64Range(0, 400).Draw(rt, "from"), rapid.Int64Range(0, 400).Draw(rt, "to")
	most := rapid.IntRange(1, 9).Draw(rt, "most")
	var got, want []Sample
	s.Between(from, to, func(x *Sample) bool { got = append(got, *x); return len(got) < most })
	for _, x := range all {
		if x.Time >= from && x.Time < to && len(want) < most {
			want = append(want, x)
		}
	}
	if !slices.Equal(got, want) {
		rt.Fatalf("Between(%d, %d), at most %d: %v, want %v", from, to, most, got, want)
	}
}

type seen struct {
	sec  int64
	hash uint64
}

// distinctTwin is what Distinct must hold: of every bucket the earliest distinct
// values, by the second they were first seen in, then by hash.
func distinctTwin(list []seen, width int64) []Value {
	first := map[[2]int64]int64{} // bucket and hash: second
	for _, s := range list {
		k := [2]int64{s.sec / width, int64(s.hash)}
		if at, ok := first[k]; !ok || s.sec < at {
			first[k] = s.sec
		}
	}
	var all []Value
	for k, sec := range first {
		all = append(all, Value{Bucket: k[0], Sec: sec, Hash: uint64(k[1]), Weight: weightOf(uint64(k[1]))})
	}
	sortValues(all)
	kept := map[int64]int{}
	return slices.DeleteFunc(all, func(v Value) bool { kept[v.Bucket]++; return kept[v.Bucket] > DistinctLimit })
}

func sortValues(list []Value) {
	slices.SortFunc(list, func(a, b Value) int { return cmp.Or(cmp.Compare(a.Sec, b.Sec), cmp.Compare(a.Hash, b.Hash)) })
}

func weightOf(hash uint64) uint32 { return uint32(hash%8) + 1 }

func TestDistinctKeepsTheEarliestOfEveryBucket(t *testing.T) {
	const width = 60
	rapid.Check(t, func(rt *rapid.T) {
		var list []seen
		values := rapid.Uint64Range(0, rapid.SampledFrom([]uint64{5, 90, 1000}).Draw(rt, "values"))
		for n := rapid.IntRange(0, 250).Draw(rt, "n"); n > 0; n-- {
			list = append(list, seen{rapid.Int64Range(1, 170).Draw(rt, "sec"), values.Draw(rt, "hash")})
		}
		d := new(Distinct)
		for _, s := range rapid.Permutation(list).Draw(rt, "order") {
			d.Add(s.sec, s.hash, weightOf(s.hash), width)
		}
		want := distinctTwin(list, width)
		sortValues(d.list)
		if !slices.Equal(d.list, want) {
			rt.Fatalf("%d values kept, want %d:\n%v\n%v", len(d.list), len(want), d.list, want)
		}
		checkDistinct(rt, recode(rt, d, new(Distinct)), want)
		forget := rapid.Int64Range(0, 200).Draw(rt, "forget")
		d.Forget(forget, width)
		want = slices.DeleteFunc(want, func(v Value) bool { return (v.Bucket+1)*width-1 <= forget })
		if !slices.Equal(d.list, want) || d.Empty() != (len(want) == 0) {
			rt.Fatalf("after Forget(%d): %v, want %v", forget, d.list, want)
		}
	})
}

// checkDistinct counts a window by hand: a value counts once, in the first of its
// buckets whose first sight lies in the window.
func checkDistinct(rt *rapid.T, d *Distinct, all []Value) {
	for to := int64(0); to < 180; to += 13 {
		from := to - 60
		hashes := map[uint64]bool{}
		var weight, most uint32
		var first int64
		for _, v := range all {
			if v.Sec <= from || v.Sec > to {
				continue
			}
			if first == 0 || v.Sec < first {
				first = v.Sec
			}
			if !hashes[v.Hash] {
				weight += v.Weight
			}
			hashes[v.Hash] = true
			most = max(most, v.Weight)
		}
		if got := d.First(from, to); got != first {
			rt.Fatalf("(%d, %d]: first seen in %d, want %d", from, to, got, first)
		}
		n, w := d.Sum(from, to)
		if int(n) != len(hashes) || w != weight || d.Max(from, to) != most {
			rt.Fatalf("(%d, %d]: %d values, weight %d, greatest %d; want %d, %d, %d", from, to, n, w, d.Max(from, to), len(hashes), weight, most)
		}
	}
}

func TestDistinctSaysWhatChanged(t *testing.T) {
	var d Distinct
	for _, c := range []struct {
		name string
		sec  int64
		hash uint64
		want bool
	}{
		{"a new value", 100, 7, true},
		{"the same later", 101, 7, false},
		{"the same second again", 100, 7, false},
		{"the same earlier", 99, 7, true},
		{"another bucket", 160, 7, true},
	} {
		if got := d.Add(c.sec, c.hash, 1, 60); got != c.want {
			t.Errorf("%s: changed = %v, want %v", c.name, got, c.want)
		}
	}
	for h := range uint64(DistinctLimit) {
		d.Add(61, 1000+h, 1, 60)
	}
	if d.Add(119, 5000, 1, 60) {
		t.Error("a value later than all of a full bucket was taken")
	}
	if !d.Add(60, 5001, 1, 60) {
		t.Error("a value earlier than the last of a full bucket was refused")
	}
}
