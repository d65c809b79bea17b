package channel

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/mail"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/detect/alert/alerttest"
	"github.com/portcullis/portcullis/fixtures/testbed"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
	"github.com/portcullis/portcullis/internal/hook"
)

// mailbox is a Mailpit, which shows what it received.
type mailbox struct {
	smtp int
	api  string
	ca   string
}

// newMailbox starts one that wants STARTTLS, or TLS from the beginning, and a login.
func newMailbox(t *testing.T, demand string) *mailbox {
	path := testbed.Found(t, "mailpit")
	if path == "" {
		t.Skip("SKIPPED, no mail server: go install github.com/axllent/mailpit@v1.27.11, or deploy/testbed/fetch.sh mailpit")
	}
	authority := servetest.NewAuthority(t)
	cert, key := authority.Issue("127.0.0.1")
	p := ports(t, 2)
	m := &mailbox{smtp: p[0], api: "http://" + address(p[1]) + "/api/v1/", ca: authority.CA}
	sum := sha1.Sum([]byte("open sesame")) // as htpasswd -s writes it
	login := writeFile(t, filepath.Join(t.TempDir(), "login"), fmt.Sprintf("portcullis:{SHA}%s\n", base64.StdEncoding.EncodeToString(sum[:])))
	testbed.Launch(t, path, "--smtp", address(p[0]), "--listen", address(p[1]), "--smtp-tls-cert", cert, "--smtp-tls-key", key, demand, "--smtp-auth-file", login,
		"--smtp-disable-rdns", "--disable-version-check", "--database", filepath.Join(t.TempDir(), "mail.db"))
	await(t, "mailpit answers", func() string { return "" }, func() bool { return get(t, m.api+"messages", nil) == nil })
	return m
}

func (m *mailbox) config(security string) EmailConfig {
	return EmailConfig{Host: "127.0.0.1", Port: m.smtp, Security: security, User: "portcullis", Password: "open sesame", From: "Portcullis <portcullis@example.org>",
		To: []string{"soc@example.org", "Ann <ann@example.org>"}, TLS: hook.TLS{CA: m.ca}}
}

// message is what Mailpit tells of one.
type message struct {
	ID, MessageID, Subject, Text string
	From                         mail.Address
	To                           []mail.Address
}

func (m *mailbox) messages(t *testing.T) []message {
	t.Helper()
	var list struct{ Messages []message }
	if err := get(t, m.api+"messages", &list); err != nil {
		t.Fatal(err)
	}
	out := make([]message, len(list.Messages))
	for i, x := range list.Messages {
		if err := get(t, m.api+"message/"+x.ID, &out[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestEmail: a real mail server receives what was told, over TLS both ways; a certificate
// that nobody vouches for, and a wrong password, are refused.
func TestEmail(t *testing.T) {
	for security, demand := range map[string]string{"starttls": "--smtp-require-starttls", "tls": "--smtp-require-tls"} {
		t.Run(security, func(t *testing.T) {
			m := newMailbox(t, demand)
			e, err := NewEmail(m.config(security))
			if err != nil {
				t.Fatal(err)
			}
			n := alerttest.Notice(alert.Firing)
			if err := e.Notify(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			got := m.messages(t)
			if len(got) != 1 || got[0].Subject != n.Title || got[0].MessageID != n.ID+"@example.org" || got[0].From.Address != "portcullis@example.org" || len(got[0].To) != 2 ||
				!strings.Contains(got[0].Text, "Findings: 112") || !strings.Contains(got[0].Text, n.Link) {
				t.Fatalf("received %+v", got)
			}
			for want, change := range map[string]func(c *EmailConfig){
				"certificate": func(c *EmailConfig) { c.TLS.CA = "" },
				"535":         func(c *EmailConfig) { c.Password = "close sesame" },
			} {
				cfg := m.config(security)
				change(&cfg)
				e, err := NewEmail(cfg)
				if err != nil {
					t.Fatal(err)
				}
				if err := e.Notify(t.Context(), n); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") {
					t.Errorf("got %v, want %s", err, want)
				}
			}
		})
	}
}

// TestEmailHostile: text makes no header and no recipient, and arrives as it is.
func TestEmailHostile(t *testing.T) {
	m := newMailbox(t, "--smtp-require-starttls")
	e, err := NewEmail(m.config("starttls"))
	if err != nil {
		t.Fatal(err)
	}
	n := alerttest.Hostile()
	if err := e.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	got := m.messages(t)
	if len(got) != 1 || len(got[0].To) != 2 || got[0].Subject != oneLine(n.Title) || !strings.Contains(got[0].Text, "€€€") {
		t.Fatalf("%d messages; subject %.300q", len(got), got[0].Subject)
	}
	var headers map[string][]string
	if err := get(t, m.api+"message/"+got[0].ID+"/headers", &headers); err != nil {
		t.Fatal(err)
	}
	if headers["Bcc"] != nil || headers["Auto-Submitted"][0] != "auto-generated" || headers["References"][0] != "<alert-"+n.Alert+"@example.org>" {
		t.Errorf("headers %v", headers)
	}
}

// TestEmailTrouble: a server that is silent is an error in time, one that is not there too.
func TestEmailTrouble(t *testing.T) {
	silent := listen(t)
	_, port := split(t, silent.Addr().String())
	for _, security := range []string{"starttls", "tls"} {
		silentMail(t, EmailConfig{Host: "127.0.0.1", Port: port, Security: security, From: "a@example.org", To: []string{"b@example.org"}})
	}
	e, err := NewEmail(EmailConfig{Host: "127.0.0.1", Port: ports(t, 1)[0], Security: "starttls", From: "a@example.org", To: []string{"b@example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Notify(t.Context(), alerttest.Notice(alert.Firing)); err == nil {
		t.Error("nobody is taken for a server")
	}
}

func silentMail(t *testing.T, cfg EmailConfig) {
	t.Helper()
	e, err := NewEmail(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- e.Notify(ctx, alerttest.Notice(alert.Firing)) }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("silence is taken for an answer")
		}
	case <-time.After(patience):
		t.Fatal("Notify does not end with its context")
	}
}

// TestEmailRefused: what a server says is told with its number; what is wrong with the
// message is final, what passes is not.
func TestEmailRefused(t *testing.T) {
	for answer, want := range map[string]alert.Refusal{
		"451 try again later":     {Status: 451},
		"554 message is rejected": {Status: 554, Final: true},
	} {
		l := listen(t)
		go serveSMTP(l, answer)
		_, port := split(t, l.Addr().String())
		e, err := NewEmail(EmailConfig{Host: "127.0.0.1", Port: port, Security: "none", From: "a@example.org", To: []string{"b@example.org"}})
		if err != nil {
			t.Fatal(err)
		}
		err = e.Notify(t.Context(), alerttest.Notice(alert.Firing))
		var r *alert.Refusal
		if !errors.As(err, &r) || r.Status != want.Status || r.Final != want.Final {
			t.Errorf("%s: got %v, %s", answer, err, fmt.Sprintf("%+v", r))
		}
	}
}
