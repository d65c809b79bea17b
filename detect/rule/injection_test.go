package rule

import (
	"testing"

	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/ingest"
)

// TestInjectionOutcome holds what the answer says of an attempt against what the payload
// asks for.
func TestInjectionOutcome(t *testing.T) {
	in := inspect.New(inspect.Config{})
	for _, c := range []struct {
		target    string
		status    uint16
		seconds   int64
		sure, odd bool
	}{
		{"/items?id=1%27%20and%20sleep(5)--%20-", 200, 5, true, false},
		{"/items?id=1%27%20and%20sleep(5)--%20-", 200, 1, false, false},
		{"/items?id=1%27%20and%20sleep(5)--%20-", 500, 1, false, true},
		{"/items?id=1%27%20and%20sleep(5)--%20-", 503, 1, false, false},
		{"/items?id=1;waitfor+delay+%270:0:7%27--", 200, 8, true, false},
		{"/ping?host=a;sleep+6", 200, 6, true, false},
		{"/ping?host=a;sleep+6", 200, 2, false, false},
		{"/items?id=x%27+or+%271%27=%271", 200, 30, false, false},
	} {
		ev := &ingest.Event{Target: c.target, Status: c.status, Duration: c.seconds * 1e9}
		v := in.Inspect(ev)
		if v.Score < in.Threshold() {
			t.Fatalf("%q scores %d", c.target, v.Score)
		}
		v.NearCertain = false
		if said, sure, odd := outcome(ev, &v); sure != c.sure || odd != c.odd || (said == "") != (!sure && !odd) {
			t.Errorf("%q answered %d after %d s: %q, sure %v, odd %v, delay %d", c.target, c.status, c.seconds, said, sure, odd, v.Delay)
		}
	}
}
