// Package store keeps what the engine found in one SQLite file: findings,
// minute-wise traffic, the completeness ledger, samples of rejected lines, and
// the engine's snapshot with the source marks it covers.
//
// Loss policy: Save is one transaction, so the file holds either all of a state
// or nothing of it, whenever the process is killed. The file is in WAL mode with
// synchronous=FULL: what Save, or a person's command, acknowledged also outlives
// a power cut. NORMAL would be as consistent (marks and snapshot always travel
// together, and the log is read again from the older mark), but would forget an
// acknowledged release or allow; since commits are few, FULL costs one fsync
// every few seconds.
//
// One process writes (a lock file names it); any number of others read the file
// meanwhile, or post commands to it.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	_ "modernc.org/sqlite" // registers the "sqlite" driver
)

// busyMillis is how long a statement waits for another process's write lock.
// The longest that we hold it is a first migration or a large prune.
const busyMillis = 15000

// readers is how many connections read beside the writer's one.
const readers = 4

// mode is how a file is opened.
type mode int

const (
	modeWriter mode = iota // the daemon: creates, migrates, holds the lock
	modeClient             // another process: reads, and writes its commands
	modeReader             // another process: only reads
)

// DB is an open store. All methods may be called from any goroutine.
type DB struct {
	path string
	mode mode
	w    *sql.DB // one connection, so that our own writers queue here and not in SQLite
	r    *sql.DB
	lock *lockFile

	cloak Cloak // nil: nothing is hidden, and nothing was
	hide  bool  // whether what is written is hidden from now on

	saving sync.Mutex // what one Save has staged looks like rubbish to the sweep of another
}

// Open opens the store for the one process that writes it. It creates the file
// and brings an older schema up to date; it refuses a schema newer than this
// program, and a file that another process already writes, naming its pid.
func Open(path string) (*DB, error) {
	if err := creatable(path); err != nil {
		return nil, err
	}
	// Evidence is nobody else's business; SQLite gives its other files the same mode.
	if f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err == nil {
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	lock, err := acquire(path + ".lock")
	if err != nil {
		return nil, err
	}
	db, err := open(path, modeWriter)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	db.lock = lock
	if err := migrate(context.Background(), db.w); err != nil {
		return nil, errors.Join(fmt.Errorf("store: %s: %w", path, err), db.Close())
	}
	if err := db.sweep(context.Background()); err != nil {
		return nil, errors.Join(fmt.Errorf("store: %s: remove what a crash left: %w%s", path, err, hint(err)), db.Close())
	}
	return db, nil
}

// OpenReadOnly opens a store that another process may be writing. Every write
// through it fails.
func OpenReadOnly(path string) (*DB, error) { return openExisting(path, modeReader) }

// OpenClient opens a store that another process may be writing, for a program
// that posts commands: SQL can write, but the lock is not taken and the schema
// is left as it is.
func OpenClient(path string) (*DB, error) { return openExisting(path, modeClient) }

// Path is where the store lies.
func (db *DB) Path() string { return db.path }

// SQL is the connection that writes, for those who keep tables of their own in
// the same file. It is a single connection: close rows before the next
// statement.
func (db *DB) SQL() *sql.DB { return db.w }

// Reader is a small pool of connections that cannot write, so that queries do
// not wait for a snapshot being saved.
func (db *DB) Reader() *sql.DB { return db.r }

// Close ends all connections and gives the lock back.
func (db *DB) Close() error {
	var errs []error
	if db.r != db.w {
		errs = append(errs, db.r.Close())
	}
	errs = append(errs, db.w.Close())
	if db.lock != nil {
		errs = append(errs, db.lock.release())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("store: close %s: %w", db.path, err)
	}
	return nil
}

func openExisting(path string, m mode) (*DB, error) {
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("store: no database at %s: start \"portcullis run\" once, or name the right file", path)
		}
		return nil, fmt.Errorf("store: open: %w", err)
	}
	db, err := open(path, m)
	if err != nil {
		return nil, err
	}
	if err := checkVersion(context.Background(), db.r); err != nil {
		return nil, errors.Join(fmt.Errorf("store: %s: %w", path, err), db.Close())
	}
	return db, nil
}

func open(path string, m mode) (*DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store: open: %w", err)
	}
	db := &DB{path: path, mode: m}
	if db.r, err = pool(abs, modeReader, readers); err != nil {
		return nil, err
	}
	if m == modeReader {
		db.w = db.r
		return db, probe(db, path)
	}
	if db.w, err = pool(abs, m, 1); err != nil {
		return nil, errors.Join(err, db.r.Close())
	}
	return db, probe(db, path)
}

// probe makes the first connection, since sql.Open alone touches no file.
func probe(db *DB, path string) error {
	if err := db.w.Ping(); err != nil {
		return errors.Join(fmt.Errorf("store: open %s: %w%s", path, err, hint(err)), db.Close())
	}
	return nil
}

func pool(abs string, m mode, conns int) (*sql.DB, error) {
	p, err := sql.Open("sqlite", dsn(abs, m))
	if err != nil {
		return nil, fmt.Errorf("store: open %s: %w", abs, err)
	}
	p.SetMaxOpenConns(conns)
	p.SetMaxIdleConns(conns)
	return p, nil
}

func dsn(abs string, m mode) string {
	q := url.Values{}
	pragma := func(s string) { q.Add("_pragma", s) }
	pragma(fmt.Sprintf("busy_timeout(%d)", busyMillis))
	pragma("cache_size(-16384)")
	switch m {
	case modeWriter:
		pragma("auto_vacuum(incremental)") // takes effect only on a new file
		pragma("journal_mode(wal)")
		pragma("synchronous(full)")
		pragma("journal_size_limit(67108864)") // a large snapshot must not leave its log behind
		q.Set("_txlock", "immediate")
	case modeClient:
		pragma("synchronous(full)")
		q.Set("_txlock", "immediate")
		q.Set("mode", "rw")
	case modeReader:
		pragma("query_only(1)")
		q.Set("mode", "ro")
	}
	return (&url.URL{Scheme: "file", Path: abs, RawQuery: q.Encode()}).String()
}

// creatable reports the mistakes a person makes with the path in their words,
// before SQLite says "unable to open database file (14)".
func creatable(path string) error {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return fmt.Errorf("store: %s is a directory: name a file in it, such as portcullis.db", path)
	}
	dir := filepath.Dir(path)
	st, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: the directory %s does not exist: create it, owned by the user that runs portcullis", dir)
	}
	if err != nil {
		return fmt.Errorf("store: open: %w", err)
	}
	if !st.IsDir() {
		return fmt.Errorf("store: %s is no directory", dir)
	}
	return nil
}

// hint says what to do about the errors that operators meet.
func hint(err error) string {
	s := err.Error()
	switch {
	case strings.Contains(s, "not a database"), strings.Contains(s, "malformed"):
		return ": the file is damaged or is something else: move it away and start again, the log is read anew"
	case strings.Contains(s, "readonly"), strings.Contains(s, "unable to open"):
		return ": the user needs read and write rights on the file and on its directory"
	case strings.Contains(s, "disk is full"), strings.Contains(s, "no space"):
		return ": free some space; nothing was changed, and it is tried again"
	}
	return ""
}
