package console

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/portcullis/portcullis/internal/telemetry"
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

// auth knows who may come in. Without a token, keys and OIDC everybody may, which New
// allows on loopback addresses only, unless no_login is set: then everybody may look. It
// is safe for concurrent use.
type auth struct {
	need     bool              // nobody comes in without a login
	hasToken bool              //
	digest   [sha256.Size]byte // of the token; the token itself is not kept
	keys     *keyring

	sessions *sessions
	provider *provider // nil: no OIDC

	mu    sync.Mutex
	wrong *lru.Cache[netip.Prefix, strikes]
}

// session is a login of a browser.
type session struct {
	principal
	end time.Time
}

type strikes struct {
	n     int
	since time.Time
}

func newAuth(token []byte, keys *keyring, sessions *sessions) (*auth, error) {
	wrong, err := lru.New[netip.Prefix, strikes](maxSuspects)
	if err != nil {
		return nil, fmt.Errorf("console: login limits: %w", err)
	}
	return &auth{hasToken: token != nil, digest: sha256.Sum256(token), keys: keys, sessions: sessions, wrong: wrong}, nil
}

// tokenName is what the ledger calls whoever has the token, or is at the machine.
const tokenName = "console"

// try looks whose token (in constant time) or key it is, and counts a wrong one against the client's
// address. wait > 0 means that the address must wait; what it sent was not looked at
// then. A key that is right comes in whatever others of its address did: nobody guesses
// one, and behind a proxy all share an address.
func (a *auth) try(secret, remote string, now time.Time) (who principal, ok bool, wait time.Duration) {
	if key, ok := a.keys.known(secret, now); ok {
		return principal{name: "key " + key.Name, role: key.Role, key: key.Name, via: &via{secret: sumOf(secret)}}, true, 0
	}
	from := network(remote)
	a.mu.Lock()
	defer a.mu.Unlock()
	s, _ := a.wrong.Get(from)
	if age := now.Sub(s.since); age >= wrongSpan || age < 0 {
		s = strikes{since: now}
	}
	if s.n >= maxWrong {
		return principal{}, false, s.since.Add(wrongSpan).Sub(now)
	}
	given := sha256.Sum256([]byte(secret))
	if same := subtle.ConstantTimeCompare(given[:], a.digest[:]) == 1; same && a.hasToken {
		a.wrong.Remove(from)
		return principal{name: tokenName, role: Admin, via: &via{token: true}}, true, 0
	}
	s.n++
	a.wrong.Add(from, s)
	return principal{}, false, 0
}

// open starts a session and returns the value of its cookie. Only a digest is
// kept, so that a memory dump gives no session away and the look-up's timing
// tells nothing. The value is always new: one that a browser was given before the
// login never becomes a session. An error says that it will not outlive a restart.
func (a *auth) open(who principal, now time.Time) (string, error) {
	cookie := rand.Text()
	return cookie, a.sessions.add(cookie, session{who, now.Add(sessionAge)})
}

// known returns whose session a cookie is. One that was opened with an API key ends with
// the secret of that key, and follows its role.
func (a *auth) known(cookie string, now time.Time) (principal, bool) {
	s, ok := a.sessions.get(cookie)
	if !ok {
		return principal{}, false
	}
	if s.via != nil && s.via.secret != "" {
		var current Key
		current, ok = a.keys.opened(s.via.secret, now)
		s.role, s.key = current.Role, current.Name
	}
	if !ok || !now.Before(s.end) {
		a.sessions.forget(cookie)
		return principal{}, false
	}
	return s.principal, true
}

