package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/source"
	"github.com/portcullis/portcullis/ingest/source/als"
	"github.com/portcullis/portcullis/ingest/source/kafka"
	"github.com/portcullis/portcullis/ingest/source/otlp"
	"github.com/portcullis/portcullis/ingest/source/push"
	"github.com/portcullis/portcullis/ingest/source/spool"
	"github.com/portcullis/portcullis/ingest/source/syslog"
)

// The kinds of sources.
const (
	kindFile   = "file"
	kindStdin  = "stdin"
	kindSyslog = "syslog"
	kindHTTP   = "http"
	kindOTLP   = "otlp"
	kindALS    = "als"
	kindKafka  = "kafka"
)

// SourceSettings is one place where a gateway's log is to be had.
type SourceSettings struct {
	Type              string `yaml:"type" default:"file" enum:"file,stdin,syslog,http,otlp,als,kafka" doc:"what it is: file (path and the keys beside it), stdin, or what comes over the network: syslog, http, otlp, als (Envoy), kafka (a topic that others write), each with its own section"`
	source.FileConfig `yaml:",inline"`
	Format            string        `yaml:"format" default:"auto" doc:"format of the lines: a name of docs/gateways.md, with the gateway's own format string where it has one (nginx:..., apache:..., haproxy:..., envoy:...), or auto"`
	Syslog            syslog.Config `yaml:"syslog" doc:"type syslog: RFC 3164 and 5424 over UDP, TCP, TLS and unix sockets"`
	HTTP              push.Config   `yaml:"http" doc:"type http: log lines that are POSTed"`
	OTLP              otlp.Config   `yaml:"otlp" doc:"type otlp: OpenTelemetry log records"`
	ALS               als.Config    `yaml:"als" doc:"type als: Envoy's access log service over gRPC"`
	Kafka             kafka.Config  `yaml:"kafka" doc:"type kafka: a topic that a gateway or a shipper writes"`
	Spool             spool.Config  `yaml:"spool" doc:"types syslog, http, otlp, als: the disk spool that what is received goes to before it is acknowledged"`
}

// Unused implements config.Chooser.
func (s *SourceSettings) Unused(section string) bool {
	switch section {
	case "FileConfig":
		return s.kind() != kindFile
	case "syslog", "http", "otlp", "als", "kafka":
		return s.kind() != section
	case "spool":
		return !s.spools()
	}
	return false
}

// Check implements config.Checker.
func (s *SourceSettings) Check(report func(key, message string)) {
	if _, err := format.Open(s.format()); err != nil {
		report("format", err.Error())
	}
	if s.kind() != kindFile && s.Path != "" {
		report("path", "is for the type file; this one is "+s.kind())
	}
}

func (s *SourceSettings) kind() string {
	if s.Type == "" {
		return kindFile
	}
	return s.Type
}

// spools tells the kinds whose senders may not wait.
func (s *SourceSettings) spools() bool {
	switch s.kind() {
	case kindSyslog, kindHTTP, kindOTLP, kindALS:
		return true
	}
	return false
}

func (s *SourceSettings) name() string {
	switch {
	case s.Name != "":
		return s.Name
	case s.kind() == kindFile:
		return filepath.Clean(s.Path)
	case s.kind() == kindKafka:
		return "kafka:" + s.Kafka.Topic
	}
	return s.kind()
}

// format is the format of the lines as the source hands them out: what comes as
// syslog still has its header, and two kinds have a format of their own.
func (s *SourceSettings) format() string {
	f := s.Format
	switch {
	case s.kind() == kindSyslog:
		return "syslog:" + f
	case s.kind() == kindALS && f == format.Auto:
		return "envoy-als"
	}
	return f
}

// liveSource is a source of the running service.
type liveSource struct {
	ingest.Source
	name   string
	health func() source.Health
	close  func() error
}

// Health is how the source is.
func (l *liveSource) Health() source.Health { return l.health() }

// saved tells the source that what lies before a mark is saved.
func (l *liveSource) saved(m ingest.Mark) {
	if s, ok := l.Source.(ingest.Saver); ok {
		s.Saved(m)
	}
}

