package demo

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"time"
)

// recordedLog is the access log of a real run of the demo's traffic through a
// real nginx with nothing enforced (go test -tags record -run
// Record ./deploy/demo).
//
//go:embed recorded.log.gz
var recordedLog []byte

const logTime = "02/Jan/2006:15:04:05 -0700"

// Recorded reads the recorded log, for where no nginx is to be had.
func Recorded() (io.Reader, error) {
	r, err := gzip.NewReader(bytes.NewReader(recordedLog))
	if err != nil {
		return nil, fmt.Errorf("demo: recorded log: %w", err)
	}
	return r, nil
}

// Replay writes the recorded log to w as if it happened now: each line when its
// time has come, with the times of the present. Speed 1 is as it was; faster,
// the times keep their distances and the last line's is when it is written, so
// that no line is from the future. It returns the number of lines.
func Replay(ctx context.Context, w io.Writer, speed float64) (int, error) {
	lines, err := recordedLines()
	if err != nil {
		return 0, err
	}
	if speed <= 0 {
		speed = 1
	}
	first, last := lines[0].at, lines[len(lines)-1].at
	began := time.Now()
	shift := began.Add(time.Duration(float64(last.Sub(first)) / speed)).Sub(last)
	for i, line := range lines {
		due := began.Add(time.Duration(float64(line.at.Sub(first)) / speed))
		if wait := time.Until(due); wait > 0 && !pause(ctx, wait) {
			return i, ctx.Err()
		}
		text := string(line.head) + line.at.Add(shift).UTC().Format(logTime) + string(line.tail)
		if _, err := io.WriteString(w, text); err != nil {
			return i, fmt.Errorf("demo: replay: %w", err)
		}
	}
	return len(lines), nil
}

// recordedLine is a line, cut around its time.
type recordedLine struct {
	head, tail []byte
	at         time.Time
}

func recordedLines() ([]recordedLine, error) {
	r, err := Recorded()
	if err != nil {
		return nil, err
	}
	var out []recordedLine
	scan := bufio.NewScanner(r)
	for scan.Scan() {
		text := bytes.Clone(scan.Bytes())
		open, end := bytes.IndexByte(text, '['), bytes.IndexByte(text, ']')
		if open < 0 || end < open {
			return nil, fmt.Errorf("demo: recorded log: line %d has no time", len(out)+1)
		}
		at, err := time.Parse(logTime, string(text[open+1:end]))
		if err != nil {
			return nil, fmt.Errorf("demo: recorded log: line %d: %w", len(out)+1, err)
		}
		out = append(out, recordedLine{text[:open+1], append(text[end:], '\n'), at})
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("demo: recorded log: %w", err)
	}
	if len(out) == 0 {
		return nil, errors.New("demo: recorded log: empty")
	}
	return out, nil
}
