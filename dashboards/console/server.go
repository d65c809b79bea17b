// Package console serves the web page for the person on call and the JSON API
// behind it: what the gateway's log shows now, findings with their evidence,
// decisions with their state, and the few things a person may do about them.
//
// It reads the store and the ledger, and it changes nothing itself: a release,
// an approval or an allow entry is posted to the enforcer's inbox with who and
// why. It listens on loopback unless a token and TLS are configured.
//
// Everything it shows of a request was chosen by the one who sent it. The page
// puts such text into the document as text only and makes control characters
// visible; the answers forbid inline script, framing and foreign origins.
package console

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of the HTTP server. The streams of /events lift the write limit for
// themselves, write by write.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10        // bytes
	shutdownTime  = 5 * time.Second // what open requests get when Run ends
)

// Server is the console. Its methods are safe for concurrent use; Run is called
// at most once.
type Server struct {
	cfg    Config
	deps   Deps
	log    *slog.Logger
	now    func() time.Time
	auth   *auth
	reads  *limiter
	writes *limiter

	provider *provider // nil: no OIDC
	document func() ([]byte, error)
	hosts    map[string]bool
	origin   *http.CrossOriginProtection
	tls      *tls.Config // nil: plain HTTP
	handler  http.Handler
	feed     *feed

	closing  chan struct{} // closed when Run ends: the event streams let go
	closeFn  sync.Once
	bound    chan struct{} // closed once addr is set, or listening failed
	addr     net.Addr
	started  sync.Once
	tick     time.Duration // between two events of a stream
	patience time.Duration // how long a write waits for the enforcer's answer
}

// New checks cfg, reads the token and the certificate, and refuses what would
// expose the console. It does not listen yet.
func New(cfg Config, deps Deps) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if deps.Findings == nil || deps.Audit == nil || deps.Decisions == nil || deps.Allowed == nil || deps.Poster == nil || deps.Alerts == nil || deps.Status == nil {
		return nil, errors.New("console: findings, decisions, audit, allowed, poster and status must be given")
	}
	s := &Server{
		cfg: cfg, deps: deps, log: deps.Log, now: deps.Now, hosts: hostNames(cfg),
		origin: http.NewCrossOriginProtection(), closing: make(chan struct{}), bound: make(chan struct{}),
		tick: time.Second, patience: 2 * time.Second,
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.openLogins(); err != nil {
		return nil, err
	}
	var err error
	if cfg.TLSCert != "" {
		if s.tls, err = tlsConfig(cfg.TLSCert, cfg.TLSKey); err != nil {
			return nil, err
		}
	}
	s.feed = newFeed(s)
	s.document = sync.OnceValues(func() ([]byte, error) { return Document(s) })
	s.handler = s.front(s.mux())
	return s, nil
}

// openLogins makes all that says who may do what, and how much of it.
func (s *Server) openLogins() error {
	token, openToAll, err := s.cfg.readToken()
	if err != nil {
		return err
	}
	if openToAll {
		s.log.Warn("console: every user of this machine can read the token file: chmod 600 it", "file", s.cfg.TokenFile)
	}
	path := s.cfg.KeysFile
	if path == "" {
		path = s.deps.KeysFile
	}
	if _, err := ReadKeys(path); err != nil && path != "" {
		return err
	}
	keys := newKeyring(path, func(err error) {
		s.log.Error("console: the API keys known last stay in force", "error", err)
	})
	sessions, err := newSessions(s.deps.SessionsFile, token, s.now)
	if err != nil {
		return err
	}
	if s.auth, err = newAuth(token, keys, sessions); err != nil {
		return err
	}
	s.auth.need = s.cfg.Login() && !s.cfg.NoLogin
	if s.cfg.OIDC.on() {
		if s.provider, err = newProvider(s.cfg.OIDC); err != nil {
			return err
		}
		s.auth.provider = s.provider
	}
	if err := sessions.load(token, func(v *via) Role { return s.auth.still(v, s.now()) }); err != nil {
		s.log.Warn("console: everybody has to log in again", "error", err)
	}
	if s.reads, err = newLimiter(readBurst, readRate); err == nil {
		s.writes, err = newLimiter(writeBurst, writeRate)
	}
	return err
}

// Handler is the whole console as a handler, for tests and for a server of the
// caller's own. Streams end with their requests.
func (s *Server) Handler() http.Handler { return s.handler }

// Addr is the address listened on. It waits for Run to listen, and is nil when
// that failed.
func (s *Server) Addr() net.Addr {
	<-s.bound
	return s.addr
}

// URL is where a browser on this machine finds the console; it waits like Addr.
func (s *Server) URL() string {
	addr := s.Addr()
	if addr == nil {
		return ""
	}
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	return scheme + "://" + addr.String() + "/"
}

// Run listens and serves until ctx ends, then gives open requests five seconds.
// It returns nil after an orderly end.
func (s *Server) Run(ctx context.Context) error {
	first := false
	s.started.Do(func() { first = true })
	if !first {
		return errors.New("console: Run was called twice")
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", s.cfg.listen())
	if err != nil {
		close(s.bound)
		return fmt.Errorf("console: listen: %w (console.listen sets the address; is another portcullis running?)", err)
	}
	s.addr = listener.Addr()
	close(s.bound)
	if s.tls != nil {
		listener = tls.NewListener(listener, s.tls)
	}
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       quiet(s.log),
	}
	s.log.Info("console: serving", "address", s.addr.String(), "tls", s.tls != nil, "login", s.auth.need)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		s.end()
		return fmt.Errorf("console: serve: %w", err)
	case <-ctx.Done():
	}
	s.end()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := server.Shutdown(limit); err != nil {
		s.log.Warn("console: requests were cut off at the end", "error", err)
		_ = server.Close() // what Shutdown could not wait for
	}
	<-done
	return nil
}

// end makes the event streams let go.
func (s *Server) end() { s.closeFn.Do(func() { close(s.closing) }) }

// ready is Deps.Ready, or always.
func (s *Server) ready() error {
	if s.deps.Ready == nil {
		return nil
	}
	return s.deps.Ready()
}

// quiet keeps the noise of scanners' broken handshakes out of the operator's log
// unless debug is on.
func quiet(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }
