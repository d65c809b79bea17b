package elastic

import (
	"strings"
	"testing"
)

// TestIndexOfAnother: an index that our template did not make takes no document and
// loses none, whether it was there before or comes in the place of ours.
func TestIndexOfAnother(t *testing.T) {
	r := installed(t, server(t).URL(), LayoutIndex)
	docs := r.numbered(t, 0, 10)
	name := r.index(&docs[0])
	for round := range 2 {
		must(t, "PUT", "/"+name, `{"mappings":{"dynamic":"false","properties":{"@timestamp":{"type":"boolean"}}}}`, nil)
		wait := r.writing(t.Context(), docs)
		eventually(t, "the index is reported", func() bool {
			return strings.Contains(r.Health().Error, `was not made by our template (@timestamp is "boolean", ours "date")`)
		})
		must(t, "DELETE", "/"+name, "", nil)
		if err := wait(); err != nil {
			t.Fatal(err)
		}
		if h := r.Health(); h.Error != "" || h.Rejected != 0 || len(r.rejected.docs) > 0 {
			t.Errorf("round %d: %+v", round, h)
		}
		r.exactly(t, docs)
		must(t, "DELETE", "/"+name, "", nil) // the store has seen it, and does not ask again
	}
}
