package inspect

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/ingest"
)

// cpu is the processor time of this thread in nanoseconds. Unlike the clock it
// does not depend on what else the machine does.
func cpu(t *testing.T) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano()
}

// TestLinear demands that eight times the bytes cost no more than about eight
// times the work, whatever is repeated. It prints what 8 KB cost.
func TestLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	in := New(Config{MaxBytes: 64 << 10})
	cost := func(ev *ingest.Event) int64 {
		best := int64(1 << 62)
		for range 5 {
			start := cpu(t)
			in.full(ev)
			best = min(best, cpu(t)-start)
		}
		return best
	}
	worst, of := int64(0), ""
	for _, unit := range heavy {
		small := cost(&ingest.Event{Target: heavyTarget(unit, 8<<10)})
		big := cost(&ingest.Event{Target: heavyTarget(unit, 64<<10)})
		if big > 16*small+100_000 {
			t.Errorf("%q: 8 KB take %d us, 64 KB %d us", unit, small/1000, big/1000)
		}
		if small > worst {
			worst, of = small, unit
		}
		t.Logf("%-14q 8 KB %5d us, 64 KB %6d us", unit, small/1000, big/1000)
	}
	t.Logf("the worst 8 KB are of %q: %d us", of, worst/1000)
}
