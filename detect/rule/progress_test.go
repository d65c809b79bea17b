package rule_test

import (
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
)

// lookups are requests of a partner with five machines for two hours, for what number says.
func lookups(consumer string, number func(n int) int) detecttest.Log {
	w := newTown(3)
	for n := range 4000 {
		w.request(float64(n)*1.8, netip.AddrFrom4([4]byte{192, 0, 2, byte(n % 5)}), "erp/4.2", 0, 200)
		ev := &w.log[len(w.log)-1]
		ev.Consumer, ev.Target = consumer, "/v1/products/"+strconv.Itoa(1000+number(n))
	}
	return w.sorted()
}

// TestLookupsByChanceAreNoWalk: forty partners look things up by chance, so that the count of
// distinct ones, which is an estimate, is wrong for some by a fifth. None of them walks. Who
// goes through things in order does, in the second hour as in the first.
func TestLookupsByChanceAreNoWalk(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 9))
	setup := detecttest.Setup{Late: bound, Rules: []string{"bola-identity"}}
	for i := range 40 {
		name := "partner-" + strconv.Itoa(i)
		for _, f := range detecttest.Run(t, setup, lookups(name, func(int) int { return rnd.IntN(2000) })) {
			t.Errorf("%s: %s", name, f.Why)
		}
	}
	found := false
	for _, f := range detecttest.Run(t, setup, lookups("walker", func(n int) int { return n })) {
		found = found || f.Severity >= detect.Medium && f.LastSeen > (townStart+7000)*1e9 // to the end
	}
	if !found {
		t.Error("a walk was not found")
	}
}
