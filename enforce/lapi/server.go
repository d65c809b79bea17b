package lapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/enforce/exchange"
	"github.com/portcullis/portcullis/ingest/source/serve"
)

// Deps is what the server needs of the rest of the program.
type Deps struct {
	Book  *exchange.Book
	Lists http.Handler     // serves /lists/ and /taxii2/ with the same keys; nil: nobody does
	Log   *slog.Logger     // nil: slog.Default
	Now   func() time.Time // nil: time.Now
}

// Server is the API. All methods may be called from any goroutine; Run at most once.
type Server struct {
	cfg     Config
	deps    Deps
	now     func() time.Time
	door    *serve.Door
	readers *readers
	addr    atomic.Pointer[net.Addr]
}

// New checks the settings and reads the keys. It does not listen yet.
func New(cfg Config, deps Deps) (*Server, error) {
	if err := serve.First("lapi", cfg.Check); err != nil {
		return nil, err
	}
	if deps.Book == nil {
		return nil, errors.New("lapi: there must be a book")
	}
	if cfg.Access.Keys == "" {
		return nil, errors.New("lapi: keys_file is empty: every bouncer shows a key (portcullis keys bouncer add NAME)")
	}
	serve.Default(&cfg.Origin, "portcullis")
	s := &Server{cfg: cfg, deps: deps, now: deps.Now}
	if s.now == nil {
		s.now = time.Now
	}
	var err error
	if s.door, err = serve.NewDoor(cfg.Access, deps.Log); err != nil {
		return nil, fmt.Errorf("lapi: %w: make a key with portcullis keys bouncer add NAME", err)
	}
	if s.readers, err = newReaders(); err != nil {
		return nil, fmt.Errorf("lapi: %w", err)
	}
	return s, nil
}

// requestTime is how long a request may take to arrive.
const requestTime = 15 * time.Second

// Run serves until ctx ends, and then returns nil.
func (s *Server) Run(ctx context.Context) error {
	l, err := s.door.Listen(ctx, "lapi", s.cfg.Listen)
	if err != nil {
		return err
	}
	at := l.Addr()
	s.addr.Store(&at)
	return s.door.HTTP(ctx, "lapi", l, s.Handler(), requestTime)
}

// Addr is the address that it listens on; nil before it does.
func (s *Server) Addr() net.Addr {
	if at := s.addr.Load(); at != nil {
		return *at
	}
	return nil
}

// Bouncers returns those that came lately.
func (s *Server) Bouncers() []Bouncer { return s.readers.all() }

// Handler is the whole API.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "up"})
	})
	mux.HandleFunc("GET /v1/decisions", s.known(s.query))
	mux.HandleFunc("GET /v1/decisions/stream", s.known(s.stream))
	mux.HandleFunc("POST /v1/usage-metrics", s.known(s.usage))
	for _, machines := range []string{"DELETE /v1/decisions", "DELETE /v1/decisions/{id}", "/v1/allowlists", "/v1/allowlists/", "/v1/alerts", "/v1/alerts/", "/v1/heartbeat"} {
		mux.HandleFunc(machines, machineOnly)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	if s.deps.Lists != nil {
		lists := s.known(func(w http.ResponseWriter, r *http.Request, _ readerID) { s.deps.Lists.ServeHTTP(w, r) })
		mux.HandleFunc("/lists/", lists)
		mux.HandleFunc("/taxii2/", lists)
	}
	return mux
}

// known lets in who shows a key.
func (s *Server) known(next func(http.ResponseWriter, *http.Request, readerID)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, password, ok := r.BasicAuth(); ok && r.Header.Get("X-Api-Key") == "" { // as TAXII clients do
			r.Header.Set("X-Api-Key", password)
		}
		v := s.door.AdmitHTTP(r)
		if !v.OK {
			if strings.HasPrefix(r.URL.Path, "/taxii2/") {
				w.Header().Set("WWW-Authenticate", `Basic realm="portcullis"`)
				reply(w, http.StatusUnauthorized, map[string]string{"title": "show a key", "http_status": "401"})
				return
			}
			reply(w, http.StatusForbidden, map[string]string{"message": "access forbidden"})
			return
		}
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			host = r.RemoteAddr
		}
		id := idOf(v.Name, host, r.UserAgent())
		s.readers.come(id, v.Name, host, r.UserAgent(), s.now())
		next(w, r, id)
	}
}

// machineOnly answers for what only a CrowdSec agent may do there, and nobody here.
func machineOnly(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusUnauthorized, map[string]any{"code": http.StatusUnauthorized, "message": "cookie token is empty"})
}

func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"message":"the answer could not be written"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the bouncer hung up: nobody is left to tell
}

// query answers GET and HEAD /v1/decisions.
func (s *Server) query(w http.ResponseWriter, r *http.Request, _ readerID) {
	f, err := filterOf(r.URL.Query(), false)
	if err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"message": err.Error()})
		return
	}
	if !s.ready(w) {
		return
	}
	items, _ := s.deps.Book.All()
	reply(w, http.StatusOK, s.pick(items, &f, false)) // null where there is none
}

// ready answers where there is no list yet: an empty one would release everybody.
func (s *Server) ready(w http.ResponseWriter) bool {
	if s.deps.Book.Ready() {
		return true
	}
	w.Header().Set("Retry-After", "5")
	reply(w, http.StatusServiceUnavailable, map[string]string{"message": "there is no list yet: the enforcer has not given one"})
	return false
}

func (s *Server) pick(items []*exchange.Item, f *filter, uuid bool) (out []decision) {
	now := s.now()
	for _, it := range items {
		if d, ok := s.render(it, now, uuid); ok && f.fits(&d, it.Prefix) {
			out = append(out, d)
		}
	}
	return out
}

// stream answers GET and HEAD /v1/decisions/stream: everything at the start, and then
// what changed since.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, id readerID) {
	q := r.URL.Query()
	f, err := filterOf(q, true)
	if err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"message": err.Error()})
		return
	}
	if !s.ready(w) {
		return
	}
	from := s.readers.come(id, "", "", "", s.now())
	if strings.EqualFold(q.Get("startup"), "true") {
		from = 0
	}
	d := s.deps.Book.Since(from)
	body := struct {
		New     []decision `json:"new"`
		Deleted []decision `json:"deleted"`
	}{s.pick(d.New, &f, true), s.pick(d.Deleted, &f, true)}
	if body.New == nil {
		body.New = []decision{}
	}
	if body.Deleted == nil {
		body.Deleted = []decision{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	// What was not written whole, or flushed, is told again the next time.
	if json.NewEncoder(w).Encode(body) == nil && http.NewResponseController(w).Flush() == nil && r.Context().Err() == nil && r.Method == http.MethodGet {
		s.readers.told(id, d.Seq)
	}
}
