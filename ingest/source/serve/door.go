package serve

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Bounds of wrong keys: a network may show maxWrong within wrongSpan, then it
// waits. Memory is bounded by maxSuspects entries; the longest unused goes first.
const (
	maxWrong    = 10
	wrongSpan   = time.Minute
	maxSuspects = 4096
)

// Door decides who comes in. It is safe for concurrent use.
type Door struct {
	access Access
	log    *slog.Logger
	now    func() time.Time
	tls    *tls.Config // nil: plain
	keys   *watched[[]key]

	mu    sync.Mutex
	wrong *lru.Cache[netip.Prefix, strikes]
	good  *lru.Cache[known, struct{}]

	open atomic.Int64 // connections now
	held atomic.Int64 // times a connection had to wait for another to end
	shut atomic.Int64 // requests refused for their key
}

// strikes counts the wrong keys of a network.
type strikes struct {
	n     int
	since time.Time
}

// known is a key that a network has shown and that was right.
type known struct {
	from   netip.Prefix
	digest [sha256.Size]byte
}

// Verdict is what a Door says of a request.
type Verdict struct {
	Name string        // of the key, for logs; "" where none is asked for
	OK   bool          // come in
	Wait time.Duration // > 0: too many wrong keys from there; the key was not looked at
}

// NewDoor reads the certificate and the keys.
func NewDoor(access Access, log *slog.Logger) (*Door, error) {
	if log == nil {
		log = slog.Default()
	}
	if access.Connections == 0 {
		access.Connections = defaultConnections
	}
	d := &Door{access: access, log: log, now: time.Now}
	var err error
	if d.tls, err = access.tlsConfig(log); err != nil {
		return nil, err
	}
	if access.Keys != "" {
		if d.keys, err = watch(log, func() ([]key, error) { return readKeys(access.Keys) }, access.Keys); err != nil {
			return nil, err
		}
		d.warnOpen()
	}
	if d.wrong, err = lru.New[netip.Prefix, strikes](maxSuspects); err != nil {
		return nil, fmt.Errorf("serve: wrong keys: %w", err)
	}
	if d.good, err = lru.New[known, struct{}](maxSuspects); err != nil {
		return nil, fmt.Errorf("serve: known keys: %w", err)
	}
	return d, nil
}

// warnOpen says that others can read the keys.
func (d *Door) warnOpen() {
	if info, err := os.Stat(d.access.Keys); err == nil && info.Mode().Perm()&0o004 != 0 {
		d.log.Warn("serve: every user of this machine can read the keys file: chmod 640 it", "file", d.access.Keys)
	}
}

// Admit looks at the key that a request from remote shows. A network with too
// many wrong keys waits, except for the keys that it has shown before and that
// were right: a misconfigured sender does not shut out its neighbour.
func (d *Door) Admit(remote, shown string) Verdict {
	if d.keys == nil {
		return Verdict{OK: true}
	}
	keys, changed := d.keys.current()
	id := known{network(remote), sha256.Sum256([]byte(shown))}
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if changed {
		d.good.Purge()
	}
	s, _ := d.wrong.Get(id.from)
	if age := now.Sub(s.since); age >= wrongSpan || age < 0 {
		s = strikes{since: now}
	}
	if s.n >= maxWrong && !d.good.Contains(id) {
		d.shut.Add(1)
		return Verdict{Wait: s.since.Add(wrongSpan).Sub(now)}
	}
	if name, ok := find(keys, id.digest); ok {
		d.good.Add(id, struct{}{})
		return Verdict{Name: name, OK: true}
	}
	d.shut.Add(1)
	if s.n++; s.n == maxWrong {
		d.log.Warn("serve: too many requests with a wrong or no API key, the sender waits", "network", id.from.String(), "wait", wrongSpan)
	} else if s.n == 1 {
		d.log.Warn("serve: a request with a wrong or no API key was refused", "network", id.from.String())
	}
	d.wrong.Add(id.from, s)
	return Verdict{}
}

// AdmitHTTP is Admit for an HTTP request.
func (d *Door) AdmitHTTP(r *http.Request) Verdict {
	return d.Admit(r.RemoteAddr, shownKey(r.Header.Get("X-Api-Key"), r.Header.Get("Authorization")))
}

// shownKey is the API key of the two headers that may carry it: x-api-key, and
// Authorization with the scheme Bearer (RFC 6750 section 2.1).
func shownKey(apiKey, authorization string) string {
	if apiKey != "" {
		return apiKey
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// network is what a wrong key is held against: an IPv4 address or an IPv6 /64, of
// which one sender has as many addresses as it likes.
func network(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := at.Addr().Unmap().WithZone(""), 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // bits fit the family
	return p
}

// Open is how many connections are open now.
func (d *Door) Open() int64 { return d.open.Load() }

// Refused is how many connections had to wait, and requests were refused for
// their key, since start.
func (d *Door) Refused() int64 { return d.held.Load() + d.shut.Load() }
