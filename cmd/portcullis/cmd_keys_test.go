package main

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/ingest/identity"
)

// keyApp runs commands on a state folder of its own.
func keyApp(t *testing.T, dir string) (*App, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	conf := filepath.Join(t.TempDir(), "portcullis.yaml")
	if err := os.WriteFile(conf, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return &App{Out: &out, Err: &out, Globals: Globals{StateDir: dir, ConfigFile: conf, Output: "table", NoColor: true}}, &out
}

// TestKeysRotate: an old bare key stays resolvable, the file stays private, and what is derived
// from the root does not change.
func TestKeysRotate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, keyFile)
	old := strings.Repeat("0a", identity.KeyBytes)
	if err := os.WriteFile(path, []byte(old+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := ringOf(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the service left the key file at %v, %v", info.Mode(), err)
	}
	app, out := keyApp(t, dir)
	if err := (&KeysRotateCmd{}).Run(app); err != nil {
		t.Fatal(err)
	}
	after, err := ringOf(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(after.Keys) != 2 || after.Keys[0].Key != before.Keys[0].Key || after.Root != before.Root || after.Keys[1].ID != 2 {
		t.Errorf("rotated to %d generations, the root changed: %v", len(after.Keys), after.Root != before.Root)
	}
	if _, ident, err := identityOf(&Settings{StateDir: dir}, false); err != nil || ident.Key != after.Keys[1].Key {
		t.Errorf("the key in use is not the new one (%v)", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file is %v, %v", info.Mode(), err)
	}
	if text := out.String(); !strings.Contains(text, "in use") || !strings.Contains(text, "matched for another 29d23h") || strings.Contains(text, old) {
		t.Errorf("it says\n%s", text)
	}
	out.Reset()
	if err := (&KeysListCmd{}).Run(app); err != nil || strings.Count(out.String(), "\n") != 3 {
		t.Errorf("list: %v\n%s", err, out)
	}
	empty, _ := keyApp(t, t.TempDir())
	if err := (&KeysRotateCmd{}).Run(empty); err == nil || !strings.Contains(err.Error(), "portcullis run") {
		t.Errorf("without an installation: %v", err)
	}
}

// TestReveal: nothing is shown that is not written down, and what is written stays.
func TestReveal(t *testing.T) {
	dir := t.TempDir()
	ring, err := ringOf(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	cloak, err := identity.NewCloak(ring.Root)
	if err != nil {
		t.Fatal(err)
	}
	addr, net := cloak.Hide(netip.MustParseAddr("203.0.113.7")), cloak.HidePrefix(netip.MustParsePrefix("2001:db8::/64"))
	app, out := keyApp(t, dir)
	ctx := context.Background()
	reveal := func(hidden, why string) (string, error) {
		out.Reset()
		err := (&RevealCmd{Hidden: hidden, Reason: why}).Run(ctx, app)
		return out.String(), err
	}
	if got, err := reveal(addr, "ticket 1"); err == nil || got != "" {
		t.Errorf("without a database to write it down: %q, %v", got, err)
	}
	db, err := store.Open(filepath.Join(dir, storeFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got, err := reveal("", ""); err != nil || got != "nothing was revealed\n" {
		t.Errorf("before: %q, %v", got, err)
	}
	for hidden, want := range map[string]string{addr: "203.0.113.7\n", net: "2001:db8::/64\n"} {
		if got, err := reveal(hidden, "ticket\x1b[2J 4711"); err != nil || got != want {
			t.Errorf("%s is %q, %v", hidden, got, err)
		}
	}
	for hidden, why := range map[string]string{addr: " ", "ip_x": "y", "203.0.113.7": "y"} {
		if got, err := reveal(hidden, why); err == nil || got != "" {
			t.Errorf("%s for %q: %q, %v", hidden, why, got, err)
		}
	}
	got, err := reveal("", "")
	if err != nil || strings.Count(got, "4711") != 2 || strings.Contains(got, "203.0.113.7") || strings.Contains(got, "\x1b") {
		t.Errorf("the audit is %v\n%s", err, got)
	}
	for _, statement := range []string{`DELETE FROM reveals`, `UPDATE reveals SET why = ''`} {
		if _, err := db.SQL().Exec(statement); err == nil {
			t.Errorf("%s is possible", statement)
		}
	}
}
