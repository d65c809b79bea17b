package enforce

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
)

// Ledger keeps decisions, every change of them, the allow-list and the commands
// of people in a SQLite file, which it may share with the store. Changes are
// only ever added. All methods may be called from any goroutine, and from other
// processes on the same file: those post commands and read; only the enforcer
// writes decisions.
type Ledger struct {
	w, r  *sql.DB
	cloak Cloak // nil: nothing is hidden, and nothing was
	hide  bool  // whether what is written is hidden from now on

	cluster cluster // how it follows a journal, or leads
}

// Change is one step in the life of a decision.
type Change struct {
	At   int64 // Unix nanoseconds
	Who  string
	From State // "" = it was made
	To   State
	Why  string
}

// The verbs of commands.
const (
	VerbRelease  = "release"  // Arg: decision id, its beginning, or an address
	VerbExtend   = "extend"   // Arg: the same; For: how much longer
	VerbApprove  = "approve"  // Arg: the same
	VerbAllow    = "allow"    // Arg: address, prefix or kind:value; For: how long, 0 = for good
	VerbDisallow = "disallow" // Arg: as it was allowed
	VerbPanic    = "panic"    // lift everything and put nothing in force until resume
	VerbResume   = "resume"
)

// Command is what a person wants; the enforcer takes it within a moment, or at
// its next start. A Result that begins with "error: " says why it was not done.
type Command struct {
	ID     int64  // on this machine
	UID    string // everywhere; Post makes one where it is empty, and posts each only once
	At     int64  // Unix nanoseconds
	Who    string
	Verb   string
	Arg    string
	Why    string
	For    time.Duration
	Result string
	Done   bool
}

// ReadFrom makes queries use another pool of connections to the same file, so
// that people do not wait for a snapshot being saved. It returns the ledger.
func (l *Ledger) ReadFrom(db *sql.DB) *Ledger {
	l.r = db
	return l
}

func (l *Ledger) tx(ctx context.Context, do func(*sql.Tx) error) error {
	return store.InTx(ctx, l.w, do)
}

// Post puts a command into the inbox and returns its id.
func (l *Ledger) Post(ctx context.Context, c Command) (int64, error) {
	if !knownVerb(c.Verb) {
		return 0, fmt.Errorf("enforce: no command %s", quoted(c.Verb))
	}
	if c.For < 0 {
		return 0, errors.New("enforce: a duration must not be negative")
	}
	if c.At == 0 {
		c.At = time.Now().UnixNano()
	}
	if c.UID == "" {
		c.UID = newUID()
	}
	res, err := l.w.ExecContext(ctx, `INSERT INTO commands (uid, at, who, verb, arg, why, dur, result, done) VALUES (?,?,?,?,?,?,?,'',0)
		ON CONFLICT (uid) WHERE uid <> '' DO NOTHING`,
		c.UID, c.At, clean(c.Who), c.Verb, l.hidden(clean(c.Arg)), l.hidden(clean(c.Why)), int64(c.For))
	if err != nil {
		return 0, fmt.Errorf("enforce: post a command: %w", err)
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 { // it was posted before
		old, _, err := l.Posted(ctx, c.UID)
		return old.ID, err
	}
	return res.LastInsertId()
}

// Posted returns the command that was posted under a UID, and whether there is one.
func (l *Ledger) Posted(ctx context.Context, uid string) (Command, bool, error) {
	out, err := l.commands(ctx, `WHERE uid = ? AND uid <> ''`, uid)
	if err != nil || len(out) == 0 {
		return Command{}, false, err
	}
	return out[0], true, nil
}

// Same reports whether a command asks for what another one does.
func (l *Ledger) Same(posted, c Command) bool {
	same := func(a, b string) bool { return a == b || l.hidden(a) == l.hidden(b) }
	return posted.Verb == c.Verb && posted.For == c.For && same(posted.Arg, clean(c.Arg)) && same(posted.Why, clean(c.Why))
}

// newUID names a command on every machine.
func newUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

func knownVerb(v string) bool {
	switch v {
	case VerbRelease, VerbExtend, VerbApprove, VerbAllow, VerbDisallow, VerbPanic, VerbResume:
		return true
	}
	return false
}

// Command returns a command, for those who wait for its Result.
func (l *Ledger) Command(ctx context.Context, id int64) (Command, bool, error) {
	out, err := l.commands(ctx, `WHERE id = ?`, id)
	if err != nil || len(out) == 0 {
		return Command{}, false, err
	}
	return out[0], true, nil
}

// inbox returns the commands that wait, in the order they came, with the
// addresses that are meant.
func (l *Ledger) inbox(ctx context.Context, limit int) ([]Command, error) {
	where := `WHERE done = 0 ORDER BY id LIMIT ?`
	if l.cluster.follows() { // the journal says who does them, and in which order
		where = `WHERE done = 0 AND sent = ` + sentArrived + ` ORDER BY id LIMIT ?`
	}
	list, err := l.commands(ctx, where, limit)
	for i := range list {
		list[i].Arg = l.shown(list[i].Arg)
	}
	return list, err
}

func (l *Ledger) commands(ctx context.Context, where string, args ...any) ([]Command, error) {
	out, err := collect(ctx, l.r, `SELECT `+commandColumns+` FROM commands `+where, args, scanCommand)
	if err != nil {
		return nil, fmt.Errorf("enforce: read commands: %w", err)
	}
	return out, nil
}

const commandColumns = `id, uid, at, who, verb, arg, why, dur, result, done`

func scanCommand(r *sql.Rows) (c Command, err error) {
	return c, r.Scan(&c.ID, &c.UID, &c.At, &c.Who, &c.Verb, &c.Arg, &c.Why, &c.For, &c.Result, &c.Done)
}

// Allowed returns the allow-list, expired entries included.
func (l *Ledger) Allowed(ctx context.Context) ([]Allow, error) {
	out, err := collect(ctx, l.r, `SELECT `+allowColumns+` FROM allows ORDER BY created DESC, value`, nil, scanAllow)
	if err != nil {
		return nil, fmt.Errorf("enforce: read the allow-list: %w", err)
	}
	return out, nil
}

const allowColumns = `value, why, by_whom, created, expires`

func scanAllow(r *sql.Rows) (a Allow, err error) {
	return a, r.Scan(&a.Value, &a.Why, &a.By, &a.Created, &a.Expires)
}

// DecisionQuery selects decisions; the zero value of a field does not restrict.
type DecisionQuery struct {
	State   State
	Live    bool           // only those that belong on the gateway
	Subject detect.Subject // Value alone matches every kind
	Since   int64          // created at or after, Unix nanoseconds
	Limit   int            // 0 = 100, at most 10 000
	After   string         // id of the last row of the previous page
}
