package detect

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// Snapshot is what changed since the one before: a consistent cut of the state
// and the marks it covers. Saved in one transaction, it loses nothing and
// repeats nothing after a crash.
type Snapshot struct {
	Blobs    map[string][]byte // parts of the state that changed, by name
	Findings []Finding         // new or changed
	Rollups  []Rollup          // new or changed, whole
	Ledger   []ingest.LedgerRow
	Rejects  []ingest.Reject
	Marks    []ingest.Mark
}

// stateVersion is raised when the layout of the state changes; a snapshot of
// another version is refused rather than misread.
const stateVersion = 1

// Snapshot waits for the workers and cuts.
func (e *Engine) Snapshot() Snapshot {
	e.drain()
	s := e.changes()
	s.Blobs = map[string][]byte{"engine": e.codeSelf(window.NewWriter(nil)).Bytes(), "wide": e.codeWide(window.NewWriter(nil)).Bytes()}
	names := ruleNames(e.workers[0].rules)
	for name, b := range s.Blobs {
		s.Blobs[name] = sealed(b)
	}
	for n := range Shards {
		if sh := e.shard(n); sh.touched {
			k := window.NewWriter(nil)
			codeNames(k, &names)
			sh.code(k, names)
			s.Blobs[shardName(n)] = sealed(k.Bytes())
			sh.touched = false
		}
	}
	return s
}

// changes collects everything but the blobs.
func (e *Engine) changes() Snapshot {
	var s Snapshot
	for _, w := range e.workers {
		w.routes.flush(e.wide)
	}
	s.Findings = e.collect()
	s.Rollups = e.wide.collect(nil)
	s.Ledger = e.books.copyRows()
	s.Rejects, e.books.rejects = e.books.rejects, nil
	for _, m := range e.marks {
		s.Marks = append(s.Marks, m)
	}
	slices.SortFunc(s.Marks, func(a, b ingest.Mark) int { return strings.Compare(a.Source, b.Source) })
	e.measure()
	return s
}

// collect gathers the findings that changed, in order.
func (e *Engine) collect() []Finding {
	var list []Finding
	for _, w := range e.workers {
		for _, sh := range w.shards {
			if sh != nil {
				list = sh.findings.collect(list)
			}
		}
	}
	list = e.wide.accounts.shards[Shards-1].findings.collect(list)
	SortFindings(list)
	return list
}

func shardName(n int) string { return fmt.Sprintf("shard/%03d", n) }

// sealed adds a checksum: a flipped bit must be an error, not another state.
func sealed(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func unsealed(blobs map[string][]byte, name string) ([]byte, error) {
	b := blobs[name]
	if n := len(b) - 4; n >= 0 && binary.BigEndian.Uint32(b[n:]) == crc32.Checksum(b[:n], castagnoli) {
		return b[:n], nil
	}
	return nil, fmt.Errorf("detect: restore %s: %w, or was saved by another version: restore the database from a backup, or move it away to start afresh", name, window.ErrCorrupt)
}

func (e *Engine) codeSelf(k *window.Codec) *window.Codec {
	version := uint64(stateVersion)
	k.U64(&version)
	if version != stateVersion {
		return k
	}
	k.U64(&e.cfg.Seed)
	k.I64(&e.mark.newest)
	ahead := int64(e.mark.ahead)
	k.I64(&ahead)
	e.mark.ahead = int(ahead)
	closed := e.workers[0].closed
	for _, w := range e.workers {
		closed = min(closed, w.closed)
	}
	k.I64(&closed)
	for _, w := range e.workers {
		w.closed = closed
		e.wide.closedBy[w.number] = closed
	}
	return k
}

func (e *Engine) codeWide(k *window.Codec) *window.Codec {
	e.wide.mu.Lock()
	defer e.wide.mu.Unlock()
	e.wide.code(k)
	names := ruleNames(e.wide.accounts.rules)
	codeNames(k, &names)
	sh := e.wide.accounts.shards[Shards-1]
	sh.code(k, names)
	e.wide.accounts.closed = e.wide.closed
	e.wide.accounts.next[Shards-1] = sh.agenda.next()
	return k
}

func codeNames(k *window.Codec, names *[]string) {
	n := k.Len(len(*names))
	if k.Reading() {
		*names = make([]string, n)
	}
	for i := range *names {
		k.String(&(*names)[i])
	}
}

// Restore loads a saved state into a new engine. Parts that cannot be read are
// an error: starting with half the state would be silent loss.
func (e *Engine) Restore(s Snapshot) error {
	for i := range s.Ledger {
		*e.books.row(s.Ledger[i].Source) = s.Ledger[i]
		if s.Ledger[i].Reasons == nil {
			e.books.row(s.Ledger[i].Source).Reasons = map[string]int64{}
		}
	}
	for _, m := range s.Marks {
		e.marks[m.Source] = m
	}
	if _, saved := s.Blobs["engine"]; !saved {
		return nil
	}
	self, err := unsealed(s.Blobs, "engine")
	if err != nil {
		return err
	}
	k := window.NewReader(self)
	var version uint64
	window.NewReader(self).U64(&version)
	if version != stateVersion {
		return fmt.Errorf("detect: the saved state has version %d, this program reads %d: move the state away to start afresh", version, stateVersion)
	}
	if err := e.codeSelf(k).Err(); err != nil {
		return fmt.Errorf("detect: restore engine: %w", err)
	}
	wide, err := unsealed(s.Blobs, "wide")
	if err != nil {
		return err
	}
	if err := e.codeWide(window.NewReader(wide)).Err(); err != nil {
		return fmt.Errorf("detect: restore wide level: %w", err)
	}
	for n := range Shards {
		if _, ok := s.Blobs[shardName(n)]; !ok {
			continue
		}
		blob, err := unsealed(s.Blobs, shardName(n))
		if err != nil {
			return err
		}
		k, names := window.NewReader(blob), []string(nil)
		codeNames(k, &names)
		sh := e.shard(n)
		sh.code(k, names)
		if k.Err() != nil {
			return fmt.Errorf("detect: restore shard %d: %w", n, k.Err())
		}
		sh.w.next[n] = sh.agenda.next()
	}
	e.measure()
	return nil
}
