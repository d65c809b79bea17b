package channel

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/detect/alert/alerttest"
	"github.com/portcullis/portcullis/internal/hook"
)

// says writes an answer of a service.
func says(w http.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // a client that is gone reads nothing
}

// at finds a value in JSON by keys and indexes.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch x := v.(type) {
		case map[string]any:
			v = x[fmt.Sprint(p)]
		case []any:
			i, ok := p.(int)
			if !ok || i >= len(x) {
				t.Fatalf("no %v in %v", p, x)
			}
			v = x[i]
		default:
			t.Fatalf("no %v in %v", p, v)
		}
	}
	return v
}

// text is a value that must be a text of so many characters at the most.
func text(t *testing.T, most int, v any, path ...any) string {
	t.Helper()
	s, ok := at(t, v, path...).(string)
	if !ok || utf8.RuneCountInString(s) > most {
		t.Errorf("%v is no text of up to %d characters: %.100v", path, most, at(t, v, path...))
	}
	return s
}

// TestWebhook: signed as Standard Webhooks say, with the same id for the same notice.
func TestWebhook(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	key, err := hook.Key(secret)
	if err != nil {
		t.Fatal(err)
	}
	alerttest.RunHTTP(t, alerttest.HTTP{
		Open: func(url string) (alert.Notifier, error) {
			return NewWebhook(WebhookConfig{URL: url + "/alerts", Secret: secret})
		},
		Secret: secret, Most: 256 << 10,
		Shows: func(t *testing.T, n *alert.Notice, r alerttest.Request) {
			id, stamp := r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp")
			if want := "v1," + hook.Signature(key, id, stamp, r.Body); r.Header.Get("Webhook-Signature") != want || id != n.ID || r.Header.Get("Idempotency-Key") != n.ID {
				t.Errorf("headers %v", r.Header)
			}
			var got alert.Notice
			if err := json.Unmarshal(r.Body, &got); err != nil || got.ID != n.ID || got.Title != n.Title || got.Kind != n.Kind || !got.At.Equal(n.At) {
				t.Errorf("told %+v, %v", got, err)
			}
		},
	})
}

// TestSlack: blocks of plain text, in which nothing is a mention or a link.
func TestSlack(t *testing.T) {
	alerttest.RunHTTP(t, alerttest.HTTP{
		Open: func(url string) (alert.Notifier, error) {
			return NewSlack(SlackConfig{URL: url + "/services/T0/B0/sesame"}), nil
		},
		Secret: "sesame", Most: 40_000,
		Accept: func(w http.ResponseWriter, r *http.Request, body []byte) {
			if r.URL.Path != "/services/T0/B0/sesame" || !strings.Contains(string(body), `"text"`) {
				says(w, http.StatusBadRequest, "invalid_payload")
				return
			}
			says(w, http.StatusOK, "ok")
		},
		Shows: func(t *testing.T, _ *alert.Notice, r alerttest.Request) {
			if s := text(t, 150*5, r.JSON, "text"); strings.ContainsAny(s, "<>\n") {
				t.Errorf("the text is markup: %q", s)
			}
			for i, b := range at(t, r.JSON, "blocks").([]any) {
				kind, most := "plain_text", 3000
				if i == 0 {
					most = 150
				}
				s := text(t, most, b, "text", "text")
				if s == "<https://portcullis.example.org/alerts?id=0123456789abcdef|Open in the console>" {
					kind = "mrkdwn"
				}
				if at(t, b, "text", "type") != kind {
					t.Errorf("block %d is %v", i, b)
				}
			}
		},
	})
}

// TestTeams: an adaptive card in the envelope that workflows take, of text without markup.
func TestTeams(t *testing.T) {
	alerttest.RunHTTP(t, alerttest.HTTP{
		Open: func(url string) (alert.Notifier, error) {
			return NewTeams(TeamsConfig{URL: url + "/workflows/sesame/triggers"}), nil
		},
		Secret: "sesame", Most: 28 << 10,
		Accept: func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(http.StatusAccepted) },
		Shows: func(t *testing.T, _ *alert.Notice, r alerttest.Request) {
			a := at(t, r.JSON, "attachments", 0)
			if at(t, r.JSON, "type") != "message" || at(t, a, "contentType") != "application/vnd.microsoft.card.adaptive" || at(t, a, "content", "type") != "AdaptiveCard" || at(t, a, "content", "version") != "1.4" {
				t.Errorf("card %v", a)
			}
			for _, b := range at(t, a, "content", "body").([]any) {
				if at(t, b, "type") != "RichTextBlock" || at(t, b, "inlines", 0, "type") != "TextRun" || strings.Contains(text(t, 4000, b, "inlines", 0, "text"), "\n") {
					t.Errorf("block %v", b)
				}
			}
			if at(t, a, "content", "actions", 0, "url") != "https://portcullis.example.org/alerts?id=0123456789abcdef" {
				t.Errorf("actions %v", at(t, a, "content", "actions"))
			}
		},
	})
}

