package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// haproxyAPI speaks HAProxy's Runtime API (management guide, section 9.3). One command, or
// several of one line, is one connection: what one leaves unread is no other's answer.
//
// Commands are made of map names from the settings and of lines that haproxyMaps rendered
// from hexadecimal digits, prefixes and numbers. A semicolon or a line break in one of them
// would be a command of its own; vetted refuses it.
type haproxyAPI struct {
	socket  string
	timeout time.Duration
}

const (
	// haproxyChunk bounds what goes over in one command: above its buffer (16 KB by
	// default) HAProxy takes nothing and says nothing.
	haproxyChunk = 8 << 10
	// haproxyFew is up to how many changes are made one by one.
	haproxyFew = 400
	// haproxyAnswer bounds an answer; 100 000 entries are about 7 MB.
	haproxyAnswer = 1 << 30
)

// ask sends one line, or a command with its payload, and returns the answer.
func (a haproxyAPI) ask(ctx context.Context, command string) ([]byte, error) {
	network := "unix"
	if !strings.HasPrefix(a.socket, "/") {
		network = "tcp"
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, a.socket)
	if err != nil {
		return nil, explainSocket(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return nil, explainSocket(errors.Join(ctx.Err(), err))
	}
	answer, err := io.ReadAll(io.LimitReader(conn, haproxyAnswer))
	if err != nil {
		return nil, explainSocket(errors.Join(ctx.Err(), err))
	}
	if bytes.Contains(answer[:min(len(answer), 200)], []byte("Permission denied")) {
		return nil, errors.New("the stats socket does not allow it: its line needs level admin")
	}
	return answer, nil
}

// explainSocket adds what an operator can do.
func explainSocket(err error) error {
	hint := ""
	switch {
	case errors.Is(err, os.ErrNotExist):
		hint = " (does HAProxy run, and does its global section have: stats socket PATH mode 660 level admin?)"
	case errors.Is(err, os.ErrPermission):
		hint = " (let the user that Portcullis runs as use the socket)"
	case errors.Is(err, syscall.ECONNREFUSED):
		hint = " (HAProxy does not run)"
	}
	return fmt.Errorf("stats socket: %w%s", err, hint)
}

// do sends commands that answer nothing when they succeed.
func (a haproxyAPI) do(ctx context.Context, commands string) error {
	answer, err := a.ask(ctx, commands)
	if err != nil {
		return err
	}
	if said := bytes.TrimSpace(answer); len(said) > 0 {
		return fmt.Errorf("HAProxy says %.200q", said)
	}
	return nil
}

// maps lists the files of the maps that HAProxy has loaded.
func (a haproxyAPI) maps(ctx context.Context) ([]string, error) {
	answer, err := a.ask(ctx, "show map")
	if err != nil {
		return nil, err
	}
	var files []string
	for line := range strings.Lines(string(answer)) {
		if _, rest, ok := strings.Cut(line, " ("); ok && line[0] != '#' {
			name, _, _ := strings.Cut(rest, ") ")
			files = append(files, name)
		}
	}
	return files, nil
}

// show returns the lines of a map; version "" is the one in force.
func (a haproxyAPI) show(ctx context.Context, version, file string) ([]haproxyLine, error) {
	answer, err := a.ask(ctx, "show map "+version+file)
	if err != nil {
		return nil, err
	}
	var out []haproxyLine
	for line := range strings.Lines(string(answer)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		id, rest, ok := strings.Cut(line, " ")
		key, value, _ := strings.Cut(rest, " ")
		if !ok || !strings.HasPrefix(id, "0x") {
			return nil, fmt.Errorf("HAProxy says %.200q", line)
		}
		out = append(out, haproxyLine{key, value})
	}
	return out, nil
}

// become makes a map hold just these lines, sorted by key, and returns how many differed.
func (a haproxyAPI) become(ctx context.Context, file string, want []haproxyLine) (changed int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := vetted(want); err != nil {
		return 0, err
	}
	have, err := a.show(ctx, "", file)
	if err != nil {
		return 0, err
	}
	if slices.Equal(have, want) {
		return 0, nil
	}
	commands, changed := haproxyDiff(file, have, want)
	switch {
	case changed == 0: // in another order
		return 0, nil
	case len(commands) > haproxyFew, vetted(have) != nil: // or somebody else's key, which may have blanks
		return changed, a.replace(ctx, file, want)
	}
	return changed, a.each(ctx, commands)
}

// each sends commands, as many at once as fit into a line.
func (a haproxyAPI) each(ctx context.Context, commands []string) error {
	for len(commands) > 0 {
		n, size := 0, 0
		for n < len(commands) && (n == 0 || size+len(commands[n]) < haproxyChunk) {
			size += len(commands[n]) + 1
			n++
		}
		if err := a.do(ctx, strings.Join(commands[:n], ";")); err != nil {
			return err
		}
		commands = commands[n:]
	}
	return nil
}

// replace builds a new version of a map, counts it, and puts it in force at once.
func (a haproxyAPI) replace(ctx context.Context, file string, want []haproxyLine) error {
	answer, err := a.ask(ctx, "prepare map "+file)
	if err != nil {
		return err
	}
	number, ok := strings.CutPrefix(strings.TrimSpace(string(answer)), "New version created: ")
	if !ok || strings.Trim(number, "0123456789") != "" {
		return fmt.Errorf("prepare map: HAProxy says %.200q", answer)
	}
	version := "@" + number + " "
	err = a.fill(ctx, version, file, want)
	if err == nil {
		err = a.do(ctx, "commit map "+version+file)
	}
	if err != nil {
		// What is left of it would stay in memory; the next prepare does not take it away.
		err = errors.Join(err, a.do(context.WithoutCancel(ctx), "clear map "+version+file))
	}
	return err
}

func (a haproxyAPI) fill(ctx context.Context, version, file string, want []haproxyLine) error {
	head := "add map " + version + file + " <<\n"
	var chunk strings.Builder
	flush := func() error {
		if chunk.Len() == 0 {
			return nil
		}
		err := a.do(ctx, head+chunk.String())
		chunk.Reset()
		return err
	}
	for _, l := range want {
		if chunk.Len()+len(l.key)+len(l.value)+2 > haproxyChunk {
			if err := flush(); err != nil {
				return err
			}
		}
		chunk.WriteString(l.key + " " + l.value + "\n")
	}
	if err := flush(); err != nil {
		return err
	}
	have, err := a.show(ctx, version, file)
	if err == nil && len(have) != len(want) {
		err = fmt.Errorf("%d of %d entries arrived: nothing was put in force", len(have), len(want))
	}
	return err
}
