package channel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"slices"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/internal/hook"
)

func init() {
	alert.Register("email", alert.Spec{
		Doc:     "e-mail, by SMTP with TLS",
		Tested:  "Mailpit 1.27.11",
		Chat:    true,
		Redacts: true,
		Config:  func() any { return new(EmailConfig) },
		Open:    func(config any) (alert.Notifier, error) { return NewEmail(*config.(*EmailConfig)) },
	})
}

// EmailConfig is the "email" section of a channel.
type EmailConfig struct {
	Host     string   `yaml:"host" doc:"the mail server"`
	Port     int      `yaml:"port" default:"587" min:"1" max:"65535" doc:"its port: 587 with starttls, 465 with tls"`
	Security string   `yaml:"security" default:"starttls" enum:"starttls,tls,none" doc:"starttls and tls demand encryption with a certificate that is checked; none is only for a server on this machine"`
	User     string   `yaml:"user" doc:"name to log in with; empty = no login"`
	Password string   `yaml:"password" secret:"file" doc:"password of that user"`
	From     string   `yaml:"from" doc:"address of the sender"`
	To       []string `yaml:"to" doc:"addresses of the recipients"`
	TLS      hook.TLS `yaml:"tls" doc:"whom to believe that it is the mail server"`
}

// Check implements validation for the config loader.
func (c *EmailConfig) Check(report func(key, message string)) {
	if c.Host == "" {
		report("host", "is missing")
	}
	if c.Security == "none" && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, c.Host) {
		report("security", "none is only for a server on this machine: what was found, and the password, would be readable by all on the way")
	}
	if _, err := mail.ParseAddress(c.From); err != nil {
		report("from", fmt.Sprintf("%.100q is no address of e-mail", c.From))
	}
	if len(c.To) == 0 {
		report("to", "is missing")
	}
	for i, to := range c.To {
		if _, err := mail.ParseAddress(to); err != nil {
			report(fmt.Sprintf("to[%d]", i), fmt.Sprintf("%.100q is no address of e-mail", to))
		}
	}
	if (c.User == "") != (c.Password == "") {
		report("user", "user and password_file are given together")
	}
}

// Email sends plain text. All notices of an alert are one conversation.
type Email struct {
	cfg    EmailConfig
	tls    *tls.Config
	domain string // of ids
}

// NewEmail makes the channel; it connects with each notice.
func NewEmail(cfg EmailConfig) (*Email, error) {
	conf, err := cfg.TLS.Client()
	if err != nil {
		return nil, err
	}
	if conf.ServerName == "" {
		conf.ServerName = cfg.Host
	}
	from, err := mail.ParseAddress(cfg.From)
	if err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	return &Email{cfg, conf, domain}, nil
}

// emailPatience is how long one answer may take where nobody says.
const emailPatience = time.Minute

// client is one whose connection ends with ctx, at which the library looks only while it
// connects. One that begins with TLS the library must make itself, or it believes that it
// is not encrypted: that one ends when the time of ctx is over.
func (e *Email) client(ctx context.Context) (*gomail.Client, error) {
	dial := func(dialing context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(dialing, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() }) // whoever reads hears of it
		}
		return conn, err
	}
	left := emailPatience
	if end, ok := ctx.Deadline(); ok {
		left = max(time.Until(end), time.Millisecond)
	}
	options := []gomail.Option{gomail.WithPort(e.cfg.Port), gomail.WithTLSConfig(e.tls), gomail.WithTimeout(left)}
	switch e.cfg.Security {
	case "tls":
		options = append(options, gomail.WithSSL())
	case "none":
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS), gomail.WithDialContextFunc(dial))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithDialContextFunc(dial))
	}
	if e.cfg.User != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(e.cfg.User), gomail.WithPassword(strings.TrimRight(e.cfg.Password, "\r\n")))
	}
	return gomail.NewClient(e.cfg.Host, options...)
}

// Notify implements alert.Notifier. The same notice has the same Message-ID, by which many
// mail servers and programs show it once.
func (e *Email) Notify(ctx context.Context, n *alert.Notice) error {
	m, err := e.message(n)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client, err := e.client(ctx)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, m)
	var refused *gomail.SendError
	if errors.As(err, &refused) && refused.ErrorCode() > 0 {
		return &alert.Refusal{Status: refused.ErrorCode(), Said: refused.Error(), Final: refused.ErrorCode() >= 500 && refused.Reason == gomail.ErrSMTPDataClose}
	}
	return err
}

func (e *Email) message(n *alert.Notice) (*gomail.Msg, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := m.From(e.cfg.From); err != nil {
		return nil, err
	}
	if err := m.To(e.cfg.To...); err != nil {
		return nil, err
	}
	m.Subject(oneLine(n.Title)) // what is not ASCII is encoded, and there is no end of line
	m.SetDateWithValue(n.At)
	m.SetMessageIDWithValue(n.ID + "@" + e.domain)
	thread := "<alert-" + n.Alert + "@" + e.domain + ">"
	m.SetGenHeader(gomail.HeaderReferences, thread)
	m.SetGenHeader(gomail.HeaderInReplyTo, thread)
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetGenHeader("X-Portcullis-Alert", oneLine(n.Alert))
	if !n.Over() && (n.Severity == "critical" || n.Severity == "high") {
		m.SetImportance(gomail.ImportanceHigh)
	}
	var b strings.Builder
	b.WriteString(oneLine(n.Title) + "\n\n" + n.Text + "\n\n")
	for _, f := range facts(n) {
		fmt.Fprintf(&b, "%-9s %s\n", f.name+":", oneLine(f.value))
	}
	if n.Link != "" {
		b.WriteString("\n" + n.Link + "\n")
	}
	if n.Redacted {
		b.WriteString("\nAddresses, names and paths are left out; the console and \"portcullis alert list\" show them.\n")
	}
	m.SetBodyString(gomail.TypeTextPlain, b.String())
	return m, nil
}
