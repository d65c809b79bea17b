package enforce_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// tape is a meter that writes down what it hears. Run is the only one to call it,
// and the bubble reads it while everybody waits.
type tape struct {
	changes []string
	good    int
	refused int
	slowest time.Duration
}

func (m *tape) Changed(d enforce.Decision, c enforce.Change) {
	m.changes = append(m.changes, fmt.Sprintf("%s %s>%s", d.Action, c.From, c.To))
}

func (m *tape) Pushed(gateway string, took time.Duration, err error) {
	if err != nil {
		m.refused++
		return
	}
	m.good++
	m.slowest = max(m.slowest, took)
}

// TestMeterHearsEverything: every change that is in the ledger once, and every push
// with its answer.
func TestMeterHearsEverything(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		w.stop()
		w.make()
		m := &tape{}
		w.e.SetMeter(m)
		w.faults[0].Set(1, 0, 0)
		w.work()
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.pass(time.Second)
		if m.refused == 0 || m.good != 0 || len(m.changes) != 1 {
			t.Errorf("while the gateway is down: %+v", m)
		}
		w.faults[0].Set(0, 1, 2*time.Second)
		w.pass(time.Minute)
		w.request("192.0.2.7")
		w.pass(11 * time.Minute)
		d := w.only(enforce.Expired)
		var heard []string
		for _, c := range m.changes {
			_, to, _ := strings.Cut(c, ">")
			heard = append(heard, to)
		}
		if got := strings.Join(heard, " "); got != w.history(d.ID) || !strings.HasPrefix(m.changes[0], "block >") {
			t.Errorf("heard %q, the ledger has %q", m.changes, w.history(d.ID))
		}
		if m.good == 0 || m.slowest != 2*time.Second {
			t.Errorf("%+v", m)
		}
	})
}
