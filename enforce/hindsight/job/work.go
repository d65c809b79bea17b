package job

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// Bounds of what a job's process says, in bytes; what is longer is left out. patience is
// what it has to end by itself before it is killed.
const (
	maxLine  = 4 << 10
	maxWords = 500
	patience = 10 * time.Second
)

// tail keeps the end of what is written to it.
type tail struct{ text []byte }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if extra := len(t.text) - maxLine; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

// words is the last line.
func (t *tail) words() string {
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.text), "?"))
	text = text[strings.LastIndexByte(text, '\n')+1:]
	return text[max(0, len(text)-maxWords):]
}

// work runs the process of a job to its end.
func (d *Desk) work(ctx context.Context, id string, cmd *exec.Cmd) error {
	said := &tail{}
	cmd.Stderr = said
	cmd.WaitDelay = patience
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("backtest: %w", err)
	}
	cmd.Cancel = in.Close
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("backtest: %w", errors.Join(err, in.Close()))
	}
	if err := startLow(cmd); err != nil {
		return fmt.Errorf("backtest: %w", err)
	}
	d.follow(id, out)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("the process ended with %s: %s", exit, said.words())
	}
	return err
}

// follow takes in how far the process is, until it closes its output.
func (d *Desk) follow(id string, out io.Reader) {
	lines := bufio.NewReaderSize(out, maxLine)
	for cut := false; ; {
		line, more, err := lines.ReadLine()
		if err != nil {
			return
		}
		whole := !cut && !more
		cut = more
		var far struct {
			Reading     int
			Read, Total int64
		}
		if !whole || json.Unmarshal(line, &far) != nil || far.Reading == 0 {
			continue
		}
		d.change(id, func(j *Job) { j.Reading, j.Read, j.Total = far.Reading, far.Read, far.Total })
	}
}
