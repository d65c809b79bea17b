package enforce_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"pgregory.net/rapid"
)

// turn is one thing that happens to a cluster. All of them are drawn before the
// bubble starts, since rapid stops a test by a panic.
type turn struct {
	what    string
	node    int
	finding int
	mode    int64
	share   int // of the topic, in percent
	old     bool
	wait    time.Duration
}

const clusterNodes = 3

var whatHappensToClusters = []string{"offer", "offer", "offer", "offer", "command", "command", "elect", "elect", "freeze", "freeze", "deaf",
	"thaw", "kill", "journal", "journal", "disk", "mend", "compact", "compact", "again", "forget"}

func drawTurns(t *rapid.T) []turn {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) turn {
		return turn{
			what:    rapid.SampledFrom(whatHappensToClusters).Draw(t, "what"),
			node:    rapid.IntRange(0, clusterNodes-1).Draw(t, "node"),
			finding: rapid.IntRange(0, 200).Draw(t, "finding"),
			mode:    rapid.Int64Range(refuses, crawls).Draw(t, "mode"),
			share:   rapid.IntRange(0, 100).Draw(t, "share"),
			old:     rapid.Bool().Draw(t, "old"),
			wait:    time.Duration(rapid.SampledFrom([]int{0, 1, 20, 110, 700, 3000, 12_000, 40_000, 700_000}).Draw(t, "milliseconds")) * time.Millisecond,
		}
	}), 5, 40).Draw(t, "turns")
}

// Whatever happens to whom, once the faults are over every ledger holds the
// same, the gateway what they say, every finding is judged, every command done
// once, and every step in the life of a decision is there once.
func TestClusterAgrees(t *testing.T) {
	plays := 0
	rapid.Check(t, func(rt *rapid.T) {
		turns := drawTurns(rt)
		if plays++; testing.Short() && plays > 4 { // each takes half a minute under the race detector
			return
		}
		dir := t.TempDir()
		var wrong []string
		synctest.Test(t, func(t *testing.T) {
			p := &clusterPlayer{fleet: newFleet(t, dir, 0), commands: map[string]string{}}
			p.cfg.Push.Poll = 2 * time.Second
			for range clusterNodes {
				p.add()
			}
			p.elect(0)
			for _, x := range turns {
				p.play(x)
			}
			p.calm()
			p.check()
			wrong = p.wrong
			p.close()
		})
		if len(wrong) > 0 {
			rt.Fatalf("%s", strings.Join(wrong, "\n"))
		}
	})
}

type clusterPlayer struct {
	*fleet
	posted   int
	commands map[string]string // why → arg, of those that were posted
}

func (p *clusterPlayer) play(x turn) {
	n := p.nodes[x.node]
	switch x.what {
	case "offer":
		p.offer(finding(fmt.Sprint("f", len(p.found)), fmt.Sprintf("192.0.2.%d", x.finding%20)))
	case "again":
		if len(p.found) > 0 {
			f := p.found[x.finding%len(p.found)]
			f.LastSeen = time.Now().UnixNano()
			p.offer(f)
		}
	case "command":
		p.command(n, x)
	case "elect":
		p.owner.Store(int64(x.node))
	case "freeze":
		n.hold.freeze()
	case "deaf":
		n.ears.freeze()
	case "thaw":
		n.hold.thaw()
		n.ears.thaw()
	case "kill":
		n.mode.Store(fine)
		n.stop()
		n.start()
	case "journal":
		n.mode.Store(x.mode)
	case "disk":
		n.exec(`CREATE TRIGGER IF NOT EXISTS busy BEFORE INSERT ON changes BEGIN SELECT RAISE(ABORT, 'disk is full'); END`)
	case "mend":
		n.mode.Store(fine)
		n.exec(`DROP TRIGGER IF EXISTS busy`)
	case "compact":
		p.compact(x)
	case "forget":
		p.sim.Forget()
	}
	p.pass(x.wait)
}

func (p *clusterPlayer) command(n *node, x turn) {
	verbs := []string{enforce.VerbRelease, enforce.VerbExtend, enforce.VerbAllow, enforce.VerbDisallow}
	p.posted++
	c := enforce.Command{Who: "ana", Verb: verbs[x.share%len(verbs)], Arg: fmt.Sprintf("192.0.2.%d", x.finding%20),
		Why: fmt.Sprint("reason ", p.posted, "."), For: time.Hour}
	if _, err := n.ledger.Post(p.Context(), c); err != nil {
		p.errf("post: %v", err)
		return
	}
	p.commands[c.Why] = c.Verb
}

