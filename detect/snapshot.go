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
const stateVersion = 7

// Snapshot waits for the workers and cuts.
func (e *Engine) Snapshot() Snapshot {
	e.drain()
	s := e.changes()
	s.Blobs = map[string][]byte{"engine": e.codeSelf(window.NewWriter(nil)).Bytes()}
	if e.forward != nil {
		s.Blobs["forward"] = e.forward.code(window.NewWriter(nil), &e.workers[0].counted).Bytes()
	} else {
		s.Blobs["wide"] = e.wide.code(window.NewWriter(nil)).Bytes()
	}
	names := ruleNames(e.workers[0].rules)
	for name, b := range s.Blobs {
		s.Blobs[name] = sealed(b)
	}
	for n := range Shards {
		if sh := e.shard(n); sh != nil && sh.touched {
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
	s.Findings = e.collect()
	if e.wide != nil {
		for _, w := range e.workers {
			w.counted.flush(e.wide)
		}
		s.Rollups = e.wide.collect(nil)
	}
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
	if e.wide != nil {
		list = e.wide.findings(list)
	}
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
	e.mark.code(k)
	closed := e.workers[0].closed
	for _, w := range e.workers {
		closed = min(closed, w.closed)
	}
	k.I64(&closed)
	e.closedAt(closed)
	e.mark.codeClaim(k)
	return k
}

// closedAt says that all workers have closed a second.
func (e *Engine) closedAt(sec int64) {
	for _, w := range e.workers {
		w.closed = sec
		if e.wide != nil {
			e.wide.closedBy[w.number] = sec
		}
	}
	if e.forward != nil {
		e.forward.closed = sec
	}
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
