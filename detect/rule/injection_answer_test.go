package rule

import (
	"testing"

	"github.com/portcullis/portcullis/detect"
)

// TestUsualAnswers: what all but one in 200 answers are below, whatever the few do.
func TestUsualAnswers(t *testing.T) {
	bucket := func(n map[int64]uint32) *answersOf {
		b := &answersOf{at: answerTick}
		for bytes, k := range n {
			b.Sizes[detect.AnswerCell(bytes)] += k
		}
		return b
	}
	for _, c := range []struct {
		name  string
		n     map[int64]uint32
		below int64
		known bool
	}{
		{"too few", map[int64]uint32{1000: 199}, 0, false},
		{"alike", map[int64]uint32{1000: 200}, 1024, true},
		{"nothing but the head", map[int64]uint32{0: 200}, 1, true},
		{"one in 200 is huge", map[int64]uint32{1000: 199, 1 << 30: 1}, 1024, true},
		{"one in a hundred is huge", map[int64]uint32{1000: 198, 1 << 29: 2}, 1 << 30, true},
		{"some are beyond all cells", map[int64]uint32{1000: 198, 1 << 40: 2}, 0, false},
	} {
		var u usualAnswers
		u.learn(bucket(c.n))
		if below, _, known := u.sizes.below(200); below != c.below || known != c.known {
			t.Errorf("%s: below %d, known %v; want %d, %v", c.name, below, known, c.below, c.known)
		}
	}
	var u usualAnswers
	u.learn(bucket(map[int64]uint32{1000: 400}))
	later := bucket(nil)
	later.at += 140 * answerTick
	u.learn(later)
	if _, of, known := u.sizes.below(200); known || of != 0 {
		t.Errorf("after a day, half of 400 answers must be forgotten: %d", of)
	}
}

// TestRareNow: a route that is slow for everybody says nothing of an attack.
func TestRareNow(t *testing.T) {
	const slow = 1 << 16
	for _, c := range []struct {
		fast, slow uint32
		want       bool
	}{{0, 0, true}, {0, 1, false}, {19, 1, true}, {18, 1, false}, {200, 10, true}, {200, 11, false}} {
		var now detect.Answers
		now.Times[detect.AnswerCell(100)] = c.fast
		now.Times[detect.AnswerCell(slow)] = c.slow
		if got := rare(&now.Times, slow); got != c.want {
			t.Errorf("%d fast, %d slow: rare %v", c.fast, c.slow, got)
		}
	}
}