// TestDiscord: one embed whose text is escaped, and that mentions nobody; what it says in
// the body about when to come again counts.
func TestDiscord(t *testing.T) {
	markup := regexp.MustCompile(`(^|[^\\])[*_~|<>\[\]@]`)
	alerttest.RunHTTP(t, alerttest.HTTP{
		Open: func(url string) (alert.Notifier, error) {
			return NewDiscord(DiscordConfig{URL: url + "/api/webhooks/1/sesame"}), nil
		},
		Secret: "sesame", Most: 40_000,
		Accept: func(w http.ResponseWriter, r *http.Request, _ []byte) {
			if r.URL.Query().Get("wait") != "true" {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			says(w, http.StatusOK, `{"id":"1","type":0}`)
		},
		Busy: func(w http.ResponseWriter) {
			says(w, http.StatusTooManyRequests, `{"message":"You are being rate limited.","retry_after":7.0,"global":false}`)
		},
		Shows: func(t *testing.T, _ *alert.Notice, r alerttest.Request) {
			e := at(t, r.JSON, "embeds", 0)
			total := 0
			for _, s := range []string{text(t, 256, e, "title"), text(t, 4096, e, "description")} {
				total += utf8.RuneCountInString(s)
				if markup.MatchString(s) {
					t.Errorf("markup in %.200q", s)
				}
			}
			for _, f := range at(t, e, "fields").([]any) {
				total += utf8.RuneCountInString(text(t, 256, f, "name") + text(t, 1024, f, "value"))
			}
			if total > 6000 {
				t.Errorf("%d characters, an embed has 6000", total)
			}
			if list, ok := at(t, r.JSON, "allowed_mentions", "parse").([]any); !ok || len(list) > 0 {
				t.Error("somebody may be mentioned")
			}
		},
	})
}

// TestTelegram: text without markup; when to come again is in the body.
func TestTelegram(t *testing.T) {
	alerttest.RunHTTP(t, alerttest.HTTP{
		Open: func(url string) (alert.Notifier, error) {
			return NewTelegram(TelegramConfig{Token: "42:sesame", Chat: "-100", URL: url}), nil
		},
		Secret: "sesame", Most: 64 << 10,
		Accept: func(w http.ResponseWriter, r *http.Request, _ []byte) {
			if r.URL.Path != "/bot42:sesame/sendMessage" {
				says(w, http.StatusNotFound, `{"ok":false,"error_code":404,"description":"Not Found"}`)
				return
			}
			says(w, http.StatusOK, `{"ok":true,"result":{"message_id":1}}`)
		},
		Busy: func(w http.ResponseWriter) {
			says(w, http.StatusTooManyRequests, `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 7","parameters":{"retry_after":7}}`)
		},
		Shows: func(t *testing.T, _ *alert.Notice, r alerttest.Request) {
			text(t, 4096, r.JSON, "text")
			if at(t, r.JSON, "chat_id") != "-100" || r.JSON["parse_mode"] != nil || at(t, r.JSON, "link_preview_options", "is_disabled") != true {
				t.Errorf("message %v", r.JSON)
			}
		},
	})
}

// TestPagerDuty: all notices of an alert have its key; it is resolved with the alert.
func TestPagerDuty(t *testing.T) {
	alerttest.RunHTTP(t, alerttest.HTTP{
		Open: func(url string) (alert.Notifier, error) {
			return NewPagerDuty(PagerDutyConfig{Key: "sesame", URL: url + "/v2/enqueue", Source: "edge"}), nil
		},
		Secret: "sesame", Most: 512 << 10,
		Accept: func(w http.ResponseWriter, _ *http.Request, body []byte) {
			var e struct {
				Key    string `json:"routing_key"`
				Action string `json:"event_action"`
				Dedup  string `json:"dedup_key"`
			}
			if err := json.Unmarshal(body, &e); err != nil || e.Key != "sesame" || len(e.Dedup) > 255 {
				says(w, http.StatusBadRequest, `{"status":"invalid event"}`)
				return
			}
			says(w, http.StatusAccepted, `{"status":"success","message":"Event processed"}`)
		},
		Shows: func(t *testing.T, n *alert.Notice, r alerttest.Request) {
			if at(t, r.JSON, "dedup_key") != n.Alert {
				t.Errorf("event %v", r.JSON)
			}
			switch action := at(t, r.JSON, "event_action"); {
			case action == "resolve" && (n.Over() || n.Kind == alert.Test):
			case action == "trigger" && !n.Over():
				text(t, 1024, r.JSON, "payload", "summary")
				if at(t, r.JSON, "payload", "severity") != "error" || at(t, r.JSON, "payload", "source") != "edge" {
					t.Errorf("payload %v", r.JSON["payload"])
				}
			default:
				t.Errorf("%s is %v", n.Kind, action)
			}
		},
	})
}

// TestOpsgenie: an alert is known by its alias, and is closed with it.
func TestOpsgenie(t *testing.T) {
	alerttest.RunHTTP(t, alerttest.HTTP{
		Open: func(url string) (alert.Notifier, error) {
			return NewOpsgenie(OpsgenieConfig{Key: "sesame", URL: url, Tags: []string{"edge"}}), nil
		},
		Secret: "sesame", Most: 512 << 10,
		Accept: func(w http.ResponseWriter, r *http.Request, _ []byte) {
			if r.Header.Get("Authorization") != "GenieKey sesame" {
				says(w, http.StatusUnauthorized, `{"message":"Could not authenticate"}`)
				return
			}
			says(w, http.StatusAccepted, `{"result":"Request will be processed","took":0.1,"requestId":"1"}`)
		},
		Shows: func(t *testing.T, n *alert.Notice, r alerttest.Request) {
			if r.Path == "/v2/alerts/"+n.Alert+"/close" {
				if !n.Over() && n.Kind != alert.Test {
					t.Errorf("%s closes", n.Kind)
				}
				return
			}
			if r.Path != "/v2/alerts" || n.Over() || text(t, 512, r.JSON, "alias") != n.Alert || at(t, r.JSON, "priority") != "P2" {
				t.Errorf("%s: %s %v", n.Kind, r.Path, r.JSON)
			}
			text(t, 130, r.JSON, "message")
			text(t, 15000, r.JSON, "description")
			for _, tag := range at(t, r.JSON, "tags").([]any) {
				text(t, 50, tag)
			}
		},
	})
}

// TestAlertmanagerContract: beside the real one, what it does when it is in trouble.
func TestAlertmanagerContract(t *testing.T) {
	alerttest.RunHTTP(t, alerttest.HTTP{
		Open: func(url string) (alert.Notifier, error) {
			return NewAlertmanager(AlertmanagerConfig{URLs: []string{url}, Token: "sesame", Labels: map[string]string{"site": "edge"}}), nil
		},
		Secret: "sesame", Most: 512 << 10,
		Shows: func(t *testing.T, n *alert.Notice, r alerttest.Request) {
			var list []prometheusAlert
			if err := json.Unmarshal(r.Body, &list); err != nil || len(list) != 1 {
				t.Fatalf("%v: %s", err, r.Body)
			}
			a := list[0]
			if r.Path != "/api/v2/alerts" || r.Header.Get("Authorization") != "Bearer sesame" || a.Labels["alert_id"] != n.Alert || a.Labels["site"] != "edge" ||
				a.Labels["severity"] != "high" || n.Over() != a.EndsAt.Before(time.Now()) {
				t.Errorf("%s: %+v", n.Kind, a)
			}
		},
	})
}

// TestSplunkContract: an event is told once the indexer acknowledged it.
func TestSplunkContract(t *testing.T) {
	asked := 0
	alerttest.RunHTTP(t, alerttest.HTTP{
		Open: func(url string) (alert.Notifier, error) {
			return NewSplunk(SplunkConfig{URL: url, Token: "sesame", SourceType: "portcullis:alert", RequireAck: true})
		},
		Secret: "sesame", Most: 1 << 20,
		Accept: func(w http.ResponseWriter, r *http.Request, body []byte) {
			switch {
			case r.Header.Get("Authorization") != "Splunk sesame":
				says(w, http.StatusForbidden, `{"text":"Invalid token","code":4}`)
			case len(r.Header.Get("X-Splunk-Request-Channel")) != 36:
				says(w, http.StatusBadRequest, `{"text":"Data channel is missing","code":10}`)
			case r.URL.Path == "/services/collector/event":
				says(w, http.StatusOK, `{"text":"Success","code":0,"ackId":3}`)
			case r.URL.Path == "/services/collector/ack" && strings.Contains(string(body), `"acks":[3]`) && r.URL.Query().Get("channel") == r.Header.Get("X-Splunk-Request-Channel"):
				asked++
				says(w, http.StatusOK, `{"acks":{"3":true}}`)
			default:
				says(w, http.StatusNotFound, `{"text":"The requested URL was not found on this server.","code":404}`)
			}
		},
		Shows: func(t *testing.T, n *alert.Notice, r alerttest.Request) {
			if r.Path == "/services/collector/event" && (at(t, r.JSON, "sourcetype") != "portcullis:alert" || at(t, r.JSON, "event", "id") != n.ID || at(t, r.JSON, "time") != float64(n.At.Unix())) {
				t.Errorf("event %v", r.JSON)
			}
		},
	})
	if asked == 0 {
		t.Error("no acknowledgement was asked for")
	}
}