// open makes the source that the settings describe. It opens no log and listens
// nowhere yet.
func (s *SourceSettings) open(stateDir string, log *slog.Logger) (*liveSource, error) {
	nothing := func() error { return nil }
	switch s.kind() {
	case kindFile:
		cfg := s.FileConfig
		cfg.Log = log
		f, err := source.NewFile(cfg)
		if err != nil {
			return nil, err
		}
		return &liveSource{f, s.name(), f.Health, nothing}, nil
	case kindStdin:
		return &liveSource{source.NewStdin(os.Stdin, s.name()), s.name(), func() source.Health { return source.Health{} }, nothing}, nil
	case kindKafka:
		cfg := s.Kafka
		cfg.Name, cfg.Log = s.name(), log
		k, err := kafka.New(cfg)
		if err != nil {
			return nil, err
		}
		return &liveSource{k, s.name(), k.Health, nothing}, nil
	}
	r, err := s.receiver(log)
	if err != nil {
		return nil, err
	}
	cfg := s.Spool
	cfg.Name, cfg.Log = s.name(), log
	cfg.Dir = filepath.Join(stateDir, "spool", fileName(s.name()))
	sp, err := spool.Open(cfg)
	if err != nil {
		return nil, err
	}
	joined := spool.NewSource(sp, r)
	return &liveSource{joined, s.name(), joined.Health, sp.Close}, nil
}

func (s *SourceSettings) receiver(log *slog.Logger) (spool.Receiver, error) {
	switch s.kind() {
	case kindSyslog:
		cfg := s.Syslog
		cfg.Log = log
		return syslog.New(cfg)
	case kindHTTP:
		cfg := s.HTTP
		cfg.Log = log
		return push.New(cfg)
	case kindOTLP:
		cfg := s.OTLP
		cfg.Log = log
		return otlp.New(cfg)
	case kindALS:
		cfg := s.ALS
		cfg.Log = log
		return als.New(cfg)
	}
	return nil, fmt.Errorf("source %s: there is no type %q", s.name(), s.Type)
}

// fileName makes a name fit for a folder: what is not plain becomes %XX.
func fileName(name string) string {
	var out []byte
	for _, c := range []byte(name) {
		plain := c == '-' || c == '_' || c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '.' && len(out) > 0
		if plain {
			out = append(out, c)
		} else {
			out = fmt.Appendf(out, "%%%02X", c)
		}
	}
	return string(out)
}

// listens lists the network and address of everything that the source binds.
func (s *SourceSettings) listens() [][2]string {
	switch s.kind() {
	case kindHTTP:
		return [][2]string{{"tcp", s.HTTP.Listen}}
	case kindALS:
		return [][2]string{{"tcp", s.ALS.Listen}}
	case kindOTLP:
		var out [][2]string
		for _, a := range []string{s.OTLP.GRPC, s.OTLP.HTTP} {
			if a != otlp.Off {
				out = append(out, [2]string{"tcp", a})
			}
		}
		return out
	case kindSyslog:
		var out [][2]string
		for _, a := range s.Syslog.Listen {
			scheme, address, _ := strings.Cut(a, "://")
			switch scheme {
			case "udp":
				out = append(out, [2]string{"udp", address})
			case "tcp", "tls":
				out = append(out, [2]string{"tcp", address})
			}
		}
		return out
	}
	return nil
}

// bindable tries the addresses that are not bound already by the old settings.
func bindable(s, old *Settings) error {
	bound := map[[2]string]bool{}
	for i := range old.Sources {
		for _, a := range old.Sources[i].listens() {
			bound[a] = true
		}
	}
	for i := range s.Sources {
		for _, a := range s.Sources[i].listens() {
			if bound[a] {
				continue
			}
			var err error
			var c io.Closer
			if a[0] == "udp" {
				c, err = net.ListenPacket(a[0], a[1])
			} else {
				c, err = net.Listen(a[0], a[1])
			}
			if err != nil {
				return fmt.Errorf("source %s: %w", s.Sources[i].name(), err)
			}
			if err := c.Close(); err != nil {
				return fmt.Errorf("source %s: %w", s.Sources[i].name(), err)
			}
		}
	}
	return nil
}
