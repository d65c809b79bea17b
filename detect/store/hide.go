package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

// Cloak hides addresses; *identity.Cloak is one. It is used from any goroutine.
type Cloak interface {
	HideText(s string) string                        // all addresses in s; what is hidden stays so
	Seal(name string, plain []byte) ([]byte, error)  // encrypts
	Open(name string, sealed []byte) ([]byte, error) // its inverse; what is not sealed comes back as it is
}

// Conceal gives the store what hides addresses. With hide, all that is written
// from now on is hidden, and the snapshot encrypted; without, only what was
// hidden before can be read. Either way subjects are found by their address. Call
// it before anything else.
func (db *DB) Conceal(c Cloak, hide bool) { db.cloak, db.hide = c, hide }

// hidden is a text as it is stored. One that was cut after limit bytes (0: it
// was not) loses an address that the cut left half of, which could not be told
// for one.
func (db *DB) hidden(s string, limit int) string {
	if !db.hide {
		return s
	}
	return hidden(db.cloak, s, limit)
}

func hidden(c Cloak, s string, limit int) string {
	if s == "" {
		return s
	}
	if limit > 0 && len(s) >= limit {
		s = strings.TrimRight(s, "0123456789abcdefABCDEF:.")
	}
	return c.HideText(s)
}

// other is how a subject's value may be stored besides as it is.
func (db *DB) other(value string) string {
	if db.cloak == nil {
		return value
	}
	return db.cloak.HideText(value)
}

func (db *DB) hideFinding(f *detect.Finding) {
	if db.hide {
		HideFinding(db.cloak, f)
	}
}

// HideFinding hides all addresses in a finding, as every store keeps it then.
func HideFinding(c Cloak, f *detect.Finding) {
	f.Subject.Value, f.Why, f.Route = hidden(c, f.Subject.Value, 0), hidden(c, f.Why, 0), hidden(c, f.Route, 0)
	if f.Members != "" {
		list := f.MemberList()
		for i := range list {
			list[i].Subject.Value = hidden(c, list[i].Subject.Value, 0)
		}
		f.Members = detect.PackMembers(list)
	}
	if f.Suspects != "" {
		list := f.SuspectList()
		for i := range list {
			list[i].Class = detect.Class{Route: hidden(c, list[i].Class.Route, 0), Agent: hidden(c, list[i].Class.Agent, 0)}
		}
		f.Suspects = detect.PackSuspects(list)
	}
	for i := range f.Evidence {
		e := &f.Evidence[i]
		e.Line, e.Agent, e.Note = hidden(c, e.Line, detect.EvidenceBytes), hidden(c, e.Agent, detect.AgentBytes), hidden(c, e.Note, 0)
	}
}

func (db *DB) sealed(name string, data []byte) ([]byte, error) {
	if !db.hide {
		return data, nil
	}
	return db.cloak.Seal(name, data)
}

// HideStored hides what was stored before addresses were hidden, once: it is for
// the first start with hiding on. Ids of findings stay, since decisions name them.
func (db *DB) HideStored(ctx context.Context) error {
	for _, step := range []func(context.Context) error{db.hideFindings, db.hideTexts, db.sealParts} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("store: hide what is stored: %w%s", err, hint(err))
		}
	}
	return nil
}

// Compact gives back free pages, and with them what was deleted or overwritten:
// SQLite keeps it in the file until then.
func (db *DB) Compact(ctx context.Context) error {
	for _, text := range []string{`VACUUM`, `PRAGMA wal_checkpoint(TRUNCATE)`} {
		if _, err := db.w.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("store: compact: %w%s", err, hint(err))
		}
	}
	return nil
}

// hideFindings goes through them in pages, so that memory stays bounded.
func (db *DB) hideFindings(ctx context.Context) error {
	for after := ""; ; {
		page, err := query(ctx, db.w, `SELECT `+findingColumns+` FROM findings WHERE id > ? ORDER BY id LIMIT 1000`, []any{after}, scanFinding)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := db.SaveFindings(ctx, page); err != nil {
			return err
		}
		after = page[len(page)-1].ID
	}
}

// hideTexts hides routes and the samples of rejected lines, which are few.
func (db *DB) hideTexts(ctx context.Context) error {
	return InTx(ctx, db.w, func(tx *sql.Tx) error {
		for _, t := range []struct {
			read, write string
			limit       int
		}{
			{`SELECT DISTINCT route FROM rollups`, `UPDATE rollups SET route = ? WHERE route = ?`, 0},
			{`SELECT DISTINCT sample FROM rejects`, `UPDATE rejects SET sample = CAST(? AS BLOB) WHERE sample = CAST(? AS BLOB)`, ingest.SampleBytes},
		} {
			old, err := query(ctx, tx, t.read, nil, func(r *sql.Rows) (s []byte, err error) { return s, r.Scan(&s) })
			if err != nil {
				return err
			}
			err = each(ctx, tx, t.write, old, func(_ int, s []byte) []any { return []any{db.hidden(string(s), t.limit), string(s)} })
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (db *DB) sealParts(ctx context.Context) error {
	s, err := db.Load(ctx)
	if err != nil {
		return err
	}
	return db.Save(ctx, State{Blobs: s.Blobs})
}
