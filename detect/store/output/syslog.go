package output

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/internal/hook"
)

func init() {
	Register("syslog", Spec{
		Doc:    "a syslog server (RFC 5424), with the documents as JSON",
		Tested: "syslog-ng 3.38",
		Config: func() any { return new(SyslogConfig) },
		Open:   func(config any, common Common) (Sink, error) { return newSyslog(*config.(*SyslogConfig), common) },
	})
}

// SyslogConfig is the "syslog" section of an output.
type SyslogConfig struct {
	Address   string   `yaml:"address" doc:"HOST:PORT of the server"`
	Transport string   `yaml:"transport" default:"tls" enum:"tls,tcp,udp" doc:"tls (RFC 5425), tcp with octet counting (RFC 6587), or udp (RFC 5426), which may lose a message without anybody knowing"`
	Facility  int      `yaml:"facility" default:"13" min:"0" max:"23" doc:"facility of the messages; 13 is log audit, 16 local0"`
	App       string   `yaml:"app" default:"portcullis" doc:"what the messages say that they come from, as APP-NAME"`
	Hostname  string   `yaml:"hostname" doc:"the machine that they say that they come from; empty = the name of this one"`
	TLS       hook.TLS `yaml:"tls" doc:"whom to believe that it is the server"`
}

// Check implements validation for the config loader.
func (c *SyslogConfig) Check(report func(key, message string)) {
	if _, port, err := net.SplitHostPort(c.Address); err != nil || port == "" {
		report("address", fmt.Sprintf("%.100q is no address: want HOST:PORT", c.Address))
	}
	word := func(key, text string, most int) {
		if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) || len(text) > most {
			report(key, fmt.Sprintf("want letters without blanks, %d at most", most))
		}
	}
	word("hostname", c.Hostname, 255)
	word("app", c.App, 48)
}

// syslog sends a batch over a connection of its own, since that it was closed on the
// other side is the only thing that confirms it.
type syslog struct {
	cfg    SyslogConfig
	server hook.Syslog
}

func newSyslog(cfg SyslogConfig, common Common) (Sink, error) {
	if cfg.Hostname == "" {
		cfg.Hostname = common.Host
	}
	conf, err := cfg.TLS.Client()
	if err != nil {
		return nil, err
	}
	return &syslog{cfg, hook.Syslog{Address: cfg.Address, Transport: cfg.Transport, TLS: conf}}, nil
}

// datagramMost is what an UDP datagram carries over IPv4.
const datagramMost = 65507

// Send implements Sink.
func (s *syslog) Send(ctx context.Context, b *Batch) error {
	messages := make([][]byte, len(b.Docs))
	for i := range b.Docs {
		messages[i] = s.message(&b.Docs[i])
		if s.cfg.Transport == "udp" && len(messages[i]) > datagramMost {
			return &Refusal{Final: true, Said: fmt.Sprintf("%d bytes do not fit into a datagram: use tls or tcp", len(messages[i]))}
		}
	}
	return s.server.Send(ctx, messages...)
}

// message is a document as RFC 5424 has it: MSGID is its kind, and what it says is JSON.
func (s *syslog) message(d *elastic.Doc) []byte {
	f := fieldsOf(d)
	out := strconv.AppendInt([]byte{'<'}, int64(s.cfg.Facility*8+f.level(d.Kind)), 10)
	out = append(out, ">1 "...)
	out = time.Unix(0, timeOf(d)).UTC().AppendFormat(out, "2006-01-02T15:04:05.000Z")
	for _, word := range []string{orNil(s.cfg.Hostname), orNil(s.cfg.App), "-", string(d.Kind), "-"} {
		out = append(append(out, ' '), word...)
	}
	return append(append(out, ' '), body(d)...)
}

// orNil is what RFC 5424 writes where there is nothing.
func orNil(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
