package console

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Bounds of the login: sessions last sessionAge; a client address may be wrong
// maxWrong times in wrongSpan before it has to wait.
const (
	sessionAge  = 12 * time.Hour
	maxSessions = 256  // the longest unused goes first
	maxWrong    = 5    //
	maxSuspects = 4096 // addresses remembered for wrong tokens
	wrongSpan   = time.Minute
)

// auth knows who may come in. Without a token everybody may, which New allows on
// loopback addresses only. It is safe for concurrent use.
type auth struct {
	need   bool
	digest [sha256.Size]byte // of the token; the token itself is not kept

	mu       sync.Mutex
	sessions *lru.Cache[[sha256.Size]byte, time.Time] // digest of the cookie → its end
	wrong    *lru.Cache[netip.Prefix, strikes]
}

type strikes struct {
	n     int
	since time.Time
}

func newAuth(token []byte) (*auth, error) {
	sessions, err := lru.New[[sha256.Size]byte, time.Time](maxSessions)
	if err != nil {
		return nil, fmt.Errorf("console: sessions: %w", err)
	}
	wrong, err := lru.New[netip.Prefix, strikes](maxSuspects)
	if err != nil {
		return nil, fmt.Errorf("console: login limits: %w", err)
	}
	return &auth{need: token != nil, digest: sha256.Sum256(token), sessions: sessions, wrong: wrong}, nil
}

// try compares a token in constant time and counts a wrong one against the
// client's address. wait > 0 means that the address must wait; the token was not
// looked at then.
func (a *auth) try(token, remote string, now time.Time) (ok bool, wait time.Duration) {
	from := network(remote)
	a.mu.Lock()
	defer a.mu.Unlock()
	s, _ := a.wrong.Get(from)
	if age := now.Sub(s.since); age >= wrongSpan || age < 0 {
		s = strikes{since: now}
	}
	if s.n >= maxWrong {
		return false, s.since.Add(wrongSpan).Sub(now)
	}
	given := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(given[:], a.digest[:]) == 1 {
		a.wrong.Remove(from)
		return true, 0
	}
	s.n++
	a.wrong.Add(from, s)
	return false, 0
}

// open starts a session and returns the value of its cookie. Only a digest is
// kept, so that a memory dump gives no session away and the look-up's timing
// tells nothing.
func (a *auth) open(now time.Time) string {
	cookie := rand.Text()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions.Add(sha256.Sum256([]byte(cookie)), now.Add(sessionAge))
	return cookie
}

func (a *auth) known(cookie string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := sha256.Sum256([]byte(cookie))
	end, ok := a.sessions.Get(key)
	if ok && !now.Before(end) {
		a.sessions.Remove(key)
		return false
	}
	return ok
}

func (a *auth) close(cookie string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions.Remove(sha256.Sum256([]byte(cookie)))
}

// network is what a wrong token is held against: an IPv4 address or an IPv6 /64,
// of which one client has as many addresses as it likes.
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

// cookieName carries the __Host- prefix under TLS, which keeps other names and
// paths of the same domain from setting it.
func (s *Server) cookieName() string {
	if s.tls != nil {
		return "__Host-portcullis"
	}
	return "portcullis"
}

// knows reports whether a session cookie or a bearer token lets r in.
func (s *Server) knows(r *http.Request) (ok bool, wait time.Duration) {
	if !s.auth.need {
		return true, 0
	}
	if c, err := r.Cookie(s.cookieName()); err == nil && s.auth.known(c.Value, s.now()) {
		return true, 0
	}
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return false, 0
	}
	return s.auth.try(strings.TrimSpace(token), r.RemoteAddr, s.now())
}

// admit lets r through or answers it: a page's visitor is sent to the login form,
// a program gets 401.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, page bool) bool {
	ok, wait := s.knows(r)
	switch {
	case ok:
		return true
	case wait > 0:
		s.fail(w, r, tooMany(wait))
	case page:
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	default:
		s.fail(w, r, newProblem(http.StatusUnauthorized, "send the token of console.token_file as Authorization: Bearer TOKEN, or log in at /login"))
	}
	return false
}

func tooMany(wait time.Duration) error {
	p := newProblem(http.StatusTooManyRequests, "too many wrong tokens from this address")
	p.retryAfter = int(wait/time.Second) + 1
	return p
}

// login takes the form of /login.
func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	if !s.auth.need {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, 2*maxToken)
	if err := r.ParseForm(); err != nil {
		return badRequest("the login form could not be read")
	}
	ok, wait := s.auth.try(strings.TrimSpace(r.PostForm.Get("token")), r.RemoteAddr, s.now())
	switch {
	case wait > 0:
		s.log.Warn("console: login refused for a while", "remote", r.RemoteAddr)
		w.Header().Set("Retry-After", fmt.Sprint(int(wait/time.Second)+1))
		return s.loginPage(w, http.StatusTooManyRequests, fmt.Sprintf("Too many wrong tokens. Try again in %d seconds.", int(wait/time.Second)+1))
	case !ok:
		s.log.Warn("console: login with a wrong token", "remote", r.RemoteAddr)
		return s.loginPage(w, http.StatusUnauthorized, "That is not the token.")
	}
	s.setCookie(w, s.auth.open(s.now()), sessionAge)
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	if c, err := r.Cookie(s.cookieName()); err == nil {
		s.auth.close(c.Value)
	}
	s.setCookie(w, "", -1)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
	return nil
}

func (s *Server) setCookie(w http.ResponseWriter, value string, age time.Duration) {
	seconds := int(age / time.Second)
	if age < 0 {
		seconds = -1
	}
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, Secure: s.tls != nil, SameSite: http.SameSiteStrictMode,
	})
}