// still is the role of a session that was kept over a restart: that of the key, or of the
// person's groups by the settings as they are now; "" if it has ended.
func (a *auth) still(v *via, now time.Time) Role {
	if v.secret != "" {
		key, _ := a.keys.opened(v.secret, now)
		return key.Role
	}
	if a.provider == nil || v.issuer != a.provider.name() {
		return ""
	}
	return a.provider.roleIn(v.groups)
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

// seated returns whom a session cookie belongs to, or whom the console is open to. It is
// no login attempt.
func (s *Server) seated(r *http.Request) (principal, bool) {
	if c, err := r.Cookie(s.cookieName()); err == nil {
		if who, ok := s.auth.known(c.Value, s.now()); ok {
			return who, true
		}
	}
	switch {
	case s.auth.need:
		return principal{}, false
	case s.cfg.NoLogin:
		return principal{name: "anybody", role: Viewer}, true
	}
	return principal{name: tokenName, role: Admin}, true
}

// identify returns who sent a request: by a bearer token or key where it carries one and
// that is asked for, else by its session.
func (s *Server) identify(r *http.Request) (who principal, ok bool, wait time.Duration) {
	scheme, secret, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if found && strings.EqualFold(scheme, "Bearer") && (s.auth.need || s.cfg.NoLogin) {
		return s.auth.try(strings.TrimSpace(secret), r.RemoteAddr, s.now())
	}
	who, ok = s.seated(r)
	return who, ok, 0
}

// admit finds out who sent r, or answers it: a page's visitor is sent to the login form,
// a program gets 401.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, page bool) (principal, bool) {
	who, ok, wait := s.identify(r)
	switch {
	case ok:
		return who, true
	case wait > 0:
		s.fail(w, r, tooMany(wait))
	case page:
		to := "/login"
		if next := r.URL.RequestURI(); next != "/" && next == safeNext(next) {
			to += "?" + url.Values{"next": {next}}.Encode()
		}
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, to, http.StatusSeeOther)
	default:
		s.fail(w, r, newProblem(http.StatusUnauthorized, "send an API key (portcullis keys api) or the token of console.token_file as Authorization: Bearer TOKEN, or log in at /login"))
	}
	return principal{}, false
}

// maxNext bounds the address that a login goes on to, in bytes.
const maxNext = 1024

// safeNext is where to go after a login: a page of our own, whatever was asked for.
func safeNext(to string) string {
	u, err := url.Parse(to)
	if err != nil || len(to) > maxNext || u.Scheme != "" || u.Host != "" || u.User != nil ||
		!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		return "/"
	}
	return to
}

func tooMany(wait time.Duration) error {
	p := newProblem(http.StatusTooManyRequests, "too many wrong tokens from this address")
	p.retryAfter = int(wait/time.Second) + 1
	return p
}

// login takes the form of /login.
func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	if !s.auth.need && !s.cfg.NoLogin {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, 2*maxToken)
	if err := r.ParseForm(); err != nil {
		return badRequest("the login form could not be read")
	}
	form := loginForm{Next: safeNext(r.PostForm.Get("next"))}
	who, ok, wait := s.auth.try(strings.TrimSpace(r.PostForm.Get("token")), r.RemoteAddr, s.now())
	switch {
	case wait > 0:
		s.log.Warn("console: login refused for a while", "remote", r.RemoteAddr)
		w.Header().Set("Retry-After", fmt.Sprint(int(wait/time.Second)+1))
		form.Message = fmt.Sprintf("Too many wrong tokens. Try again in %d seconds.", int(wait/time.Second)+1)
		return s.loginPage(w, http.StatusTooManyRequests, form)
	case !ok:
		s.log.Warn("console: login with a wrong token", "remote", r.RemoteAddr)
		form.Message = "That is not the token, nor a key."
		return s.loginPage(w, http.StatusUnauthorized, form)
	}
	s.enter(w, r, who)
	http.Redirect(w, r, form.Next, http.StatusSeeOther)
	return nil
}

// enter opens a session, and ends the one that the browser had.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, who principal) {
	s.leave(r)
	s.log.Info("console: login", "who", telemetry.Quote(who.name), "role", string(who.role), "remote", r.RemoteAddr)
	cookie, err := s.auth.open(who, s.now())
	if err != nil {
		s.log.Warn("console: a session will not outlive a restart", "error", err)
	}
	s.setCookie(w, cookie, sessionAge)
}

// leave ends the session that the browser has.
func (s *Server) leave(r *http.Request) {
	if c, err := r.Cookie(s.cookieName()); err == nil {
		if err := s.auth.sessions.end(c.Value); err != nil {
			s.log.Error("console: the end of a session could not be saved", "error", err)
		}
	}
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	s.leave(r)
	s.setCookie(w, "", -1)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
	return nil
}

// setCookie gives the session to the browser. It comes along when a link elsewhere leads
// here, as one in an alert does; what changes anything is refused by its origin.
func (s *Server) setCookie(w http.ResponseWriter, value string, age time.Duration) {
	seconds := int(age / time.Second)
	if age < 0 {
		seconds = -1
	}
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, Secure: s.tls != nil, SameSite: http.SameSiteLaxMode,
	})
}
