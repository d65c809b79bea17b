package rule

import (
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// costHour is what was sent to a client in large answers within an hour: who asks for one
// a minute stays below what is too much in two minutes, and costs as much in the end.
type costHour struct {
	cells []costBig // sorted by time
	worst float64   // most times the limit, in the window
	named bool      // and then by a consumer whom the gateway knows
}

// costBig are the large answers of five minutes.
type costBig struct{ at, bytes, n, named int64 }

const (
	costCell  = 300     // seconds
	costLarge = 1 << 20 // bytes of an answer that counts
	costGaps  = 1       // cells of an hour that may be without one
)

// add takes an answer in. It returns the first second of its cell, and whether that is new.
func (h *costHour) add(ev *ingest.Event) (at int64, fresh bool) {
	if ev.BytesOut < costLarge || isMedia(ev.Target) {
		return 0, false
	}
	sec := ev.Time / 1e9
	at = sec - sec%costCell
	i := len(h.cells)
	for i > 0 && h.cells[i-1].at > at {
		i--
	}
	if i == 0 || h.cells[i-1].at != at {
		h.cells = slices.Insert(h.cells, i, costBig{at: at})
		i, fresh = i+1, true
	}
	c := &h.cells[i-1]
	c.bytes += ev.BytesOut
	c.n++
	if ev.Consumer != "" && ev.Flags&ingest.FlagClaimed == 0 {
		c.named++
	}
	return at, fresh
}

// isMedia tells what is watched or heard, at its own pace.
func isMedia(target string) bool {
	switch ending(target) {
	case "mp4", "m4s", "m4v", "ts", "webm", "mov", "mkv", "mp3", "m4a", "aac", "ogg", "opus", "flac", "wav":
		return true
	}
	return false
}

// sum adds up the hour that ends with sec, the end of a cell: 0 if it has a pause.
func (h *costHour) sum(sec int64) (bytes, first int64, named bool) {
	cells, n, known := 0, int64(0), int64(0)
	for i := range h.cells {
		if c := &h.cells[i]; c.at > sec-hour && c.at < sec {
			if first == 0 {
				first = c.at
			}
			cells++
			bytes += c.bytes
			n += c.n
			known += c.named
		}
	}
	if cells < hour/costCell-costGaps {
		return 0, first, false
	}
	return bytes, first, known*2 > n
}

// hourly weighs the hour that ends with sec, and reports whether it is the worst.
func (r *costClient) hourly(s *costs, slot detect.Slot, sec int64) bool {
	bytes, first, named := s.hour.sum(sec)
	times := float64(bytes) / 1e6 / float64(r.cfg.Hourly) / float64(widened(1, r.cfg.PeopleCap, r.env.Standing(slot, sec)))
	if times < 1 || times <= s.hour.worst {
		return false
	}
	s.take(r.env, slot, sec, r.span, true)
	s.now.first = min(s.now.first, first)
	s.hour.worst, s.hour.named = times, named
	return true
}

// forget drops what no later hour has.
func (h *costHour) forget(sec int64) {
	n := 0
	for n < len(h.cells) && h.cells[n].at <= sec-hour-costCell {
		n++
	}
	h.cells = slices.Delete(h.cells, 0, n)
}

func (h *costHour) code(k *window.Codec) {
	n := k.Len(len(h.cells))
	if k.Reading() {
		h.cells = make([]costBig, n)
	}
	for i := range h.cells {
		c := &h.cells[i]
		for _, p := range []*int64{&c.at, &c.bytes, &c.n, &c.named} {
			k.I64(p)
		}
	}
	k.F64(&h.worst)
	k.Bool(&h.named)
}
