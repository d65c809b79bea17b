package exchange

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// PullerConfig is what a Puller needs.
type PullerConfig struct {
	Lists  []ListConfig
	Dir    string                                    // where the last good copy of each is kept
	Limits func(ctx context.Context) (Limits, error) // what may not be touched now
	// Changed is told the entries of all lists whenever they change, and at least every
	// minute.
	Changed func(entries []Entry)
	Log     *slog.Logger     // nil: slog.Default
	Now     func() time.Time // nil: time.Now
	TLS     *tls.Config      // nil: the system's authorities
}

// Puller keeps lists of others up to date.
type Puller struct {
	cfg    PullerConfig
	log    *slog.Logger
	now    func() time.Time
	client *http.Client

	mu    sync.Mutex
	lists []*pulled
}

// pulled is one list.
type pulled struct {
	cfg     ListConfig
	next    time.Time
	lines   []line
	bad     int
	read    time.Time // when it was last confirmed
	etag    string
	changed string // Last-Modified
	status  Status
}

// Status is how one list is doing.
type Status struct {
	Name, Credit string
	Block        bool
	Entries      int       // taken
	Bad          int       // lines without an address
	Refused      int       // entries that may not be enforced: private, trusted, allowed, too wide
	At           time.Time // when it was last read
	Error        string    // of the last try; "" = it succeeded
}

// NewPuller checks the settings, and reads the copies of an earlier run.
func NewPuller(cfg PullerConfig) (*Puller, error) {
	p := &Puller{cfg: cfg, log: cfg.Log, now: cfg.Now}
	if p.log == nil {
		p.log = slog.Default()
	}
	if p.now == nil {
		p.now = time.Now
	}
	p.client = &http.Client{Timeout: pullTime, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: cfg.TLS, ResponseHeaderTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
	}, CheckRedirect: sameScheme}
	names := map[string]bool{}
	for _, c := range cfg.Lists {
		var first error
		c.Check(func(key, message string) {
			first = errors.Join(first, fmt.Errorf("lists: %.64q: %s: %s", c.Name, key, message))
		})
		if names[c.Name] {
			first = errors.Join(first, fmt.Errorf("lists: two are named %.64q", c.Name))
		}
		if first != nil {
			return nil, first
		}
		names[c.Name] = true
		l := &pulled{cfg: c.withDefaults()}
		l.status = Status{Name: c.Name, Credit: c.Credit, Block: c.Block()}
		p.recall(l)
		p.lists = append(p.lists, l)
	}
	return p, nil
}

// sameScheme follows redirects, but never from https to http.
func sameScheme(req *http.Request, via []*http.Request) error {
	if len(via) >= 5 {
		return errors.New("more than five redirects")
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("redirects from https to %.10q", req.URL.Scheme)
	}
	return nil
}