// compact goes as far as a leader has made good what others wrote over, and
// deletions stay until all have read them: the topic's min.compaction.lag.ms and
// delete.retention.ms leave the time for that.
func (p *clusterPlayer) compact(x turn) {
	deletions, _ := p.topic.End()
	for _, n := range p.nodes {
		deletions = min(deletions, n.membership().Position)
	}
	if !x.old {
		deletions = 0
	}
	for _, n := range p.nodes {
		if m := n.membership(); m.Leading && m.Owed == 0 && n.enforcer() != nil {
			if end, _ := p.topic.End(); m.Position == end {
				p.topic.Compact(end*int64(x.share)/100, deletions)
			}
		}
	}
}

// calm ends the faults, lets the group choose for the last time, and waits until
// everything is settled.
func (p *clusterPlayer) calm() {
	for _, n := range p.nodes {
		n.hold.thaw()
		n.ears.thaw()
		n.mode.Store(fine)
		n.exec(`DROP TRIGGER IF EXISTS busy`)
	}
	p.pass(2 * time.Minute)
	leads := func() (out []int64) {
		for _, n := range p.nodes {
			if n.membership().Leading && n.enforcer() != nil {
				out = append(out, n.id)
			}
		}
		return out
	}
	if got := leads(); len(got) != 1 || got[0] != p.owner.Load() {
		p.errf("the group chose %d, and %v lead", p.owner.Load(), got)
	}
	p.pass(3 * time.Minute)
}

func (p *clusterPlayer) check() {
	end, _ := p.topic.End()
	p.topic.Compact(end, end)
	late := p.add() // reads only what compaction left
	p.pass(5 * time.Second)
	want := p.nodes[0].dump()
	for _, n := range p.nodes[1:] {
		if got := n.dump(); got != want {
			p.errf("node %d holds\n%s\nnode 0 holds\n%s", n.id, got, want)
		}
	}
	if strings.Contains(want, "journal_owed|") {
		p.errf("still owed:\n%s", want)
	}
	for _, f := range p.found {
		if !strings.Contains(want, "|"+f.ID+"|auth-burst|") {
			p.errf("finding %s was never judged", f.ID)
		}
	}
	p.checkDecisions(late, want)
	p.checkCommands(late)
}

func (p *clusterPlayer) checkDecisions(n *node, dump string) {
	live := map[detect.Subject]enforce.Decision{}
	for _, d := range n.decisions() {
		from := enforce.State("")
		for _, c := range n.history(d.ID) {
			if c.From != from {
				p.errf("%s: a change from %q after %q: %+v", d.ID, c.From, from, n.history(d.ID))
			}
			from = c.To
		}
		if from != d.State || d.State == enforce.Approved || d.State.Live() && d.Expires <= time.Now().UnixNano() {
			p.errf("%s is %s until %d, its history ends with %q", d.ID, d.State, d.Expires, from)
		}
		if !d.State.Live() {
			continue
		}
		if other, twice := live[d.Subject]; twice {
			p.errf("%s has two live decisions, %s and %s", d.Subject.Value, d.ID, other.ID)
		}
		live[d.Subject] = d
	}
	held := p.sim.Held()
	if len(held) != len(live) {
		p.errf("the gateway holds %d entries, the ledgers have %d live decisions", len(held), len(live))
	}
	for s, d := range live {
		prefix, err := enforce.Prefix(s)
		if en := held[prefix]; err != nil || en.Decision != d.ID || en.Action != d.Action {
			p.errf("the gateway holds %+v for %s, the ledgers %s %s", en, s.Value, d.ID, d.Action)
		}
	}
}

// checkCommands: each is answered, and left its mark in the life of a decision
// as often as its answer says.
func (p *clusterPlayer) checkCommands(n *node) {
	marks := map[string]int{}
	for _, d := range n.decisions() {
		for _, c := range n.history(d.ID) {
			if c.Who == "ana" {
				_, why, _ := strings.Cut(c.Why, ": ")
				marks[why]++
			}
		}
	}
	rows, err := n.db.SQL().Query(`SELECT why, result, done FROM commands`)
	if err != nil {
		p.errf("%v", err)
		return
	}
	defer func() { _ = rows.Close() }() // it is only read
	seen := map[string]bool{}
	for rows.Next() {
		var why, result string
		var done bool
		if err := rows.Scan(&why, &result, &done); err != nil {
			p.errf("%v", err)
		}
		if seen[why] || !done || result == "" {
			p.errf("command %q: done %v, %q, or it is there twice", why, done, result)
		}
		seen[why] = true
		want := strings.Count(result, "(block ") + strings.Count(result, "(throttle ")
		if strings.HasPrefix(result, "error: ") {
			want = 0
		}
		if marks[why] != want {
			p.errf("command %q %s left %d marks, its result says %q", why, p.commands[why], marks[why], result)
		}
	}
	if len(seen) != len(p.commands) || rows.Err() != nil {
		p.errf("%d of %d commands are there (%v)", len(seen), len(p.commands), rows.Err())
	}
}
