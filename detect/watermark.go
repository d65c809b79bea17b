package detect

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
	case w.newest == 0 || sec-w.newest <= jumpSeconds:
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

// closed is the last second that is complete.
func (w *watermark) closed() int64 { return w.newest - w.bound - 1 }