// Run asks for the lists until ctx ends, and then returns nil.
func (p *Puller) Run(ctx context.Context) error {
	if len(p.lists) == 0 {
		return nil
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var told time.Time
	for {
		if p.Round(ctx) || p.now().Sub(told) >= time.Minute {
			if p.tell(ctx) {
				told = p.now()
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Round asks for the lists that are due. It reports whether any changed.
func (p *Puller) Round(ctx context.Context) (changed bool) {
	for _, l := range p.lists {
		if p.now().Before(l.next) || ctx.Err() != nil {
			continue
		}
		l.next = p.now().Add(l.cfg.Every)
		fresh, err := p.pull(ctx, l)
		if err != nil && ctx.Err() != nil {
			return changed
		}
		p.note(l, err)
		changed = changed || fresh
	}
	return changed
}

func (p *Puller) note(l *pulled, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := l.status.Error
	l.status.Error = ""
	if err != nil {
		l.status.Error = err.Error()
		l.next = p.now().Add(min(l.cfg.Every, 5*time.Minute))
	}
	if l.status.Error != before {
		if err != nil {
			p.log.Warn("a list could not be read; the last one is kept until it expires", "list", l.cfg.Name, "expires", l.read.Add(l.cfg.Expire), "error", l.status.Error)
		} else {
			p.log.Info("a list can be read again", "list", l.cfg.Name)
		}
	}
}

// pull reads one list. On an error the last one stays.
func (p *Puller) pull(ctx context.Context, l *pulled) (fresh bool, err error) {
	data, same, err := p.fetch(ctx, l)
	if err != nil {
		return false, err
	}
	if same {
		l.read = p.now()
		return true, p.keep(l, nil)
	}
	if err := l.take(data); err != nil {
		return false, err
	}
	l.read = p.now()
	return true, p.keep(l, data)
}

func (l *pulled) take(data []byte) error {
	lines, bad, err := parse(bytes.NewReader(data), l.cfg.Format, l.cfg.Column, l.cfg.Entries)
	if err != nil {
		return fmt.Errorf("list %s: %w", l.cfg.Name, err)
	}
	l.lines, l.bad = lines, bad
	return nil
}

// fetch returns what the list holds now; same says that it is what it was.
func (p *Puller) fetch(ctx context.Context, l *pulled) (data []byte, same bool, err error) {
	if !strings.HasPrefix(l.cfg.URL, "http") {
		f, err := os.Open(l.cfg.URL)
		if err != nil {
			return nil, false, err
		}
		defer f.Close()
		data, err = l.bounded(f)
		return data, false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.cfg.URL, nil)
	if err != nil {
		return nil, false, err
	}
	req.Header.Set("User-Agent", "portcullis")
	if l.cfg.Format == formatSTIX {
		req.Header.Set("Accept", "application/taxii+json;version=2.1, application/stix+json;version=2.1, application/json")
	}
	if l.cfg.Token != "" {
		token, err := os.ReadFile(l.cfg.Token)
		if err != nil {
			return nil, false, fmt.Errorf("token_file: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	if len(l.lines) > 0 {
		set(req.Header, "If-None-Match", l.etag)
		set(req.Header, "If-Modified-Since", l.changed)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && len(l.lines) > 0:
		return nil, true, nil
	case resp.StatusCode != http.StatusOK:
		return nil, false, fmt.Errorf("list %s: the answer was %d", l.cfg.Name, resp.StatusCode)
	}
	if data, err = l.bounded(resp.Body); err == nil {
		l.etag, l.changed = resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	}
	return data, false, err
}

func set(h http.Header, name, value string) {
	if value != "" {
		h.Set(name, value)
	}
}

func (l *pulled) bounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, l.cfg.Bytes+1))
	if err == nil && int64(len(data)) > l.cfg.Bytes {
		err = fmt.Errorf("list %s: is larger than %d bytes (max_bytes)", l.cfg.Name, l.cfg.Bytes)
	}
	return data, err
}

// tell hands on the entries that hold now.
func (p *Puller) tell(ctx context.Context) bool {
	limits, err := p.cfg.Limits(ctx)
	if err != nil {
		if ctx.Err() == nil {
			p.log.Warn("lists of others wait: what they may not touch cannot be read", "error", err)
		}
		return false
	}
	now := p.now()
	var all []Entry
	for _, l := range p.lists {
		until := l.read.Add(l.cfg.Expire)
		var own []Entry
		if until.After(now) {
			for _, x := range l.lines {
				e := Entry{Prefix: x.prefix, List: l.cfg.Name, Since: l.read.UnixNano(), Expires: until.UnixNano()}
				if !x.until.IsZero() && x.until.Before(until) {
					e.Expires = x.until.UnixNano()
				}
				if e.Expires > now.UnixNano() {
					own = append(own, e)
				}
			}
		}
		kept, refused := limits.admit(own)
		p.mu.Lock()
		l.status.Entries, l.status.Bad, l.status.Refused, l.status.At = len(kept), l.bad, refused, l.read
		p.mu.Unlock()
		all = append(all, kept...)
	}
	p.cfg.Changed(all)
	return true
}

// Status returns how the lists are doing.
func (p *Puller) Status() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Status, len(p.lists))
	for i, l := range p.lists {
		out[i] = l.status
	}
	return out
}
