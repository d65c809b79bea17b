package console

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/portcullis/portcullis/internal/keptfile"
)

// Bounds of the file of the sessions: its bytes, and of a person's groups how many are
// kept and how long they are; a group that is not kept gives no role after a restart.
const (
	maxSessionFile = 1 << 20
	groupsKept     = 64
	maxGroupName   = 128
	tokenRounds    = 100_000 // of PBKDF2: a token may have been chosen by a person
)

// via is what opened a session, and has to hold for as long as it lasts: the secret of an
// API key, the token, or the groups that an identity provider told.
type via struct {
	secret string   // SHA-256 of the key's secret
	token  bool     //
	issuer string   // with the client id
	groups []string // of the person
}

// sessions are the logins of browsers, by the digest of their cookies. Their file holds
// digests only: who reads it cannot come in with it. It is written at each login and
// logout, and read at the start; what opened a session must still be good then. Each
// process has a file of its own. Methods may be called from any goroutine.
type sessions struct {
	path string // "" = they end with the process
	now  func() time.Time

	mu   sync.Mutex
	list *lru.Cache[[sha256.Size]byte, session]

	saving sync.Mutex
	salt   []byte // of mark
	mark   []byte // what stands for the token in the file
}

// kept is the file.
type kept struct {
	Salt     string        `json:"salt"`
	Token    string        `json:"token,omitempty"` // of the sessions that it opened
	Sessions []keptSession `json:"sessions"`        // the longest unused first
}

type keptSession struct {
	Cookie  string    `json:"cookie"` // SHA-256
	Name    string    `json:"name"`
	End     time.Time `json:"end"`
	Secret  string    `json:"secret,omitempty"` // SHA-256
	ByToken bool      `json:"by_token,omitempty"`
	Issuer  string    `json:"issuer,omitempty"`
	Groups  []string  `json:"groups,omitempty"`
}

func newSessions(path string, token []byte, now func() time.Time) (*sessions, error) {
	list, err := lru.New[[sha256.Size]byte, session](maxSessions)
	if err != nil {
		return nil, fmt.Errorf("console: sessions: %w", err)
	}
	s := &sessions{path: path, now: now, list: list, salt: make([]byte, 16)}
	_, _ = rand.Read(s.salt) // it never fails
	return s, s.marked(token)
}

// marked computes what stands for the token; it takes a few hundredths of a second.
func (s *sessions) marked(token []byte) (err error) {
	s.mark = nil
	if s.path != "" && token != nil {
		if s.mark, err = pbkdf2.Key(sha256.New, string(token), s.salt, tokenRounds, sha256.Size); err != nil {
			return fmt.Errorf("console: sessions: %w", err)
		}
	}
	return nil
}

// get returns a session.
func (s *sessions) get(cookie string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list.Get(sha256.Sum256([]byte(cookie)))
}

// add starts a session. Where it cannot be saved it ends with the process.
func (s *sessions) add(cookie string, x session) error {
	s.mu.Lock()
	s.list.Add(sha256.Sum256([]byte(cookie)), x)
	s.mu.Unlock()
	return s.save()
}

// forget drops a session that is over by itself: the file may still have it, and it is
// over there too.
func (s *sessions) forget(cookie string) (had bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list.Remove(sha256.Sum256([]byte(cookie)))
}

// end ends a session for good. Where that cannot be saved the whole file goes: rather does
// everybody log in again after a restart than somebody who logged out is in.
func (s *sessions) end(cookie string) error {
	if !s.forget(cookie) {
		return nil
	}
	err := s.save()
	if err != nil {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}

// save writes the file.
func (s *sessions) save() error {
	if s.path == "" {
		return nil
	}
	s.saving.Lock() // the later one writes what the earlier one saw, and more
	defer s.saving.Unlock()
	data, err := json.Marshal(s.keep())
	if err != nil {
		return fmt.Errorf("console: sessions: %w", err)
	}
	err = keptfile.Update(s.path, func([]byte) ([]byte, error) { return append(data, '\n'), nil })
	if err != nil {
		return fmt.Errorf("console: sessions: %w", err)
	}
	return nil
}

// keep is what is written.
func (s *sessions) keep() kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := kept{Salt: hex.EncodeToString(s.salt), Token: hex.EncodeToString(s.mark), Sessions: []keptSession{}}
	for _, key := range s.list.Keys() {
		x, _ := s.list.Peek(key)
		if x.via == nil || !s.now().Before(x.end) {
			continue
		}
		k := keptSession{Cookie: hex.EncodeToString(key[:]), Name: x.name, End: x.end, Secret: x.via.secret, ByToken: x.via.token, Issuer: x.via.issuer}
		for _, g := range x.via.groups {
			if len(g) <= maxGroupName && len(k.Groups) < groupsKept {
				k.Groups = append(k.Groups, g)
			}
		}
		out.Sessions = append(out.Sessions, k)
	}
	return out
}

// load reads the file. role says what a session may do now, "" if what opened it does not
// hold any more; it is not asked about the token, which is compared here.
func (s *sessions) load(token []byte, role func(*via) Role) error {
	if s.path == "" {
		return nil
	}
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("console: sessions: %w", err)
	}
	k, err := parseSessions(data)
	if err != nil {
		return fmt.Errorf("console: sessions: %s: %w", s.path, err)
	}
	if s.salt, err = hex.DecodeString(k.Salt); err != nil {
		return fmt.Errorf("console: sessions: %s: %w", s.path, err)
	}
	if err := s.marked(token); err != nil {
		return err
	}
	same := s.mark != nil && subtle.ConstantTimeCompare([]byte(hex.EncodeToString(s.mark)), []byte(k.Token)) == 1
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range k.Sessions {
		var key [sha256.Size]byte
		_, _ = hex.Decode(key[:], []byte(x.Cookie)) // parseSessions has read it
		v := &via{secret: x.Secret, token: x.ByToken, issuer: x.Issuer, groups: x.Groups}
		may := Role("")
		if v.token && same {
			may = Admin
		} else if !v.token {
			may = role(v)
		}
		if may != "" && s.now().Before(x.End) && x.End.Sub(s.now()) <= sessionAge {
			s.list.Add(key, session{principal{name: x.Name, role: may, via: v}, x.End})
		}
	}
	return nil
}

// parseSessions reads the file's text, and refuses what the console does not write.
func parseSessions(data []byte) (k kept, err error) {
	if len(data) > maxSessionFile {
		return k, fmt.Errorf("it is larger than %d bytes", maxSessionFile)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&k); err != nil {
		return k, err
	}
	if _, err := hex.DecodeString(k.Salt); err != nil || k.Salt == "" || len(k.Sessions) > maxSessions {
		return k, errors.New("it is not what the console writes")
	}
	for _, x := range k.Sessions {
		if b, err := hex.DecodeString(x.Cookie); err != nil || len(b) != sha256.Size || x.Name == "" || len(x.Name) > 2*maxID || !printable(x.Name) {
			return k, errors.New("a session in it is not what the console writes")
		}
	}
	return k, nil
}
