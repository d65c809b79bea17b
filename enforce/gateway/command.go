package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

func init() {
	Register("command", Spec{
		Doc:     "a program of your own that is told what to hold, by JSON on its standard input",
		How:     "a program, JSON on its standard input",
		Tested:  "a program of its own",
		Holds:   "what its settings say",
		Actions: []enforce.Action{enforce.Block, enforce.Throttle, enforce.Challenge, enforce.Tarpit, enforce.Revoke},
		Config:  func() any { return new(CommandConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewCommand(*config.(*CommandConfig)) },
		Setup:   setupHook,
	})
}

// setupHook tells on w what programs of others are told.
func setupHook(_ context.Context, w io.Writer, _ any, _ bool) error {
	_, err := fmt.Fprint(w, `What it is told, as one JSON object:

	{"version": 1, "whole": true, "entries": [ENTRY…]}             all there is to be
	{"version": 1, "whole": false, "added": [ENTRY…], "removed": [ENTRY…]}   the difference

An ENTRY, of which fields that say nothing are left out:

	{"id": "…", "kind": "ip", "value": "192.0.2.1", "route": "/orders/{id}",
	 "action": "throttle", "rate": 2, "burst": 10, "until": "2030-01-02T03:04:05Z"}

Kind is ip, cidr, consumer, account, key, session, fingerprint, asn, country or route; value
and route may hold anything that a client sent. "added" has what changed, too. After
success the state counts as held; after a failure all of it is told again.
`)
	return err
}

// CommandConfig is the "command" section of a gateway.
type CommandConfig struct {
	Command  []string      `yaml:"command" doc:"Program and its arguments, without a shell; nothing is added to them. Status 0 means that the state is held."`
	Verify   []string      `yaml:"verify" doc:"Program that says by status 0 that what it was told last is still held; empty = it is taken to be. It is asked with every reconciling."`
	Timeout  time.Duration `yaml:"timeout" default:"30s" doc:"How long a run may take before it is killed."`
	OwnKinds `yaml:",inline"`
}

// Check reports settings that cannot work, by the rules of internal/config.
func (c CommandConfig) Check(report func(key, message string)) {
	if len(c.Command) == 0 {
		report("command", "is missing")
	}
	if c.Timeout <= 0 {
		report("timeout", "must be more than 0")
	}
}

// Command is a program that holds the state. Its arguments are the settings' alone: what a
// client was called reaches it as JSON only.
type Command struct {
	ownAbility
	cfg CommandConfig

	mu    sync.Mutex                   // one Apply at a time
	known map[enforce.Target]wireEntry // nil = not known
}

// NewCommand makes the gateway; it runs nothing until Apply.
func NewCommand(cfg CommandConfig) (*Command, error) {
	if err := settled("command", cfg.Check); err != nil {
		return nil, err
	}
	return &Command{cfg: cfg, ownAbility: cfg.ability("command")}, nil
}

// Name implements enforce.Gateway.
func (g *Command) Name() string { return g.name }

// Apply implements enforce.Gateway.
func (g *Command) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	list, err := g.normal(want)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway command: %w", err)
	}
	change, now, changed := changeTo(g.known, list)
	if changed == 0 && !change.Whole && g.lost(ctx) {
		change, _, _ = changeTo(nil, list)
	}
	done := enforce.Applied{Entries: len(list), Changed: changed}
	if changed > 0 || change.Whole {
		text, err := json.Marshal(change)
		if err != nil {
			return enforce.Applied{}, fmt.Errorf("gateway command: %w", err)
		}
		g.known = nil // until it has said that it holds
		if err := g.run(ctx, g.cfg.Command, text); err != nil {
			return enforce.Applied{}, fmt.Errorf("gateway command: %w", err)
		}
		g.known = now
	}
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
}

// lost asks whether what was told is still held.
func (g *Command) lost(ctx context.Context) bool {
	return len(g.cfg.Verify) > 0 && g.run(ctx, g.cfg.Verify, nil) != nil
}

func (g *Command) run(ctx context.Context, command []string, in []byte) error {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.WaitDelay = time.Second
	cmd.Stdin = bytes.NewReader(in)
	out := &excerpt{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%.100q: %w, it says %.300q", command[0], errors.Join(ctx.Err(), err), out.text)
	}
	return nil
}

// excerpt keeps the beginning of what a program prints.
type excerpt struct{ text []byte }

// Write implements io.Writer.
func (t *excerpt) Write(p []byte) (int, error) {
	t.text = append(t.text, p[:min(len(p), max(0, 1024-len(t.text)))]...)
	return len(p), nil
}

// Check implements enforce.Gateway: the program is there.
func (g *Command) Check(context.Context) error {
	if _, err := exec.LookPath(g.cfg.Command[0]); err != nil {
		return fmt.Errorf("gateway command: no program %.100q: %w", g.cfg.Command[0], err)
	}
	return nil
}
