package store_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/ingest"
)

// A snapshot over stageBytes is written in pieces; none of that may show.
func TestLargeSnapshots(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portcullis.db")
	db, ctx := open(t, path), t.Context()
	large := func(fill byte) store.State {
		s := store.State{Blobs: map[string][]byte{}, Marks: []ingest.Mark{{Source: "a", Offset: int64(fill)}}}
		for i := range 9 {
			s.Blobs[fmt.Sprint("part", i)] = bytes.Repeat([]byte{fill}, 1<<20)
		}
		return s
	}
	parts := func() (n int) {
		if err := db.SQL().QueryRow(`SELECT count(*) FROM parts`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for fill := range byte(3) {
		if err := db.Save(ctx, large(fill)); err != nil {
			t.Fatal(err)
		}
		if n := parts(); n != 9 {
			t.Errorf("%d parts are kept of 9", n)
		}
	}
	if _, err := db.SQL().Exec(`CREATE TRIGGER full BEFORE INSERT ON marks BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END`); err != nil {
		t.Fatal(err)
	}
	if err := db.Save(ctx, large(9)); err == nil {
		t.Fatal("the fault was not hit")
	}
	if n := parts(); n != 18 {
		t.Errorf("%d parts: the test tests nothing", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	if n := parts(); n != 9 {
		t.Errorf("%d parts after a restart: what the failed save left is rubbish", n)
	}
	got, err := db.Load(ctx)
	if err != nil || !reflect.DeepEqual(got.Blobs, large(2).Blobs) || got.Marks[0].Offset != 2 {
		t.Errorf("the failed save shows: mark %d (%v)", got.Marks[0].Offset, err)
	}
}
