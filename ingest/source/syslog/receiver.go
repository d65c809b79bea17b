// Package syslog receives log lines over syslog: UDP (RFC 5426), TCP with both
// framings (RFC 6587), TLS (RFC 5425) and unix sockets. A message becomes one line
// of the spool as it came, header included; what reads the spool takes the header
// off (package envelope).
//
// What is lost, and what is not: UDP has no back-pressure, so what does not fit
// into the kernel's buffer, or into a full spool, is dropped; both are counted
// (Stats.Dropped) and said once a minute. On connections and unix sockets a full
// spool or a failing disk stops the reading, and the sender waits.
//
// Syslog has no acknowledgement. A sender that wants one over TCP or TLS ends its
// half of the connection (FIN, close_notify) and waits: the other half is ended in
// the same way only after everything is in the spool; in any other case, a kill
// included, the connection is reset.
package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/ingest/source/serve"
	"github.com/portcullis/portcullis/ingest/source/spool"
)

// Receiver implements spool.Receiver; one Serve at a time.
type Receiver struct {
	cfg      Config
	listen   []address
	allow    []netip.Prefix
	tls      *tls.Config // nil without tls
	troubles troubles

	received, refused, rejected, senders atomic.Int64
	dropped                              atomic.Int64 // no room in the spool
	overflow                             atomic.Int64 // no room in the kernel's buffer

	mu    sync.Mutex
	bound []net.Addr
	ready chan struct{} // closed when bound is set
	once  sync.Once
}

var _ spool.Receiver = (*Receiver)(nil)

// New checks the settings and reads the certificates. It listens to nothing yet.
func New(cfg Config) (*Receiver, error) {
	if err := serve.First("syslog", cfg.Check); err != nil {
		return nil, err
	}
	r := &Receiver{cfg: cfg.withDefaults(), ready: make(chan struct{})}
	secure := false
	for _, text := range cfg.Listen {
		a, _ := parseAddress(text) // checked above
		r.listen = append(r.listen, a)
		secure = secure || a.scheme == "tls"
	}
	for _, text := range cfg.Allow {
		p, _ := parsePrefix(text) // checked above
		r.allow = append(r.allow, p)
	}
	if secure {
		var err error
		files := serve.Certificates{Cert: cfg.Cert, Key: cfg.Key, ClientCA: cfg.ClientCA}
		if r.tls, err = files.Config(r.cfg.Log); err != nil {
			return nil, fmt.Errorf("syslog: tls: %w", err)
		}
	}
	return r, nil
}

// Stats implements spool.Receiver.
func (r *Receiver) Stats() spool.Stats {
	return spool.Stats{
		Received: r.received.Load(), Dropped: r.dropped.Load() + r.overflow.Load(),
		Refused: r.refused.Load(), Rejected: r.rejected.Load(), Senders: r.senders.Load(),
	}
}

// Listening is closed once every address is bound for the first time.
func (r *Receiver) Listening() <-chan struct{} { return r.ready }

// Addr returns the bound addresses in the order of the settings, nil before
// Listening.
func (r *Receiver) Addr() []net.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bound
}

// listener is one bound address.
type listener interface {
	Addr() net.Addr
	serve(ctx context.Context, in spool.Intake) // until ctx ends
	Close() error
}

// Serve implements spool.Receiver.
func (r *Receiver) Serve(ctx context.Context, in spool.Intake) error {
	var open []listener
	closeAll := func() {
		for _, l := range open {
			l.Close() // nothing waits in it any more
		}
	}
	for _, a := range r.listen {
		l, err := r.bind(ctx, a)
		if err != nil {
			closeAll()
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("syslog: %w; %s", err, hint(err))
		}
		open = append(open, l)
	}
	defer closeAll()
	r.announce(open)
	var all sync.WaitGroup
	all.Go(func() { r.report(ctx) })
	for _, l := range open {
		all.Go(func() { l.serve(ctx, in) })
	}
	all.Wait()
	return nil
}

func (r *Receiver) bind(ctx context.Context, a address) (listener, error) {
	switch a.scheme {
	case "udp":
		return r.listenUDP(ctx, a.where)
	case "unixgram":
		return r.listenDatagrams(a.where)
	case "unix":
		return r.listenUnix(a.where)
	}
	return r.listenTCP(ctx, a)
}

func (r *Receiver) announce(open []listener) {
	bound := make([]net.Addr, 0, len(open))
	for i, l := range open {
		bound = append(bound, l.Addr())
		r.cfg.Log.Info("syslog: listening", "address", address{r.listen[i].scheme, l.Addr().String()}.String())
	}
	r.mu.Lock()
	r.bound = bound
	r.mu.Unlock()
	r.once.Do(func() { close(r.ready) })
}

// allowed says whether an address may send.
func (r *Receiver) allowed(a netip.Addr) bool {
	if len(r.allow) == 0 {
		return true
	}
	a = a.Unmap().WithZone("")
	for _, p := range r.allow {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// store appends n messages for a sender that can wait, and waits while there is
// no room or the disk refuses. It fails only when ctx ends; then they are lost,
// unless the sender sends again what it was not told to be stored.
func (r *Receiver) store(ctx context.Context, in spool.Intake, lines []byte, n int) error {
	if len(lines) == 0 {
		return nil
	}
	delay := 10 * time.Millisecond
	for held := false; ; held = true {
		if in.Append(lines) == nil { // the spool says what is wrong with it
			r.received.Add(int64(n))
			return nil
		}
		if !held {
			r.refused.Add(1)
		}
		if !pause(ctx, delay) {
			r.dropped.Add(int64(n))
			return ctx.Err()
		}
		delay = min(2*delay, time.Second)
	}
}

// pause waits; false means that ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// hint adds what the operator can do about an address that cannot be bound.
func hint(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "another program listens there (rsyslogd, syslog-ng?): stop it, or choose another port"
	case errors.Is(err, os.ErrPermission):
		return "ports below 1024 need CAP_NET_BIND_SERVICE (AmbientCapabilities= in systemd), a socket's folder must be writable"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine has no such address"
	case errors.Is(err, os.ErrNotExist):
		return "make the socket's folder (RuntimeDirectory= in systemd)"
	}
	return "check the address under listen"
}
