// Package demo is a whole small world on one machine: a real nginx in front of
// a small API, ordinary clients behind shared addresses, and four attackers. It
// starts and drives them and says what they saw; detecting and blocking is
// left to the Portcullis beside it. All clients are documentation addresses
// that a trusted hop on loopback forwards.
package demo

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"text/template"
	"time"

	"github.com/portcullis/portcullis/enforce/gateway"
)

//go:embed nginx.conf.tmpl
var confTemplate string

// Site is the running gateway with the API behind it.
type Site struct {
	URL        string // of the gateway, "http://127.0.0.1:PORT"
	API        string // address of the API behind it
	Dir        string // everything below is in it
	Log        string // access log, combined
	Conf       string // nginx's main configuration
	IncludeDir string // of the generated include files
	PIDFile    string
	PID        int

	proc   *exec.Cmd
	exited chan struct{} // closed when nginx has ended
	server *http.Server
	served chan struct{} // closed when the API's server has ended
	stop   sync.Once
}

// Gateway is how Portcullis reaches this nginx.
func (s *Site) Gateway(binary string) gateway.NginxConfig {
	return gateway.NginxConfig{Binary: binary, Conf: s.Conf, Dir: s.IncludeDir, PIDFile: s.PIDFile}
}

// startTries is how often another port is tried: a port found free may be
// taken before nginx binds it.
const startTries = 5

// Start starts the API and nginx (the program binary) on free loopback ports,
// in a temporary directory below dir ("" = the system's), and returns once the
// gateway answers. Stop ends both; nginx also ends with this process.
func Start(ctx context.Context, binary, dir string) (*Site, error) {
	root, err := os.MkdirTemp(dir, "portcullis-demo-")
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	s := &Site{
		Dir: root, Log: filepath.Join(root, "access.log"), Conf: filepath.Join(root, "nginx.conf"),
		IncludeDir: filepath.Join(root, "portcullis"), PIDFile: filepath.Join(root, "nginx.pid"),
	}
	if err := s.start(ctx, binary); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Site) start(ctx context.Context, binary string) error {
	// nginx's workers run as another user when root starts it.
	if err := os.Chmod(s.Dir, 0o755); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if err := gateway.PrepareNginx(s.Gateway(binary)); err != nil {
		return err
	}
	if err := s.serveAPI(); err != nil {
		return err
	}
	var err error
	for range startTries {
		if err = s.startNginx(ctx, binary); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// serveAPI serves the API on a free port.
func (s *Site) serveAPI() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("demo: API: %w", err)
	}
	s.API = l.Addr().String()
	s.server = &http.Server{Handler: API(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	s.served = make(chan struct{})
	go func() {
		defer close(s.served)
		_ = s.server.Serve(l) // always ErrServerClosed: Stop ends it
	}()
	return nil
}

// writeConf renders the configuration for a port.
func (s *Site) writeConf(listen string) error {
	t, err := template.New("nginx.conf").Parse(confTemplate)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]string{
		"Dir": s.Dir, "Log": s.Log, "API": s.API, "Include": s.IncludeDir, "Listen": listen,
	})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return os.WriteFile(s.Conf, b.Bytes(), 0o644)
}

// startNginx starts nginx on a free port and waits for an answer.
func (s *Site) startNginx(ctx context.Context, binary string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	listen := l.Addr().String()
	if err := errors.Join(l.Close(), s.writeConf(listen)); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	s.URL = "http://" + listen
	var said bytes.Buffer
	s.proc = exec.Command(binary, "-c", s.Conf, "-g", "daemon off;")
	s.proc.Stderr = &said
	s.proc.SysProcAttr = dieWithParent()
	s.exited = make(chan struct{})
	started := make(chan error, 1)
	go s.runNginx(started)
	if err := <-started; err != nil {
		return fmt.Errorf("demo: start nginx: %w", err)
	}
	s.PID = s.proc.Process.Pid
	if err := s.awaitAnswer(ctx); err != nil {
		s.endNginx()
		return fmt.Errorf("demo: nginx: %w: %q", err, clip(said.String(), 300))
	}
	return nil
}

// awaitAnswer polls until the gateway serves the API.
func (s *Site) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/healthz", nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.exited:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// endNginx asks nginx to end, and after two seconds makes it.
func (s *Site) endNginx() {
	if s.proc == nil || s.proc.Process == nil {
		return
	}
	_ = s.proc.Process.Signal(syscall.SIGTERM)
	limit := time.NewTimer(2 * time.Second)
	defer limit.Stop()
	select {
	case <-s.exited:
	case <-limit.C:
		_ = s.proc.Process.Kill()
		<-s.exited
	}
	s.proc = nil
}

// Stop ends nginx and the API and removes the directory. It may be called more
// than once.
func (s *Site) Stop() error {
	var err error
	s.stop.Do(func() {
		s.endNginx()
		if s.server != nil {
			err = s.server.Close()
			<-s.served
		}
		err = errors.Join(err, os.RemoveAll(s.Dir))
	})
	return err
}

// clip caps what a program said.
func clip(text string, most int) string {
	text = strings.TrimSpace(text)
	if len(text) > most {
		text = text[:most]
	}
	return text
}
