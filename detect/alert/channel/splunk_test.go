package channel

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/detect/alert/alerttest"
)

// TestSplunkAcknowledgement: one that comes late is waited for, one that does not come is
// an error in time, and a token without it is only taken where the settings allow it.
func TestSplunkAcknowledgement(t *testing.T) {
	var asked, after atomic.Int64
	var without atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := `{"text":"Success","code":0,"ackId":0}`
		switch {
		case r.URL.Path == "/services/collector/ack" && asked.Add(1) > after.Load():
			answer = `{"acks":{"0":true}}`
		case r.URL.Path == "/services/collector/ack":
			answer = `{"acks":{"0":false}}`
		case without.Load():
			answer = `{"text":"Success","code":0}`
		}
		_, _ = io.WriteString(w, answer) // a client that is gone reads nothing
	}))
	defer server.Close()
	open := func(require bool) *Splunk {
		s, err := NewSplunk(SplunkConfig{URL: server.URL, Token: "sesame", RequireAck: require})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	after.Store(1)
	if err := open(true).Notify(t.Context(), alerttest.Notice(alert.Firing)); err != nil || asked.Load() != 2 {
		t.Errorf("a late one: %v after %d", err, asked.Load())
	}
	after.Store(1 << 30)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := open(true).Notify(ctx, alerttest.Notice(alert.Firing)); err == nil {
		t.Error("one that does not come is taken for one")
	}
	without.Store(true)
	if err := open(true).Notify(t.Context(), alerttest.Notice(alert.Firing)); err == nil || !strings.Contains(err.Error(), "require_ack") {
		t.Errorf("a token without: %v", err)
	}
	if err := open(false).Notify(t.Context(), alerttest.Notice(alert.Firing)); err != nil {
		t.Errorf("a token without, which is allowed: %v", err)
	}
}
