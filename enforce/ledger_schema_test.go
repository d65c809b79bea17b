package enforce

import (
	"path/filepath"
	"testing"

	"github.com/portcullis/portcullis/detect/store"
)

// TestUpgradeFromVersion1 numbers what is there, and lets a program of version
// 1 that still runs go on.
func TestUpgradeFromVersion1(t *testing.T) {
	db, err := store.Open(filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // nothing is lost with it
	old := func(text string) {
		t.Helper()
		if _, err := db.SQL().Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	change := `INSERT INTO changes (decision, at, who, from_state, to_state, why) VALUES `
	post := `INSERT INTO commands (at, who, verb, arg, why, dur, result, done) VALUES (1, 'ana', 'panic', '', '', 0, '', 0)`
	old(ledgerSchema)
	old(`INSERT INTO enforce_meta (key, value) VALUES ('version', 1)`)
	old(change + `('a', 1, 'policy', '', 'approved', ''), ('b', 2, 'policy', '', 'approved', ''), ('a', 3, 'gateway', 'approved', 'pushed', '')`)
	old(post)
	l, err := OpenLedger(t.Context(), db.SQL())
	if err != nil {
		t.Fatal(err)
	}
	var got string
	err = db.SQL().QueryRow(`SELECT group_concat(decision || n, ' ') FROM (SELECT * FROM changes ORDER BY seq)`).Scan(&got)
	if err != nil || got != "a0 b0 a1" {
		t.Errorf("numbered %q (%v)", got, err)
	}
	if _, err := db.SQL().Exec(`UPDATE changes SET why = ''`); err == nil {
		t.Error("history can be changed now")
	}
	old(change + `('a', 4, 'policy', 'pushed', 'expired', '')`)
	old(post)
	old(post)
	list, err := l.inbox(t.Context(), 10)
	if err != nil || len(list) != 3 || len(list[0].UID) != 32 {
		t.Errorf("%+v %v", list, err)
	}
	if again, err := OpenLedger(t.Context(), db.SQL()); err != nil || again == nil {
		t.Error(err)
	}
}
