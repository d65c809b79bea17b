package detect_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/detect/rule"
	"github.com/portcullis/portcullis/ingest"
)

// halfway is a log whose limits are crossed after its 309th event, and the state
// that an engine saved there.
func halfway(t *testing.T, setup detecttest.Setup) (detecttest.Log, int, detect.Snapshot) {
	t.Helper()
	flood := func(n int, from int64) []ingest.Event {
		return each(n, 0, func(i int64) ingest.Event { return plain(from+i/60, "192.0.2.9") })
	}
	log := logOf(each(9, start, guess), flood(300, start+10), flood(300, start+15), one(guess(start+40)))
	e := detecttest.Engine(t, setup, log)
	defer e.Close()
	feed(e, 0, 309)
	s := e.Snapshot()
	return log, 309, s
}

// finish resumes from a snapshot and returns what is found then.
func finish(t *testing.T, setup detecttest.Setup, log detecttest.Log, from int, s detect.Snapshot) map[string]detect.Finding {
	t.Helper()
	e := detecttest.Engine(t, setup, log)
	defer e.Close()
	if err := e.Restore(s); err != nil {
		t.Fatalf("restore: %v", err)
	}
	feed(e, from, len(log))
	return detecttest.ByID(nil, e.Finish().Findings)
}

func rulesOf(found map[string]detect.Finding) string {
	names := map[string]bool{}
	for _, f := range found {
		names[f.Rule] = true
	}
	var list []string
	for _, n := range detect.Rules() {
		if names[n] {
			list = append(list, n)
		}
	}
	return strings.Join(list, " ")
}

// TestRestoreDropsOnlyWhatDoesNotFit: after a change of rules or of a bucket width
// the other rules' state is still there.
func TestRestoreDropsOnlyWhatDoesNotFit(t *testing.T) {
	both := detecttest.Setup{Late: 30, Rules: []string{"auth-burst", "rate-client"}}
	log, at, saved := halfway(t, both)
	wider := func(name string, cfg any) {
		if c, ok := cfg.(*rule.RateClientConfig); ok && name == "rate-client" {
			c.Span = 2 * time.Minute
		}
	}
	for _, c := range []struct {
		name  string
		setup detecttest.Setup
		want  string
	}{
		{"the same", both, "auth-burst rate-client"},
		{"more workers", detecttest.Setup{Late: 30, Rules: both.Rules, Workers: 3}, "auth-burst rate-client"},
		{"another order", detecttest.Setup{Late: 30, Rules: []string{"rate-client", "auth-burst"}}, "auth-burst rate-client"},
		{"a rule more in front", detecttest.Setup{Late: 30, Rules: []string{"scanner", "auth-burst", "rate-client"}}, "auth-burst rate-client"},
		{"a rule less", detecttest.Setup{Late: 30, Rules: []string{"rate-client"}}, "rate-client"},
		{"another bucket width", detecttest.Setup{Late: 30, Rules: both.Rules, Configure: wider}, "auth-burst"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := rulesOf(finish(t, c.setup, log, at, saved)); got != c.want {
				t.Errorf("found by %q, want %q", got, c.want)
			}
		})
	}
	if got := rulesOf(finish(t, both, log, at, detect.Snapshot{})); got != "" {
		t.Errorf("without the state found by %q: the test proves nothing", got)
	}
}

// TestRestoreKeepsTheBooks: ledger, marks and the seed come back.
func TestRestoreKeepsTheBooks(t *testing.T) {
	setup := detecttest.Setup{Late: 30}
	log, at, saved := halfway(t, setup)
	e := detecttest.Engine(t, setup, log)
	defer e.Close()
	if err := e.Restore(saved); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	if len(s.Ledger) != 1 || s.Ledger[0].Read != int64(at) || len(s.Marks) != 1 || s.Marks[0] != saved.Marks[0] {
		t.Errorf("ledger %+v, marks %+v", s.Ledger, s.Marks)
	}
	if !bytes.Equal(s.Blobs["engine"], saved.Blobs["engine"]) {
		t.Error("the engine's own state changed by saving and loading it")
	}
}

// TestRestoreRefusesAnotherVersion, and says what to do.
func TestRestoreRefusesAnotherVersion(t *testing.T) {
	setup := detecttest.Setup{Late: 30}
	log, _, saved := halfway(t, setup)
	other := maps.Clone(saved.Blobs)
	other["engine"] = append([]byte{99}, saved.Blobs["engine"][1:len(saved.Blobs["engine"])-4]...)
	sum := crc32.Checksum(other["engine"], crc32.MakeTable(crc32.Castagnoli))
	other["engine"] = binary.BigEndian.AppendUint32(other["engine"], sum)
	e := detecttest.Engine(t, setup, log)
	defer e.Close()
	err := e.Restore(detect.Snapshot{Blobs: other})
	if err == nil || !strings.Contains(err.Error(), "version 99") || !strings.Contains(err.Error(), "move the state away") {
		t.Errorf("error %v, want the versions and what to do", err)
	}
}

// TestRestoreRefusesDamage: every part that ends early is an error that names it.
func TestRestoreRefusesDamage(t *testing.T) {
	setup := detecttest.Setup{Late: 30, Rules: []string{"auth-burst", "rate-client"}}
	log, _, saved := halfway(t, setup)
	for name, blob := range saved.Blobs {
		for _, cut := range []int{0, 1, len(blob) / 2, len(blob) - 1} {
			if cut >= len(blob) {
				continue
			}
			damaged := maps.Clone(saved.Blobs)
			damaged[name] = blob[:cut]
			e := detecttest.Engine(t, setup, log)
			if err := e.Restore(detect.Snapshot{Blobs: damaged}); err == nil {
				t.Errorf("%s cut to %d of %d bytes: no error", name, cut, len(blob))
			}
			e.Close()
		}
	}
	missing := maps.Clone(saved.Blobs)
	delete(missing, "wide")
	e := detecttest.Engine(t, setup, log)
	defer e.Close()
	if err := e.Restore(detect.Snapshot{Blobs: missing}); err == nil {
		t.Error("without its wide level: no error")
	}
}
