package channel

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/internal/hook"
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
	Address   string   `yaml:"address" doc:"HOST:PORT of the server"`
	Transport string   `yaml:"transport" default:"tls" enum:"tls,tcp,udp" doc:"tls (RFC 5425), tcp with octet counting (RFC 6587), or udp (RFC 5426), which may lose a notice without anybody knowing"`
	Format    string   `yaml:"format" default:"cef" enum:"cef,leef" doc:"cef (Common Event Format) or leef (Log Event Extended Format 2.0)"`
	Hostname  string   `yaml:"hostname" doc:"what the messages say that they come from; empty = the name of this machine"`
	TLS       hook.TLS `yaml:"tls" doc:"whom to believe that it is the server"`
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

// Syslog sends one message a connection: alerts are few.
type Syslog struct {
	cfg    SyslogConfig
	server hook.Syslog
	host   string
}

// NewSyslog makes the channel.
func NewSyslog(cfg SyslogConfig) (*Syslog, error) {
	s := &Syslog{cfg: cfg, host: cfg.Hostname, server: hook.Syslog{Address: cfg.Address, Transport: cfg.Transport, Lingers: 2 * time.Second}}
	var err error
	if s.server.TLS, err = cfg.TLS.Client(); err != nil {
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
	if s.cfg.Transport == "udp" {
		message = cutBytes(message, udpMost)
	}
	return s.server.Send(ctx, []byte(message))
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
