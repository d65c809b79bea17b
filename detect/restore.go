package detect

import (
	"fmt"

	"github.com/portcullis/portcullis/detect/window"
)

// Restore loads a saved state into a new engine. Parts that cannot be read are
// an error: starting with half the state would be silent loss.
func (e *Engine) Restore(s Snapshot) error {
	return e.restore(s, nil, true)
}

// RestoreShards loads some of the shards that another engine saved into a new
// engine, or into one that has loaded such from others: when partitions are
// divided anew. All states must be of the same point of the stream. rest says
// whether the books of that snapshot, its marks, and what it had for level two
// and not handed on, come along: of the engines that share a snapshot one must take
// them.
func (e *Engine) RestoreShards(s Snapshot, which func(shard int) bool, rest bool) error {
	return e.restore(s, which, rest)
}

// restore loads all shards where which is nil; others count as changed, since no
// snapshot of this engine has them.
func (e *Engine) restore(s Snapshot, which func(shard int) bool, rest bool) error {
	if rest {
		for i := range s.Ledger {
			e.books.add(&s.Ledger[i])
		}
		for _, m := range s.Marks {
			e.marks[m.Source] = m
		}
	}
	if _, saved := s.Blobs["engine"]; !saved {
		return nil
	}
	if err := e.restoreSelf(s.Blobs); err != nil {
		return err
	}
	if rest {
		if err := e.restoreUpper(s.Blobs); err != nil {
			return err
		}
	}
	for n := range Shards {
		if _, ok := s.Blobs[shardName(n)]; !ok || which != nil && !which(n) {
			continue
		}
		if err := e.restoreShard(s.Blobs, n); err != nil {
			return err
		}
		e.shard(n).touched = which != nil
	}
	e.restored = true
	e.measure()
	return nil
}

// restoreSelf loads how far the stream has come; of several states what all of
// them have closed.
func (e *Engine) restoreSelf(blobs map[string][]byte) error {
	self, err := unsealed(blobs, "engine")
	if err != nil {
		return err
	}
	var version uint64
	window.NewReader(self).U64(&version)
	if version != stateVersion {
		return fmt.Errorf("detect: the saved state has version %d, this program reads %d: move the state away to start afresh", version, stateVersion)
	}
	before, seed, closed := e.mark, e.cfg.Seed, e.workers[0].closed
	if err := e.codeSelf(window.NewReader(self)).Err(); err != nil {
		return fmt.Errorf("detect: restore engine: %w", err)
	}
	if !e.restored {
		return nil
	}
	if e.cfg.Seed != seed {
		e.cfg.Seed = seed
		return fmt.Errorf("detect: restore engine: the states are of different installations (their seeds differ): they cannot be joined")
	}
	if before.newest > e.mark.newest {
		e.mark = before
	}
	e.closedAt(min(closed, e.workers[0].closed))
	return nil
}

func (e *Engine) restoreUpper(blobs map[string][]byte) error {
	name, code := "wide", func(k *window.Codec) *window.Codec { return e.wide.code(k) }
	if e.forward != nil {
		name, code = "forward", func(k *window.Codec) *window.Codec { return e.forward.code(k, nil) }
	}
	blob, err := unsealed(blobs, name)
	if err != nil {
		return err
	}
	if err := code(window.NewReader(blob)).Err(); err != nil {
		return fmt.Errorf("detect: restore the %s level: %w", name, err)
	}
	return nil
}

func (e *Engine) restoreShard(blobs map[string][]byte, n int) error {
	blob, err := unsealed(blobs, shardName(n))
	if err != nil {
		return err
	}
	w := e.workers[n%len(e.workers)]
	k, names := window.NewReader(blob), []string(nil)
	codeNames(k, &names)
	sh := w.shard(n)
	sh.code(k, names)
	if k.Err() != nil {
		return fmt.Errorf("detect: restore shard %d: %w", n, k.Err())
	}
	w.next[n] = sh.agenda.next()
	return nil
}
