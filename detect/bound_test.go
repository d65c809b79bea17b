package detect

import "testing"

// TestAJumpNeedsAgreement: witnesses of one time do not speak for another.
func TestAJumpNeedsAgreement(t *testing.T) {
	w := watermark{bound: 30}
	w.pass(1_700_000_000)
	w.pass(1_700_007_200)
	w.pass(1_700_007_200)
	if got := w.pass(2_017_000_000); got != future {
		t.Errorf("ten years on one line's word: closed %d", w.closed())
	}
}

// TestChurnDoesNotFillTheAgenda: a wake outlives its client, so there is at most
// one for every slot.
func TestChurnDoesNotFillTheAgenda(t *testing.T) {
	cfg := Config{LateSeconds: 30, MaxClients: 16384, NewDecoder: func() (Decoder, error) { return nil, nil }}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := e.workers[0]
	for i := range 200_000 {
		k := key{hi: uint64(i) << 8}
		h := k.hash(0)
		w.shard(int(h>>56)).slot(k, h, 1_700_000_000+int64(i/10000))
	}
	n := 0
	for _, sh := range w.shards {
		sh.agenda.each(func(_ int64, l []wake) { n += len(l) })
	}
	e.measure()
	if got := e.Stats().Clients; n > got || got > cfg.MaxClients {
		t.Errorf("%d clients of at most %d, %d wakes", got, cfg.MaxClients, n)
	}
}

// TestWhatTheSenderSays moves the watermark behind the lines of its batch, is
// believed as far as the clock allows, and never moves it back.
func TestWhatTheSenderSays(t *testing.T) {
	const now = 1_700_000_000
	for _, c := range []struct {
		name            string
		ceiling, newest int64
		line            int64 // 0: none
		want            timing
		then            int64 // newest in the end
	}{
		{"not said", 0, 0, now + 10, onTime, now + 10},
		{"a heartbeat", 0, now + 50, 0, onTime, now + 50},
		{"an old one", 0, now - 50, 0, onTime, now},
		{"behind the lines", 0, now + 50, now - 29, onTime, now + 50},
		{"a gap is over, on the sender's word", 0, now + 9000, now + 9000, onTime, now + 9000},
		{"a line beyond that word", 0, now + 50, now + 9000, future, now + 50},
		{"beyond the clock", now + 300, now + 9000, now + 9000, future, now},
		{"beyond the clock, without a line", now + 300, now + 301, 0, onTime, now},
	} {
		w := watermark{bound: 30, newest: now, ceiling: c.ceiling}
		w.promise(c.newest)
		if c.line != 0 {
			if got := w.pass(c.line); got != c.want {
				t.Errorf("%s: the line is %d, want %d", c.name, got, c.want)
			}
		}
		if w.settle(); w.newest != c.then || w.promised != 0 {
			t.Errorf("%s: newest %d, want %d", c.name, w.newest-now, c.then-now)
		}
	}
}
