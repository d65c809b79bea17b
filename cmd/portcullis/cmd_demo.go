package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/portcullis/portcullis/deploy/demo"
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce/gateway"
	"github.com/portcullis/portcullis/internal/config"
)

// DemoCmd is "portcullis demo".
type DemoCmd struct {
	Once     bool `name:"once" help:"End after the traffic, with status 1 unless every attacker was found, blocked and verified and no ordinary client was touched."`
	Recorded bool `name:"recorded" help:"Use the recorded log even where there is an nginx."`
}

// Help implements kong.HelpProvider.
func (*DemoCmd) Help() string {
	return `Starts a real NGINX in front of a small API on loopback, Portcullis beside it, ordinary clients behind shared addresses and four attackers, and tells what happens. Needs no settings and leaves nothing behind. Without an nginx, and without root to install it, a recorded log is followed instead.`
}

// stage is one run of the demo.
type stage struct {
	app  *App
	log  string // access log
	site *demo.Site
	dir  string
	pipe *pipeline

	mu      sync.Mutex
	emitted []emission
	began   time.Time
}

// emission is a finding at the moment at which it was handed to the enforcer.
type emission struct {
	at time.Time
	f  detect.Finding
}

// Run implements the command.
func (c *DemoCmd) Run(ctx context.Context, app *App) error {
	dir, err := os.MkdirTemp("", "portcullis-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &stage{app: app, dir: dir, began: now()}
	if !c.Recorded {
		if err := s.openSite(ctx); err != nil {
			return err
		}
	}
	if s.site != nil {
		defer s.stopSite()
	} else {
		s.log = filepath.Join(dir, "access.log")
	}
	return s.play(ctx, c.Once)
}

// openSite starts the gateway; without an nginx it leaves s.site nil.
func (s *stage) openSite(ctx context.Context) error {
	binary, err := demo.FindNginx(ctx, s.app.Out, true)
	if errors.Is(err, demo.ErrNoNginx) {
		s.say("%v. Following a recorded log instead: findings, but no blocks.", err)
		return nil
	}
	if err != nil {
		return err
	}
	if s.site, err = demo.Start(ctx, binary, s.dir); err != nil {
		return err
	}
	s.log = s.site.Log
	s.say("A real NGINX (%s) serves a small API at %s, log %s", binary, s.site.URL, s.site.Log)
	return nil
}

func (s *stage) stopSite() {
	if err := s.site.Stop(); err != nil {
		fmt.Fprintln(s.app.Err, "portcullis:", err)
	}
}

// settings are the embedded defaults with what a demo must say: the log, the
// gateway, and that findings are acted on instead of only proposed.
func (s *stage) settings() (*Settings, error) {
	set := s.app.newSettings()
	if err := config.Load("demo", nil, nil, set); err != nil {
		return nil, err
	}
	set.StateDir = filepath.Join(s.dir, "state")
	src := SourceSettings{Format: "nginx-combined"}
	src.Name, src.Path = "nginx", s.log
	set.Sources = []SourceSettings{src}
	f := &set.Enforce.Policy.Families
	f.Credential, f.Rate, f.Injection, f.Recon = "enforce", "enforce", "enforce", "enforce"
	if s.site != nil {
		gw := s.site.Gateway("")
		g, err := newGatewaySettings("nginx")
		if err != nil {
			return nil, err
		}
		n := g.section().(*gateway.NginxConfig)
		n.Conf, n.Dir, n.PIDFile = gw.Conf, gw.Dir, gw.PIDFile
		set.Gateways = []GatewaySettings{g}
	}
	if l, err := net.Listen("tcp", set.Console.Listen); err != nil {
		set.Console.Listen = "127.0.0.1:0"
	} else if err := l.Close(); err != nil {
		return nil, err
	}
	return set, nil
}

func (s *stage) play(ctx context.Context, once bool) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	log, err := s.app.Logger("warn", "text")
	if err != nil {
		return err
	}
	if s.site == nil {
		if err := os.WriteFile(s.log, nil, 0o644); err != nil {
			return err
		}
	}
	if s.pipe, err = openPipeline(ctx, set, log); err != nil {
		return err
	}
	s.pipe.onEvent = s.heard
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.pipe.run(running) }()
	err = s.scenes(running, log)
	if err == nil && !once && ctx.Err() == nil {
		s.say("The console stays at %s until Ctrl-C.", s.pipe.consoleURL())
		<-ctx.Done()
	}
	stop()
	return errors.Join(err, <-ended)
}

func (s *stage) scenes(ctx context.Context, _ *slog.Logger) error {
	if err := s.awaitConsole(ctx); err != nil {
		return err
	}
	s.say("Portcullis runs beside it; the console is at %s", s.pipe.consoleURL())
	if s.site == nil {
		return s.recorded(ctx)
	}
	s.say("Ordinary clients behind shared addresses start, and four attackers among them.")
	report, err := demo.Traffic(ctx, s.site.URL, demo.Options{Progress: s.progress})
	if err != nil {
		return err
	}
	return s.sum(ctx, report)
}

func (s *stage) awaitConsole(ctx context.Context) error {
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if s.pipe.consoleURL() != "" {
			tick.Stop()
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// recorded plays the recorded log as if it happened now.
func (s *stage) recorded(ctx context.Context) error {
	f, err := os.OpenFile(s.log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	n, err := demo.Replay(ctx, f, 2)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		if b := s.pipe.books.Load(); b.lines >= int64(n) {
			tick.Stop()
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	s.mu.Lock()
	found := map[detect.Subject]bool{}
	for _, e := range s.emitted {
		found[e.f.Subject] = true
	}
	s.mu.Unlock()
	s.say("%d lines followed, %s found. With NGINX they would now be blocked, and the log would show whether that holds.", n, plural(len(found), "client"))
	if len(found) == 0 {
		return errors.New("the recorded attackers were not found")
	}
	return nil
}

// say narrates one thing, with the seconds since the start.
func (s *stage) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sayLocked(format, args...)
}

func (s *stage) sayLocked(format string, args ...any) {
	line := fmt.Sprintf("%5.1fs  ", now().Sub(s.began).Seconds()) + fmt.Sprintf(format, args...) + "\n"
	if _, err := io.WriteString(s.app.Out, line); err != nil {
		return // nobody reads on; the demo goes on to its end
	}
}

// heard hears of findings as they are handed to the enforcer.
func (s *stage) heard(f detect.Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emitted = append(s.emitted, emission{now(), f})
	if f.Severity >= detect.Medium {
		s.sayLocked("finding   %-8s %-12s %-24s %s", f.Severity, f.Rule, f.Subject.Value, f.Why)
	}
}

func (s *stage) progress(p demo.Progress) {
	switch p.Step {
	case demo.Starts:
		s.say("attacker  %-8s %s: %s", p.Attacker.Kind, p.Attacker.Addr, p.Attacker.Doing)
	case demo.Denied:
		s.say("refused   %-8s %s got %d after %d requests, %.1f s after its first", p.Attacker.Kind, p.Attacker.Addr,
			p.Attacker.DenyStatus, len(p.Attacker.Sent), p.Took.Seconds())
	}
}
