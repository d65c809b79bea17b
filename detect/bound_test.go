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
		for _, l := range sh.agenda.at {
			n += len(l)
		}
	}
	e.measure()
	if got := e.Stats().Clients; n > got || got > cfg.MaxClients {
		t.Errorf("%d clients of at most %d, %d wakes", got, cfg.MaxClients, n)
	}
}
