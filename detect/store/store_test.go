package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/ingest"
)

func open(t *testing.T, path string) *store.DB {
	t.Helper()
	db, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func tempDB(t *testing.T) *store.DB {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "portcullis.db"))
}

func finding(n int) detect.Finding {
	f := detect.Finding{
		ID: fmt.Sprintf("f%04d", n), Rule: "auth-burst", Version: 2, Family: detect.Credential, Severity: detect.High,
		Confidence: 0.83, Subject: detect.Subject{Kind: "ip", Value: fmt.Sprintf("192.0.2.%d", n%250)},
		Window: 1000, FirstSeen: 1001, LastSeen: 1500, FiredAt: int64(1_700_000_000+n/2) * 1e9, Count: int64(n),
		Why: "12 refused logins", Route: "/login", Standing: detect.Standing{Successes: 3, People: 1, Since: 7},
	}
	f.Evidence[0] = detect.Evidence{Source: "a", Offset: 9, Time: 1002, Line: "GET /\x00\xff\"<script>", Note: "quoted \xe2\x82\xac"}
	f.Evidence[1] = detect.Evidence{Source: "a", Offset: 99, Time: 1003, Line: "plain"}
	return f
}

func state(n int) store.State {
	return store.State{
		Findings: []detect.Finding{finding(n)},
		Rollups:  []detect.Rollup{{Minute: 60, Source: "a", Requests: int64(n)}, {Minute: 60, Source: "a", Route: "/login", Requests: 1}},
		Ledger: []ingest.LedgerRow{{Source: "a", Read: int64(n), Processed: int64(n) - 1, Rejected: 1,
			Reasons: map[string]int64{"bad_time": 1}, Late: 2, Future: 3, Bytes: 4, LagBytes: 5, LastTime: 6, Truncated: 7,
			Format: "nginx-combined", Carried: ingest.Carried{Week: 2950, Now: ingest.FieldUser, Before: ingest.FieldUser | ingest.FieldASN}}},
		Rejects: []ingest.Reject{{Pos: ingest.Position{Source: "a", File: 1 << 63, Offset: int64(n)}, Reason: ingest.BadTime, Length: 900, Sample: "x\x00\xff"}},
		Marks: []ingest.Mark{{Source: "a", Path: "/var/log/a\xff.log", File: ^uint64(0), Offset: int64(n), Device: 1, Inode: 2, Print: 1 << 63, PrintLen: 4},
			{Source: "a", Path: "/var/log/a.log.1", File: 3, Offset: 77}},
		Blobs: map[string][]byte{"shard/0": fmt.Appendf(nil, "%d", n), "empty": {}},
	}
}

func TestWhatIsSavedComesBack(t *testing.T) {
	db, ctx := tempDB(t), t.Context()
	want := state(7)
	if err := db.Save(ctx, want); err != nil {
		t.Fatal(err)
	}
	if err := db.Save(ctx, want); err != nil { // a repetition changes nothing
		t.Fatal(err)
	}
	got, err := db.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Marks, want.Marks) || !reflect.DeepEqual(got.Ledger, want.Ledger) || !reflect.DeepEqual(got.Blobs, want.Blobs) {
		t.Errorf("loaded %+v\nsaved  %+v", got, want)
	}
	f, ok, err := db.Finding(ctx, "f0007")
	if err != nil || !ok || f != want.Findings[0] {
		t.Errorf("finding %v %v\n got %+v\nwant %+v", ok, err, f, want.Findings[0])
	}
	if _, ok, err := db.Finding(ctx, "none"); ok || err != nil {
		t.Errorf("a finding that is not there: %v %v", ok, err)
	}
	rejects, err := db.Rejects(ctx, 0)
	if err != nil || !reflect.DeepEqual(rejects, want.Rejects) {
		t.Errorf("rejects %v %+v", err, rejects)
	}
	rollups, err := db.Rollups(ctx, 0, 0, store.AnyRoute)
	if err != nil || !reflect.DeepEqual(rollups, want.Rollups) {
		t.Errorf("rollups %v %+v", err, rollups)
	}
	if whole, _ := db.Rollups(ctx, 60, 61, ""); len(whole) != 1 || whole[0].Requests != 7 {
		t.Errorf("the whole: %+v", whole)
	}
	if none, _ := db.Rollups(ctx, 61, 0, ""); len(none) != 0 {
		t.Errorf("after the minute: %+v", none)
	}
}

