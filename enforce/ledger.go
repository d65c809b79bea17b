package enforce

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
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
	ID     int64
	At     int64 // Unix nanoseconds
	Who    string
	Verb   string
	Arg    string
	Why    string
	For    time.Duration
	Result string
	Done   bool
}

const ledgerVersion = 1

const changesStay = `CREATE TRIGGER changes_stay BEFORE UPDATE ON changes BEGIN SELECT RAISE(ABORT, 'changes are only ever added'); END;`

const ledgerSchema = `
CREATE TABLE enforce_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE decisions (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL, route TEXT NOT NULL, action TEXT NOT NULL,
  rate REAL NOT NULL, burst INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, code TEXT NOT NULL,
  rule TEXT NOT NULL, findings TEXT NOT NULL, score REAL NOT NULL, why TEXT NOT NULL, collateral TEXT NOT NULL,
  by_whom TEXT NOT NULL, offence INTEGER NOT NULL, people INTEGER NOT NULL, good INTEGER NOT NULL,
  created INTEGER NOT NULL, expires INTEGER NOT NULL, pushed_at INTEGER NOT NULL, checked INTEGER NOT NULL,
  trigger_at INTEGER NOT NULL,
  offended INTEGER NOT NULL -- 1 = it was in force and no person took it back: it counts as an offence
) WITHOUT ROWID;
CREATE INDEX decisions_created ON decisions (created DESC, id);
CREATE INDEX decisions_subject ON decisions (kind, value, created DESC);
CREATE INDEX decisions_open ON decisions (state) WHERE state NOT IN ('expired', 'released');
CREATE TABLE changes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, decision TEXT NOT NULL, at INTEGER NOT NULL, who TEXT NOT NULL,
  from_state TEXT NOT NULL, to_state TEXT NOT NULL, why TEXT NOT NULL
);
CREATE INDEX changes_decision ON changes (decision, seq);
CREATE INDEX changes_at ON changes (to_state, at);
` + changesStay + `
CREATE TABLE allows (
  value TEXT PRIMARY KEY, why TEXT NOT NULL, by_whom TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE commands (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, verb TEXT NOT NULL, arg TEXT NOT NULL,
  why TEXT NOT NULL, dur INTEGER NOT NULL, result TEXT NOT NULL, done INTEGER NOT NULL
);
CREATE INDEX commands_open ON commands (id) WHERE done = 0;
CREATE TABLE counted (
  kind TEXT NOT NULL, value TEXT NOT NULL, finding TEXT NOT NULL, rule TEXT NOT NULL, family TEXT NOT NULL,
  hard INTEGER NOT NULL, top REAL NOT NULL, weight REAL NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (kind, value, finding)
) WITHOUT ROWID;
CREATE INDEX counted_at ON counted (at);
`

// OpenLedger makes the ledger's tables in db where they are missing. On a
// connection that cannot write, the tables must be there.
func OpenLedger(ctx context.Context, db *sql.DB) (*Ledger, error) {
	l := &Ledger{w: db, r: db}
	v, err := l.version(ctx)
	if err != nil {
		return nil, fmt.Errorf("enforce: open the ledger: %w", err)
	}
	if v > ledgerVersion {
		return nil, fmt.Errorf("enforce: the ledger is version %d, this program knows %d: a newer portcullis wrote it; use that one", v, ledgerVersion)
	}
	if v == ledgerVersion {
		return l, nil
	}
	if err := l.tx(ctx, create); err != nil {
		return nil, fmt.Errorf("enforce: make the ledger's tables (start \"portcullis run\" once if this program only reads): %w", err)
	}
	return l, nil
}

// create runs in a transaction that holds the write lock, so that two processes
// that start together do not both make the tables.
func create(tx *sql.Tx) error {
	var tables int
	err := tx.QueryRow(`SELECT count(*) FROM sqlite_master WHERE name = 'enforce_meta'`).Scan(&tables)
	if err != nil || tables > 0 {
		return err
	}
	if _, err := tx.Exec(ledgerSchema); err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO enforce_meta (key, value) VALUES ('version', ?)`, ledgerVersion)
	return err
}

// ReadFrom makes queries use another pool of connections to the same file, so
// that people do not wait for a snapshot being saved. It returns the ledger.
func (l *Ledger) ReadFrom(db *sql.DB) *Ledger {
	l.r = db
	return l
}

func (l *Ledger) version(ctx context.Context) (int, error) {
	var tables int
	err := l.w.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE name = 'enforce_meta'`).Scan(&tables)
	if err != nil || tables == 0 {
		return 0, err
	}
	var v int
	err = l.w.QueryRowContext(ctx, `SELECT value FROM enforce_meta WHERE key = 'version'`).Scan(&v)
	return v, err
}

func (l *Ledger) tx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := l.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // the error that matters is do's
		return err
	}
	return tx.Commit()
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
	res, err := l.w.ExecContext(ctx, `INSERT INTO commands (at, who, verb, arg, why, dur, result, done) VALUES (?,?,?,?,?,?,'',0)`,
		c.At, clean(c.Who), c.Verb, l.hidden(clean(c.Arg)), l.hidden(clean(c.Why)), int64(c.For))
	if err != nil {
		return 0, fmt.Errorf("enforce: post a command: %w", err)
	}
	return res.LastInsertId()
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
	list, err := l.commands(ctx, `WHERE done = 0 ORDER BY id LIMIT ?`, limit)
	for i := range list {
		list[i].Arg = l.shown(list[i].Arg)
	}
	return list, err
}

func (l *Ledger) commands(ctx context.Context, where string, args ...any) ([]Command, error) {
	out, err := collect(ctx, l.r, `SELECT id, at, who, verb, arg, why, dur, result, done FROM commands `+where, args,
		func(r *sql.Rows) (c Command, err error) {
			err = r.Scan(&c.ID, &c.At, &c.Who, &c.Verb, &c.Arg, &c.Why, &c.For, &c.Result, &c.Done)
			return c, err
		})
	if err != nil {
		return nil, fmt.Errorf("enforce: read commands: %w", err)
	}
	return out, nil
}

// Allowed returns the allow-list, expired entries included.
func (l *Ledger) Allowed(ctx context.Context) ([]Allow, error) {
	out, err := collect(ctx, l.r, `SELECT value, why, by_whom, created, expires FROM allows ORDER BY created DESC, value`, nil,
		func(r *sql.Rows) (a Allow, err error) {
			err = r.Scan(&a.Value, &a.Why, &a.By, &a.Created, &a.Expires)
			return a, err
		})
	if err != nil {
		return nil, fmt.Errorf("enforce: read the allow-list: %w", err)
	}
	return out, nil
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
