package ingesttest

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Soak is a live log under load: written and rotated without regard to the
// reader, which is killed at random instants.
type Soak struct {
	Rotations    int
	Lines        int           // per rotation
	Every        time.Duration // between rotations; 0 as fast as the disk takes it
	Kills        int
	CopyTruncate bool
	Deadline     time.Duration // for the reader to catch up at the end
	Seed         uint64
}

// soakChunks is how many writes the lines of one rotation are spread over.
const soakChunks = 100

// SourceSoak runs a source in real time, concurrently with the writer, and
// checks what Source checks. The writer and the copytruncate take turns, as
// otherwise the rotation itself loses lines.
func SourceSoak(t *testing.T, open OpenSource, s Soak) {
	w := newWorld(t, t.TempDir(), open)
	defer w.close()
	w.create()
	w.start()
	w.write(1)
	w.await(s.Deadline) // a first mark; a first start does not look at rotated files
	rnd := rand.New(rand.NewPCG(s.Seed, 3))
	kills := make(map[int]bool)
	for len(kills) < s.Kills {
		kills[rnd.IntN(s.Rotations*soakChunks)] = true
	}
	began, killed := time.Now(), 0
	pace := time.NewTimer(0)
	defer pace.Stop()
	for i := range s.Rotations * soakChunks {
		<-pace.C
		w.write(s.Lines / soakChunks)
		if kills[i] {
			w.stop(0)
			w.start()
			killed++
		}
		if i%soakChunks == soakChunks-1 {
			if s.CopyTruncate {
				w.copyAway()
				w.cut()
			} else {
				w.move()
				w.create()
			}
		}
		due := began.Add(s.Every / soakChunks * time.Duration(i+1))
		pace.Reset(time.Until(due))
	}
	w.write(1)
	wrote := time.Since(began)
	w.await(s.Deadline)
	w.check()
	t.Logf("%d lines in %d files within %v, %d kills: 0 lost, 0 repeated; caught up %v later",
		len(w.lines), w.gen, wrote.Round(time.Millisecond), killed, (time.Since(began) - wrote).Round(time.Millisecond))
}

// await waits until as many lines were read as written, or no more come; check
// judges them.
func (w *world) await(deadline time.Duration) {
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	for {
		w.mu.Lock()
		n := len(w.got)
		w.mu.Unlock()
		if n >= len(w.lines) {
			return
		}
		select {
		case <-w.grew:
		case <-timer.C:
			return
		}
	}
}