func TestSaveReplaces(t *testing.T) {
	db, ctx := tempDB(t), t.Context()
	first := state(1)
	first.Marks = append(first.Marks, ingest.Mark{Source: "b", Offset: 5})
	second := state(2)
	second.Marks = second.Marks[:1]
	second.Blobs = map[string][]byte{"empty": nil}
	for _, s := range []store.State{first, second} {
		if err := db.Save(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	got, err := db.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Marks) != 2 || got.Marks[0].Offset != 2 || got.Marks[1].Source != "b" {
		t.Errorf("marks of a source are replaced, those of others stay: %+v", got.Marks)
	}
	if _, there := got.Blobs["empty"]; there || string(got.Blobs["shard/0"]) != "1" {
		t.Errorf("nil deletes and what is not named stays: %q", got.Blobs)
	}
}

func TestFindingsPagesAndFilters(t *testing.T) {
	db, ctx := tempDB(t), t.Context()
	var fs []detect.Finding
	for n := range 25 {
		f := finding(n)
		f.Severity = detect.Severity(n % 5)
		fs = append(fs, f)
	}
	if err := db.SaveFindings(ctx, fs); err != nil {
		t.Fatal(err)
	}
	var ids []string
	q := store.FindingQuery{Limit: 4}
	for {
		page, err := db.Findings(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page {
			ids = append(ids, f.ID)
		}
		if len(page) < 4 {
			break
		}
		q.After = page[3].ID
	}
	if len(ids) != 25 || ids[0] != "f0024" || ids[1] != "f0022" || ids[2] != "f0023" || ids[24] != "f0001" {
		t.Errorf("pages give each once, newest first, then by id: %v", ids)
	}
	at := fs[10].FiredAt
	for name, c := range map[string]struct {
		q    store.FindingQuery
		want int
	}{
		"since":    {store.FindingQuery{Since: at}, 15},
		"until":    {store.FindingQuery{Until: at}, 10},
		"seen":     {store.FindingQuery{SeenSince: 1501}, 0},
		"seen at":  {store.FindingQuery{SeenSince: 1500}, 25},
		"rule":     {store.FindingQuery{Rule: "scanner"}, 0},
		"family":   {store.FindingQuery{Family: "credential"}, 25},
		"subject":  {store.FindingQuery{Subject: detect.Subject{Kind: "ip", Value: "192.0.2.3"}}, 1},
		"value":    {store.FindingQuery{Subject: detect.Subject{Value: "192.0.2.3"}}, 1},
		"severity": {store.FindingQuery{MinSeverity: detect.High}, 10},
		"hostile":  {store.FindingQuery{Rule: "' OR 1=1 --"}, 0},
	} {
		got, err := db.Findings(ctx, c.q)
		if err != nil || len(got) != c.want {
			t.Errorf("%s: %d findings, want %d (%v)", name, len(got), c.want, err)
		}
	}
	if _, err := db.Findings(ctx, store.FindingQuery{After: "gone"}); err == nil {
		t.Error("a cursor that is gone must be an error, not the first page again")
	}
}

func TestRejectsStayBounded(t *testing.T) {
	db, ctx := tempDB(t), t.Context()
	var rejects []ingest.Reject
	for n := range 100 {
		for _, r := range []ingest.Reason{ingest.BadTime, ingest.TooLong} {
			rejects = append(rejects, ingest.Reject{Pos: ingest.Position{Source: "a", Offset: int64(n)*2 + int64(r)<<20}, Reason: r,
				Sample: strings.Repeat("z", 5000)})
		}
	}
	for i := 0; i < len(rejects); i += 30 {
		if err := db.Save(ctx, store.State{Rejects: rejects[i:min(i+30, len(rejects))]}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := db.Rejects(ctx, 0)
	if err != nil || len(got) != 40 || len(got[0].Sample) != ingest.SampleBytes || got[0].Pos != rejects[199].Pos {
		t.Errorf("%d kept, newest %+v (%v)", len(got), got[0].Pos, err)
	}
	if two, _ := db.Rejects(ctx, 2); len(two) != 2 {
		t.Errorf("limit 2 gave %d", len(two))
	}
}

func TestPrune(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	db, ctx := tempDB(t), t.Context()
	var s store.State
	for n := range 12000 {
		s.Findings = append(s.Findings, finding(n))
		s.Rollups = append(s.Rollups, detect.Rollup{Minute: int64(n) * 60})
	}
	if err := db.Save(ctx, s); err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000+5000, 0).Add(time.Hour)
	if err := db.Prune(ctx, now, store.Retention{Findings: time.Hour, MaxFindings: 1500}); err != nil {
		t.Fatal(err)
	}
	got, _ := db.Findings(ctx, store.FindingQuery{Limit: 10000})
	if len(got) != 1500 || got[0].ID != "f11998" {
		t.Errorf("%d findings left, newest %s", len(got), got[0].ID)
	}
	if err := db.Prune(ctx, time.Unix(12000*60, 0), store.Retention{Rollups: 10 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	if left, _ := db.Rollups(ctx, 0, 0, ""); len(left) != 10 {
		t.Errorf("%d rollups left, want 10", len(left))
	}
}

func TestMeta(t *testing.T) {
	db, ctx := tempDB(t), t.Context()
	if v, err := db.Meta(ctx, "status"); v != "" || err != nil {
		t.Errorf("%q %v", v, err)
	}
	for _, v := range []string{"{}", "{\"lag\":1}"} {
		if err := db.SetMeta(ctx, "status", v); err != nil {
			t.Fatal(err)
		}
		if got, _ := db.Meta(ctx, "status"); got != v {
			t.Errorf("%q, want %q", got, v)
		}
	}
}

func TestSaveIsAllOrNothing(t *testing.T) {
	db, ctx := tempDB(t), t.Context()
	if err := db.Save(ctx, state(1)); err != nil {
		t.Fatal(err)
	}
	// The last table that Save writes refuses: everything before it must go too.
	if _, err := db.SQL().Exec(`CREATE TRIGGER full BEFORE INSERT ON rejects BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END`); err != nil {
		t.Fatal(err)
	}
	err := db.Save(ctx, state(2))
	if err == nil || !strings.Contains(err.Error(), "free some space") {
		t.Fatalf("a full disk must be said: %v", err)
	}
	got, err := db.Load(ctx)
	if err != nil || got.Marks[0].Offset != 1 || got.Ledger[0].Read != 1 || string(got.Blobs["shard/0"]) != "1" {
		t.Errorf("half a state was kept: %+v (%v)", got, err)
	}
	if _, ok, _ := db.Finding(ctx, "f0002"); ok {
		t.Error("a finding of the failed save was kept")
	}
	if _, err := db.SQL().Exec(`DROP TRIGGER full`); err != nil {
		t.Fatal(err)
	}
	if err := db.Save(ctx, state(2)); err != nil {
		t.Errorf("after the fault it goes on: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.db")
	held := open(t, good)
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	raw, err := sql.Open("sqlite", newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec(`PRAGMA user_version = 999`); err != nil {
		t.Fatal(err)
	}
	_ = raw.Close()
	for name, c := range map[string]struct {
		open func(string) (*store.DB, error)
		path string
		want string
	}{
		"a second writer":      {store.Open, good, fmt.Sprintf("held by process %d", os.Getpid())},
		"a directory":          {store.Open, dir, "is a directory"},
		"no directory":         {store.Open, filepath.Join(dir, "no", "x.db"), "does not exist"},
		"garbage":              {store.Open, garbage, "move it away"},
		"a newer schema":       {store.Open, newer, "a newer portcullis wrote it"},
		"read-only, newer":     {store.OpenReadOnly, newer, "a newer portcullis wrote it"},
		"read-only, nothing":   {store.OpenReadOnly, filepath.Join(dir, "none.db"), "no database at"},
		"client, nothing":      {store.OpenClient, filepath.Join(dir, "none.db"), "no database at"},
		"read-only, no schema": {store.OpenReadOnly, emptyDB(t, dir), "run\" once"},
	} {
		db, err := c.open(c.path)
		if err == nil {
			_ = db.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := store.Open(good)
	if err != nil {
		t.Fatalf("the lock ends with its holder: %v", err)
	}
	_ = again.Close()
}

func emptyDB(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOthersReadAndPostMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd name?#%.db")
	writer, ctx := open(t, path), t.Context()
	if err := writer.Save(ctx, state(1)); err != nil {
		t.Fatal(err)
	}
	reader, err := store.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	client, err := store.OpenClient(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	for n := 2; n < 6; n++ {
		if err := writer.Save(ctx, state(n)); err != nil {
			t.Fatal(err)
		}
		if err := client.SetMeta(ctx, "from the client", fmt.Sprint(n)); err != nil {
			t.Fatal(err)
		}
		got, err := reader.Load(ctx)
		if err != nil || got.Marks[0].Offset != int64(n) {
			t.Fatalf("the reader sees %+v (%v)", got.Marks, err)
		}
		if v, _ := writer.Meta(ctx, "from the client"); v != fmt.Sprint(n) {
			t.Fatalf("the writer sees %q", v)
		}
	}
	if err := reader.Save(ctx, state(9)); err == nil {
		t.Error("a read-only store must not write")
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file has the name that was given: %v", err)
	}
	// A reader in the middle of a transaction neither waits nor blocks.
	tx, err := reader.SQL().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow(`SELECT count(*) FROM findings`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	deadline, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := writer.Save(deadline, state(10)); err != nil {
		t.Errorf("a reader blocks the writer: %v", err)
	}
	_ = tx.Rollback()
}
