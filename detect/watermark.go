package detect

import "github.com/portcullis/portcullis/detect/window"

// timing says how an event stands to the late bound.
type timing uint8

const (
	onTime timing = iota
	late          // its second is closed
	future        // ahead of all others: not believed until others agree
)

// watermark follows the newest event time of the stream. A second is closed
// once an event more than the late bound newer has been seen.
type watermark struct {
	bound   int64 // late bound, seconds
	ceiling int64 // no event is believed to be later; 0 = no such limit
	newest  int64
	ahead   int   // events in a row that were far ahead, and agree
	claim   int64 // the second that the first of them has

	promised int64 // how far the sender of the batch has seen the stream, if it is to be believed; 0 = not said
}

// A jump ahead by more than jumpSeconds is believed once jumpWitnesses events in
// a row agree: one line with a broken date must not close a year of windows.
const (
	jumpSeconds   = 3600
	jumpWitnesses = 3
)

func (w *watermark) pass(sec int64) timing {
	switch {
	case w.ceiling != 0 && sec > w.ceiling:
		return future
	case sec <= w.newest:
		w.ahead = 0
		if sec <= w.closed() {
			return late
		}
		return onTime
	case w.newest == 0 || sec-w.newest <= jumpSeconds || sec <= w.promised:
		w.newest, w.ahead = sec, 0
		return onTime
	}
	if w.ahead == 0 || sec-w.claim > jumpSeconds || w.claim-sec > jumpSeconds {
		w.ahead, w.claim = 0, sec
	}
	if w.ahead++; w.ahead < jumpWitnesses {
		return future
	}
	w.newest, w.ahead = sec, 0
	return onTime
}

// begin gives the stream's first times: the earliest of them counts, so that a
// first line with a broken date does not make all others late.
func (w *watermark) begin(earliest int64) {
	if w.newest == 0 && (w.ceiling == 0 || earliest <= w.ceiling) {
		w.newest = earliest
	}
}

// promise takes in what the sender of a batch says of the stream, in front of its
// lines. The sender counts witnesses as pass does (see Splitter), so a line with a
// broken date is not in it; the clock bounds what a broken sender can do.
func (w *watermark) promise(newest int64) {
	w.promised = 0
	if w.ceiling == 0 || newest <= w.ceiling {
		w.promised = newest
	}
}

// settle moves on to what was promised, behind the lines of the batch.
func (w *watermark) settle() {
	if w.promised > w.newest {
		w.newest, w.ahead = w.promised, 0
	}
	w.promised = 0
}

// advance says from outside that seconds are complete.
func (w *watermark) advance(sec int64) { w.newest = sec + w.bound + 1 }

// code saves or restores how far the stream has come; codeClaim what those claim
// that are ahead of it.
func (w *watermark) code(k *window.Codec) {
	k.I64(&w.newest)
	ahead := int64(w.ahead)
	k.I64(&ahead)
	w.ahead = int(ahead)
}

func (w *watermark) codeClaim(k *window.Codec) {
	if !k.Reading() || len(k.Bytes()) > 0 { // what earlier versions saved ends before it
		k.I64(&w.claim)
	}
}

// closed is the last second that is complete.
func (w *watermark) closed() int64 { return w.newest - w.bound - 1 }
