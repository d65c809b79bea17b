package syslog

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/ingest/source/serve"
)

// Config says where to listen for syslog, and from whom to take it.
type Config struct {
	Listen         []string      `yaml:"listen" default:"udp://127.0.0.1:5514" doc:"addresses: udp://127.0.0.1:5514, tcp://:601, tls://:6514, unixgram:///run/portcullis/syslog.sock, unix:///run/portcullis/syslog-stream.sock; what comes over UDP can be lost, TCP and sockets wait"`
	Cert           string        `yaml:"cert" default:"" doc:"PEM file of the certificate (chain) for tls; it is read again when it changes"`
	Key            string        `yaml:"key" default:"" doc:"PEM file of the certificate's private key"`
	ClientCA       string        `yaml:"client_ca" default:"" doc:"PEM file of the authorities that sign senders' certificates; where set, a sender without such a certificate is refused"`
	Allow          []string      `yaml:"allow" doc:"networks or addresses that may send over IP; empty = whoever can reach the port. A UDP sender can forge its address: filter at the border as well"`
	MaxMessage     int           `yaml:"max_message" default:"64KiB" unit:"bytes" doc:"longest message; a longer one is rejected and counted. RFC 5425 asks for 8 KiB, UDP carries 65507 bytes at most"`
	MaxConnections int           `yaml:"max_connections" default:"500" doc:"connections open at once; more are closed at once and counted as refused"`
	Idle           time.Duration `yaml:"idle" default:"0s" doc:"close a connection that was silent for so long; 0 = never: syslog has no acknowledgement, so a sender may lose what it writes to a connection that is being closed"`
	ReadBuffer     int           `yaml:"read_buffer" default:"16MiB" unit:"bytes" doc:"what the kernel keeps of UDP while we are busy; it grants up to net.core.rmem_max unless the process has CAP_NET_ADMIN"`
	SocketMode     string        `yaml:"socket_mode" default:"0660" doc:"permissions of the unix sockets, octal; the gateway's user must be able to write"`

	Log *slog.Logger `yaml:"-"` // nil: slog.Default
}

// withDefaults fills in what was left at zero.
func (c Config) withDefaults() Config {
	serve.Default(&c.MaxMessage, 64<<10)
	serve.Default(&c.MaxConnections, 500)
	serve.Default(&c.ReadBuffer, 16<<20)
	serve.Default(&c.SocketMode, "0660")
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Check reports what is wrong with the settings, by key. Zero is the default.
func (c Config) Check(report func(key, message string)) {
	if len(c.Listen) == 0 {
		report("listen", "is empty: name at least one address, such as udp://127.0.0.1:5514")
	}
	secure := false
	for i, text := range c.Listen {
		a, err := parseAddress(text)
		if err != nil {
			report(fmt.Sprintf("listen[%d]", i), err.Error())
		}
		secure = secure || a.scheme == "tls"
	}
	if secure && (c.Cert == "" || c.Key == "") {
		report("cert", "and key are needed to listen on tls")
	}
	for i, text := range c.Allow {
		if _, err := parsePrefix(text); err != nil {
			report(fmt.Sprintf("allow[%d]", i), err.Error())
		}
	}
	d := c.withDefaults()
	if d.MaxMessage < 480 || d.MaxMessage > 16<<20 { // RFC 5424 section 6.1: everybody must take 480
		report("max_message", "must be from 480 bytes to 16MiB")
	}
	if d.MaxConnections < 1 || d.MaxConnections > 100_000 {
		report("max_connections", "must be from 1 to 100000")
	}
	if d.ReadBuffer < 4<<10 || d.ReadBuffer > 1<<30 {
		report("read_buffer", "must be from 4KiB to 1GiB")
	}
	if d.Idle < 0 {
		report("idle", "must not be negative")
	}
	if _, err := strconv.ParseUint(d.SocketMode, 8, 9); err != nil {
		report("socket_mode", "must be octal permissions such as 0660")
	}
}

// address is one place to listen.
type address struct {
	scheme string // udp, tcp, tls, unixgram, unix
	where  string // host:port or path
}

func (a address) String() string { return a.scheme + "://" + a.where }

func parseAddress(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil {
		return address{}, fmt.Errorf("%.80q is no address: write SCHEME://HOST:PORT or SCHEME:///PATH", text)
	}
	switch u.Scheme {
	case "udp", "tcp", "tls":
		_, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil || u.Path != "" || u.User != nil || u.RawQuery != "" {
			return address{}, fmt.Errorf("%.80q: write %s://HOST:PORT; the host may be left out", text, u.Scheme)
		}
		return address{u.Scheme, u.Host}, nil
	case "unixgram", "unix":
		// 108 bytes are what the kernel takes, with the NUL (unix(7)).
		if u.Host != "" || !filepath.IsAbs(u.Path) || len(u.Path) > 107 {
			return address{}, fmt.Errorf("%.80q: write %s:///absolute/path of at most 107 bytes", text, u.Scheme)
		}
		return address{u.Scheme, filepath.Clean(u.Path)}, nil
	}
	return address{}, fmt.Errorf("%.80q: the scheme must be udp, tcp, tls, unixgram or unix", text)
}

// parsePrefix reads a network or a single address.
func parsePrefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("%.80q is neither an address nor a network such as 10.0.0.0/8", text)
		}
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%.80q is no network such as 10.0.0.0/8", text)
	}
	return p.Masked(), nil
}
