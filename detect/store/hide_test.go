package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/identity"
)

func cloak(t *testing.T) *identity.Cloak {
	t.Helper()
	c, err := identity.NewCloak([identity.KeyBytes]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	hideAddr = "203.0.113.77"
	rawAddr  = "\xcb\x00\x71\x4d"
)

// addressed is a state with an address wherever one may stand.
func addressed() store.State {
	s := state(3)
	f := &s.Findings[0]
	f.Members = detect.PackMembers([]detect.Member{{Subject: detect.Subject{Kind: "ip", Value: hideAddr}, Score: 0.5, Count: 3}})
	f.Subject.Value, f.Why, f.Route = hideAddr, "12 refused logins by "+hideAddr, "/hosts/"+hideAddr
	line := hideAddr + " - \xff " + strings.Repeat("x", detect.EvidenceBytes)
	f.Evidence[0].Line, f.Evidence[0].Note = line[:detect.EvidenceBytes-9]+" "+hideAddr[:8], "to "+hideAddr // cut within the second
	s.Rollups[1].Route = "/hosts/" + hideAddr
	s.Rejects[0].Sample = "junk " + hideAddr + " \x00" + strings.Repeat("y", ingest.SampleBytes)
	s.Rejects[0].Sample = s.Rejects[0].Sample[:ingest.SampleBytes-9] + " " + hideAddr[:8]
	s.Blobs["shard/0"] = bytes.Repeat([]byte(rawAddr+hideAddr), 100)
	return s
}

// tellsAddress returns the files beside the database that hold the address, or
// most of it.
func tellsAddress(t *testing.T, path string) (where []string) {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, trace := range []string{hideAddr[:8], rawAddr} {
			if i := bytes.Index(data, []byte(trace)); i >= 0 {
				where = append(where, filepath.Base(name)+": "+string(data[max(0, i-20):min(len(data), i+20)]))
			}
		}
	}
	return where
}

func TestConcealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portcullis.db")
	db, ctx, c := open(t, path), t.Context(), cloak(t)
	db.Conceal(c, true)
	want := addressed()
	if err := db.Save(ctx, want); err != nil {
		t.Fatal(err)
	}
	if where := tellsAddress(t, path); where != nil {
		t.Errorf("the address can be told: %q", where)
	}
	if want.Findings[0].Subject.Value != hideAddr {
		t.Error("the caller's finding was changed")
	}
	hidden := c.HideText(hideAddr)
	for _, by := range []string{hideAddr, hidden} {
		list, err := db.Findings(ctx, store.FindingQuery{Subject: detect.Subject{Value: by}})
		if err != nil || len(list) != 1 || list[0].Subject.Value != hidden || list[0].Why != "12 refused logins by "+hidden ||
			list[0].Route != "/hosts/"+hidden || list[0].MembersJSON()[0].Value != hidden || !strings.HasPrefix(list[0].Evidence[0].Line, hidden+" - \xff ") || list[0].Evidence[0].Note != "to "+hidden {
			t.Errorf("by %s: %+v (%v)", by, list, err)
		}
	}
	if rejects, err := db.Rejects(ctx, 0); err != nil || !strings.HasPrefix(rejects[0].Sample, "junk "+hidden+" \x00y") {
		t.Errorf("rejects %+v (%v)", rejects, err)
	}
	got, err := db.Load(ctx)
	if err != nil || !bytes.Equal(got.Blobs["shard/0"], want.Blobs["shard/0"]) || got.Blobs["empty"] == nil {
		t.Errorf("the snapshot came back as %d bytes (%v)", len(got.Blobs["shard/0"]), err)
	}
	other, err := identity.NewCloak([identity.KeyBytes]byte{8})
	if err != nil {
		t.Fatal(err)
	}
	db.Conceal(other, true)
	if _, err := db.Load(ctx); err == nil || !strings.Contains(err.Error(), "key of another installation") {
		t.Errorf("with another key: %v", err)
	}
}

// TestConcealSwitched writes in clear, switches hiding on, and off again.
func TestConcealSwitched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portcullis.db")
	db, ctx, c := open(t, path), t.Context(), cloak(t)
	want := addressed()
	db.Conceal(c, false)
	if err := db.Save(ctx, want); err != nil {
		t.Fatal(err)
	}
	if tellsAddress(t, path) == nil {
		t.Fatal("without hiding the address is not found: the test tests nothing")
	}
	db.Conceal(c, true)
	if list, err := db.Findings(ctx, store.FindingQuery{Subject: detect.Subject{Value: hideAddr}}); err != nil || len(list) != 1 {
		t.Errorf("what is still stored in clear is not found: %v", err)
	}
	for range 2 { // a second time changes nothing
		if err := db.HideStored(ctx); err != nil {
			t.Fatal(err)
		}
		if err := db.Compact(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if where := tellsAddress(t, path); where != nil {
		t.Errorf("the address can still be told: %q", where)
	}
	db.Conceal(c, false)
	got, err := db.Load(ctx)
	if err != nil || !bytes.Equal(got.Blobs["shard/0"], want.Blobs["shard/0"]) {
		t.Errorf("off again: the snapshot came back as %d bytes (%v)", len(got.Blobs["shard/0"]), err)
	}
	if list, err := db.Findings(ctx, store.FindingQuery{Subject: detect.Subject{Value: hideAddr}}); err != nil || len(list) != 1 {
		t.Errorf("off again: what was hidden is not found by its address: %v", err)
	}
}
