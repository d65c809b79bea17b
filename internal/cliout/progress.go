package cliout

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Progress is a line on a terminal that says how far long work is: bytes, lines,
// lines a second, and how long the rest will take. Written to anything else it
// does nothing. Its methods may be called by several goroutines.
type Progress struct {
	mu    sync.Mutex
	w     io.Writer
	on    bool
	width int
	total int64
	now   func() time.Time
	start time.Time
	drawn time.Time
}

// redraw is how often the line changes; more often cannot be read.
const redraw = 200 * time.Millisecond

// NewProgress starts a line on w for total bytes of work; 0 = not known.
func NewProgress(w io.Writer, total int64) *Progress {
	p := &Progress{w: w, on: IsTerminal(w), total: total, now: time.Now}
	p.width = StyleOf(w, true).Width
	p.start = p.now()
	return p
}

// Set says what has been done since the start. It is cheap to call per batch.
func (p *Progress) Set(bytes, lines int64) {
	if !p.on || !p.mu.TryLock() {
		return // someone else is drawing
	}
	defer p.mu.Unlock()
	now := p.now()
	if now.Sub(p.drawn) < redraw {
		return
	}
	p.drawn = now
	line := p.line(bytes, lines, now.Sub(p.start))
	fmt.Fprintf(p.w, "\r%s\x1b[K", Safe(line, max(p.width-1, 20)))
}

// Stop removes the line, so that what follows starts in column one.
func (p *Progress) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.on && !p.drawn.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	p.on = false
}

// line is what Set draws.
func (p *Progress) line(bytes, lines int64, took time.Duration) string {
	var parts []string
	share := 0.0
	if p.total > 0 {
		share = min(float64(bytes)/float64(p.total), 1)
		parts = append(parts, fmt.Sprintf("%3d %%", int(share*100)), Bytes(bytes)+" of "+Bytes(p.total))
	} else {
		parts = append(parts, Bytes(bytes))
	}
	parts = append(parts, Count(lines)+" lines")
	if s := took.Seconds(); s > 0 {
		parts = append(parts, Count(int64(float64(lines)/s))+" lines/s")
	}
	if share > 0 && share < 1 && took > time.Second {
		left := time.Duration(float64(took) * (1 - share) / share)
		parts = append(parts, "ETA "+left.Round(time.Second).String())
	}
	return strings.Join(parts, "  ")
}

// Count writes a number with commas between thousands.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	from := 0
	if n < 0 {
		from = 1
	}
	for i := len(s) - 3; i > from; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Bytes writes a number of bytes with a binary unit and three digits or so.
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n > -1024 && n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, u := float64(n)/1024, 0
	for (f >= 1024 || f <= -1024) && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[u])
}
