package channel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect/alert"
)

func init() {
	alert.Register("syslog", alert.Spec{
		Doc:    "a syslog server (RFC 5424), with alerts in CEF or LEEF, as SIEMs read them",
		Tested: "syslog-ng 3.38",
		Config: func() any { return new(SyslogConfig) },
		Open:   func(config any) (alert.Notifier, error) { return NewSyslog(*config.(*SyslogConfig)) },
	})
}

// SyslogConfig is the "syslog" section of a channel.
type SyslogConfig struct {
	Address   string    `yaml:"address" doc:"HOST:PORT of the server"`
	Transport string    `yaml:"transport" default:"tls" enum:"tls,tcp,udp" doc:"tls (RFC 5425), tcp with octet counting (RFC 6587), or udp (RFC 5426), which may lose a notice without anybody knowing"`
	Format    string    `yaml:"format" default:"cef" enum:"cef,leef" doc:"cef (Common Event Format) or leef (Log Event Extended Format 2.0)"`
	Hostname  string    `yaml:"hostname" doc:"what the messages say that they come from; empty = the name of this machine"`
	TLS       TLSConfig `yaml:"tls" doc:"whom to believe that it is the server"`
}

// Check implements validation for the config loader.
func (c *SyslogConfig) Check(report func(key, message string)) {
	if _, port, err := net.SplitHostPort(c.Address); err != nil || port == "" {
		report("address", fmt.Sprintf("%.100q is no address: want HOST:PORT", c.Address))
	}
	if strings.ContainsFunc(c.Hostname, func(r rune) bool { return r <= ' ' || r > '~' }) || len(c.Hostname) > 255 {
		report("hostname", "want letters without blanks, 255 at most")
	}
}

// Syslog sends one message a connection: alerts are few, and a connection that was left
// open may be dead without anybody knowing.
type Syslog struct {
	cfg  SyslogConfig
	tls  *tls.Config
	host string
}

// NewSyslog makes the channel.
func NewSyslog(cfg SyslogConfig) (*Syslog, error) {
	s := &Syslog{cfg: cfg, host: cfg.Hostname}
	var err error
	if s.tls, err = cfg.TLS.config(); err != nil {
		return nil, err
	}
	if s.host == "" {
		if s.host, err = os.Hostname(); err != nil || s.host == "" {
			s.host = "-"
		}
	}
	return s, nil
}

// Of RFC 5424: facility 13 is log audit.
const syslogFacility = 13

// syslogSeverity are its numbers for severities.
var syslogSeverity = map[string]int{"critical": 2, "high": 3, "medium": 4, "low": 5, "info": 6}

// udpMost is what a datagram carries: RFC 5426 wants receivers to take 2048 bytes.
const udpMost = 2048

// Notify implements alert.Notifier. Over TCP it has arrived when the other side has closed
// the connection behind it.
func (s *Syslog) Notify(ctx context.Context, n *alert.Notice) error {
	event := cef(n)
	if s.cfg.Format == "leef" {
		event = leef(n)
	}
	severity := syslogSeverity[n.Severity]
	if n.Over() {
		severity = syslogSeverity["info"]
	}
	message := fmt.Sprintf("<%d>1 %s %s portcullis - alert - %s", syslogFacility*8+severity, n.At.UTC().Format("2006-01-02T15:04:05.000Z"), s.host, event)
	conn, err := s.dial(ctx)
	if err != nil {
		return fmt.Errorf("the server cannot be reached: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // wakes whoever reads or writes
	defer stop()
	if s.cfg.Transport == "udp" {
		_, err := io.WriteString(conn, cutBytes(message, udpMost))
		return err
	}
	if _, err := fmt.Fprintf(conn, "%d %s", len(message), message); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return s.closed(conn)
}

func (s *Syslog) dial(ctx context.Context) (net.Conn, error) {
	if s.cfg.Transport == "tls" {
		return (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", s.cfg.Address)
	}
	return new(net.Dialer).DialContext(ctx, s.cfg.Transport, s.cfg.Address)
}

// lingers is how long a server may keep a connection open that we have ended. One that
// does so has taken what came before it all the same.
const lingers = 2 * time.Second

// closed says that nothing more comes, and waits for the other side to do so too.
func (s *Syslog) closed(conn net.Conn) error {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	if err := half.CloseWrite(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(lingers)); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	_, err := io.Copy(io.Discard, io.LimitReader(conn, answerMost))
	var late net.Error
	if err == nil || errors.As(err, &late) && late.Timeout() {
		return nil
	}
	return fmt.Errorf("the server closed the connection before it took the message: %w", err)
}

func cutBytes(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && s[most]&0xc0 == 0x80 {
		most--
	}
	return s[:most]
}
