package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

func init() {
	Register("file", Spec{
		Doc:     "a file with the whole list, replaced at once, for any program that reads one",
		How:     "a file, replaced by a rename",
		Tested:  "a reader of its own",
		Holds:   "what its settings say",
		Actions: []enforce.Action{enforce.Block, enforce.Throttle, enforce.Challenge, enforce.Tarpit, enforce.Revoke},
		Config:  func() any { return new(FileConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewFile(*config.(*FileConfig)) },
		Setup: func(_ context.Context, w io.Writer, config any, _ bool) error {
			cfg := *config.(*FileConfig)
			_, err := fmt.Fprintf(w, "Portcullis replaces %s whenever the list changes; its folder must be there and be writable.\n", cfg.Path)
			return err
		},
	})
}

// FileConfig is the "file" section of a gateway.
type FileConfig struct {
	Path     string `yaml:"path" default:"/var/lib/portcullis/blocklist.jsonl" doc:"The file; its folder must be there."`
	Format   string `yaml:"format" default:"jsonl" enum:"jsonl,addresses" doc:"jsonl: one JSON object a line with kind, value, route, action, rate, burst, until, id; addresses: blocked addresses and prefixes only, one a line."`
	OwnKinds `yaml:",inline"`
}

// Check reports settings that cannot work, by the rules of internal/config.
func (c FileConfig) Check(report func(key, message string)) {
	if !filepath.IsAbs(c.Path) {
		report("path", "must be an absolute path")
	}
}

// File is a plain file. Who reads it, and when, is not known: an Apply has succeeded once the
// file stands.
type File struct {
	ownAbility
	cfg FileConfig
	mu  sync.Mutex // one Apply at a time
}

// NewFile makes the gateway; it touches nothing until Apply.
func NewFile(cfg FileConfig) (*File, error) {
	if err := settled("file", cfg.Check); err != nil {
		return nil, err
	}
	if cfg.Format == "addresses" {
		cfg.OwnKinds = OwnKinds{Kinds: []string{"ip", "cidr"}, Actions: []string{"block"}}
	}
	return &File{cfg: cfg, ownAbility: cfg.ability("file")}, nil
}

// Name implements enforce.Gateway.
func (g *File) Name() string { return g.name }

// Apply implements enforce.Gateway.
func (g *File) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	list, err := g.normal(want)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway file: %w", err)
	}
	text, err := g.render(list)
	if err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway file: %w", err)
	}
	done := enforce.Applied{Entries: len(list)}
	if !same(g.cfg.Path, text) {
		now := heldOf(list)
		done.Changed = max(1, now.changed(readHeld(g.heldFile())))
		if err := writeAtomic(g.cfg.Path, []byte(text)); err != nil {
			return enforce.Applied{}, explainDir(g.name, filepath.Dir(g.cfg.Path), err)
		}
		if err := now.write(g.heldFile()); err != nil {
			return enforce.Applied{}, explainDir(g.name, filepath.Dir(g.cfg.Path), err)
		}
	}
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
}

func (g *File) heldFile() string {
	return filepath.Join(filepath.Dir(g.cfg.Path), "."+filepath.Base(g.cfg.Path)+".held")
}

func (g *File) render(list []enforce.Entry) (string, error) {
	var b strings.Builder
	for i := range list {
		w := wireOf(&list[i])
		if g.cfg.Format == "addresses" {
			b.WriteString(w.Value + "\n")
			continue
		}
		line, err := json.Marshal(w)
		if err != nil {
			return "", err
		}
		b.Write(append(line, '\n'))
	}
	return b.String(), nil
}

// Check implements enforce.Gateway.
func (g *File) Check(context.Context) error { return probeDir(g.name, filepath.Dir(g.cfg.Path)) }
