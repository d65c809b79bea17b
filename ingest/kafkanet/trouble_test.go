package kafkanet

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
)

func TestTrouble(t *testing.T) {
	var out bytes.Buffer
	tr := Trouble{Log: slog.New(slog.NewTextHandler(&out, nil)), Down: "away", Up: "back"}
	gone := Problem{Text: "refused", Hint: "start it"}
	for range 3 {
		for p := range 12 {
			tr.Say(t.Context(), Place{"t", p}, gone)
		}
	}
	if n := strings.Count(out.String(), "msg=away"); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
	if text, since := tr.Now(); text != "t/0: refused" || since.IsZero() {
		t.Errorf("now: %q since %v", text, since)
	}
	for p := range 12 {
		if strings.Contains(out.String(), "msg=back") {
			t.Error("all is well before all places are")
		}
		tr.Well(Place{"t", p})
	}
	if text, _ := tr.Now(); text != "" || strings.Count(out.String(), "msg=back") != 1 {
		t.Errorf("now: %q\n%s", text, &out)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tr.Say(ended, Everywhere, gone)
	if text, _ := tr.Now(); text != "" {
		t.Errorf("who stops is in trouble: %s", text)
	}
}
