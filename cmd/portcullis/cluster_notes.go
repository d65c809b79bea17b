package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
)

// What stands in the notes of the state topic. Two processes that start at the same
// time write their note first and then look for the other's, so one of them sees it.
const (
	noteCollector = "collector/" // and an id: reads logs, or was killed at it
	noteRescale   = "rescale"    // who divides the partitions anew
)

// groupRescale has one member while partitions are divided anew.
const groupRescale = "rescale"

// collectorNote says that somebody reads logs. It is taken away at a stop in good
// order, when all that was read is acknowledged: what a collector sent and would send
// again must find the partitions as they were.
type collectorNote struct {
	Process string    `json:"process"`
	Sources []string  `json:"sources"`
	Since   time.Time `json:"since"`
}

// String is the note in words.
func (n *collectorNote) String() string {
	return fmt.Sprintf("%.80s (%s), since %s", n.Process, quotedList(n.Sources), n.Since.UTC().Format(time.RFC3339))
}

// quotedList is names, of which the first few are named.
func quotedList(names []string) string {
	const few = 5
	var out []string
	for _, n := range names[:min(few, len(names))] {
		out = append(out, fmt.Sprintf("%.80q", n))
	}
	if len(names) > few {
		out = append(out, fmt.Sprintf("and %d more", len(names)-few))
	}
	return strings.Join(out, ", ")
}

// collectorKey is where the id of this folder's collector is in the database: where a
// source was read to is in the folder too, so the id goes with it.
const collectorKey = "collector"

// noteCollecting says that this process begins to read logs, and refuses it while
// partitions are divided anew, or when they were since this process started.
func (c *cluster) noteCollecting(ctx context.Context) error {
	id, err := c.db.Meta(ctx, collectorKey)
	if err == nil && id == "" {
		id = rand.Text()
		err = c.db.SetMeta(ctx, collectorKey, id)
	}
	if err != nil {
		return err
	}
	note := collectorNote{Process: c.id, Since: now()}
	for i := range c.settings.Sources {
		note.Sources = append(note.Sources, c.settings.Sources[i].name())
	}
	text, err := json.Marshal(note)
	if err != nil {
		return err
	}
	c.collect.note = noteCollector + id
	if err := c.kafka.Note(ctx, c.producer, c.collect.note, text); err != nil {
		return err
	}
	book, err := c.kafka.Notebook(ctx)
	if err != nil {
		return err
	}
	why := c.unfit(ctx, book)
	if why == nil {
		return nil
	}
	return errors.Join(why, c.kafka.Note(ctx, c.producer, c.collect.note, nil))
}

// unfit says why lines must not be sent now.
func (c *cluster) unfit(ctx context.Context, book *kafka.Notebook) error {
	if book.Layout != c.layout {
		return errors.New("the partitions of the access topic were divided anew while this process started: start it again")
	}
	if book.Notes[noteRescale] == nil {
		return nil
	}
	who, err := c.kafka.Members(ctx, groupRescale)
	if err != nil || len(who) == 0 { // it was killed: what it had done does not count
		return err
	}
	return fmt.Errorf("portcullis kafka rescale is at work on %s: start again when it is done", strings.Join(who, ", "))
}

// noteCollected takes the note away, unless something that was sent is not known to
// have arrived.
func (c *cluster) noteCollected(ctx context.Context) error {
	if c.collect.note == "" {
		return nil
	}
	if n := c.collect.collector.Stats().Waiting; n > 0 {
		c.log.Warn("the end came in the middle of sending: nothing is lost, it goes on at the next start; until that ends in good order, portcullis kafka rescale will refuse to work", "groups", n)
		return nil
	}
	return c.kafka.Note(ctx, c.producer, c.collect.note, nil)
}

// foreignRecords counts what is in the journal and none of ours.
type foreignRecords struct {
	mu             sync.Mutex
	refused, newer int
	why            string
}

func (f *foreignRecords) add(r enforce.Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.newer += r.Newer
	f.refused += len(r.Refused)
	for _, x := range r.Refused {
		f.why = x.Reason
	}
}

// trouble says it in words.
func (f *foreignRecords) trouble() (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refused > 0 {
		list = append(list, fmt.Sprintf("decisions topic: %s that no enforcer of ours wrote, last: %.200s; they are in the rejected topic: find out who writes there", plural(f.refused, "record"), f.why))
	}
	if f.newer > 0 {
		list = append(list, fmt.Sprintf("decisions topic: %s of a newer version, which are left out here: update this process", plural(f.newer, "record")))
	}
	return list
}
