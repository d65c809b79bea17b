package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
)

// Bounds of the live streams. When a seventeenth client comes it is told 503 and
// the page falls back to asking; when more rows change within a second than one
// look holds, the client is told to read the lists again ("resync").
const (
	maxStreams = 16
	feedRows   = 100
	frameTime  = 5 * time.Second // for a client to take one write
)

// feed looks at the store at most once per tick for all streams together, and not
// at all while there is no stream.
type feed struct {
	server *Server
	slots  chan struct{} // one per open stream

	mu   sync.Mutex
	last look
	next time.Time
}

// look is the newest rows, ready to be sent. It is not changed once made.
type look struct {
	status    []byte
	findings  []row // newest first
	decisions []row
	backtests []row
	err       error
}

type row struct {
	id   string
	body []byte
}

func newFeed(s *Server) *feed {
	return &feed{server: s, slots: make(chan struct{}, maxStreams)}
}

// look returns the current rows. Streams that come while one is reading wait for
// its result instead of reading too.
func (f *feed) look(ctx context.Context) look {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.After(f.next) {
		f.last = f.read(ctx)
		f.next = now.Add(f.server.tick * 9 / 10)
		if ctx.Err() != nil { // this stream's end must not be the others' failure
			f.next = time.Time{}
		}
	}
	return f.last
}

func (f *feed) read(ctx context.Context) (l look) {
	s := f.server
	findings, err := s.deps.Findings.Findings(ctx, store.FindingQuery{Limit: feedRows})
	if err != nil {
		l.err = fmt.Errorf("console: findings: %w", err)
		return l
	}
	decisions, err := s.deps.Decisions.Decisions(ctx, enforce.DecisionQuery{Limit: feedRows})
	if err != nil {
		l.err = fmt.Errorf("console: decisions: %w", err)
		return l
	}
	marshal := func(v any) []byte {
		body, err := json.Marshal(v)
		if err != nil && l.err == nil {
			l.err = fmt.Errorf("console: events: %w", err)
		}
		return body
	}
	for _, x := range findings {
		l.findings = append(l.findings, row{x.ID, marshal(s.findingJSON(x))})
	}
	for _, x := range decisions {
		l.decisions = append(l.decisions, row{x.ID, marshal(toDecisionJSON(x))})
	}
	for _, x := range s.backtests() {
		l.backtests = append(l.backtests, row{x.ID, marshal(x)})
	}
	l.status = marshal(s.statusJSON())
	return l
}

// seen is what one stream has been told of one list.
type seen map[string]string // id → body

// fresh returns the rows that are new or changed, oldest first, and whether rows
// may have been missed. It forgets what left the look.
func (told *seen) fresh(rows []row) (changed []row, missed bool) {
	next := make(seen, len(rows))
	known := false
	for i := len(rows) - 1; i >= 0; i-- {
		r := rows[i]
		was, ok := (*told)[r.id]
		known = known || ok
		if !ok || was != string(r.body) {
			changed = append(changed, r)
		}
		next[r.id] = string(r.body)
	}
	missed = !known && len(rows) == feedRows && *told != nil
	*told = next
	return changed, missed
}

// events streams what is new. A client reads the lists after the stream opened:
// what changed before is in the lists, what changes later comes here.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	select {
	case s.feed.slots <- struct{}{}:
		defer func() { <-s.feed.slots }()
	default:
		p := newProblem(http.StatusServiceUnavailable, fmt.Sprintf("%d live streams are open, which is the limit", maxStreams))
		p.retryAfter = 10
		return p
	}
	first := s.feed.look(r.Context())
	if first.err != nil {
		return first.err
	}
	var told toldOf
	told.findings.fresh(first.findings)
	told.decisions.fresh(first.decisions)
	told.backtests.fresh(first.backtests)

	control := http.NewResponseController(w)
	// Servers without deadlines (tests) return an error here, which changes nothing.
	_ = control.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // NGINX in front would hold it back
	send := func(name string, body []byte) error {
		_ = control.SetWriteDeadline(time.Now().Add(frameTime))
		_, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, body)
		return err
	}
	tick := time.NewTicker(s.tick)
	defer tick.Stop()
	if send("status", first.status) != nil || control.Flush() != nil {
		return nil // the client is gone
	}
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-s.closing:
			return nil
		case <-tick.C:
		}
		if _, ok, _ := s.identify(r); !ok {
			return nil // logged out, too old, or its key was removed: the page asks for a login again
		}
		l := s.feed.look(r.Context())
		if !frame(l, &told, send, s) || control.Flush() != nil {
			return nil
		}
	}
}

// toldOf is what one stream has been told.
type toldOf struct{ findings, decisions, backtests seen }

// frame sends one tick's events and reports whether the client took them.
func frame(l look, told *toldOf, send func(string, []byte) error, s *Server) bool {
	if l.err != nil {
		s.log.Warn("console: events: the store could not be read", "error", l.err)
		return send("trouble", []byte(`{"detail":"the store could not be read"}`)) == nil
	}
	newFindings, missedF := told.findings.fresh(l.findings)
	newDecisions, missedD := told.decisions.fresh(l.decisions)
	newBacktests, _ := told.backtests.fresh(l.backtests) // fewer are kept than a look holds
	if missedF || missedD {
		return send("resync", []byte("{}")) == nil && send("status", l.status) == nil
	}
	for _, list := range []struct {
		name string
		rows []row
	}{{"finding", newFindings}, {"decision", newDecisions}, {"backtest", newBacktests}} {
		for _, r := range list.rows {
			if send(list.name, r.body) != nil {
				return false
			}
		}
	}
	return send("status", l.status) == nil
}
