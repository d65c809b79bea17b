// Package serve is what the receivers that listen on the network have in common:
// who may come in (TLS with certificates that are reloaded, client certificates,
// API keys), how many at once, and an orderly end.
//
// It refuses to be open by accident: an address other than loopback needs TLS
// and either keys or a client authority, unless the settings say insecure. A key
// is checked before a byte of a request's body is read.
package serve

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
)

// Access is the part of a receiver's settings that says who may come in.
type Access struct {
	Cert        string `yaml:"tls_cert" default:"" doc:"PEM file of the certificate and its chain; a renewed file is taken up without a restart"`
	Key         string `yaml:"tls_key" default:"" doc:"PEM file of the certificate's private key"`
	ClientCA    string `yaml:"tls_client_ca" default:"" doc:"PEM file of the authorities whose certificates senders must show (mutual TLS); empty = none is asked for"`
	Keys        string `yaml:"keys_file" default:"" doc:"file of API keys, one a line: name:SHA-256 in hex, or the key itself; # begins a comment; senders show theirs as x-api-key or Authorization: Bearer; a changed file is taken up without a restart"`
	Insecure    bool   `yaml:"insecure" default:"false" doc:"listen beyond loopback without TLS or without keys; whoever reaches the port can then forge or read the log"`
	Connections int    `yaml:"max_connections" default:"256" doc:"connections open at once; more wait in the kernel's queue until one ends"`
}

// defaultConnections is for settings built in code.
const defaultConnections = 256

// CheckFor reports what is wrong with the settings for listeners on these
// addresses, by key; listen is the key of the address.
func (a Access) CheckFor(report func(key, message string), listen, address string) {
	host, port, err := net.SplitHostPort(address)
	switch {
	case address == "":
		report(listen, "is empty: name an address such as 127.0.0.1:8088")
	case err != nil || port == "":
		report(listen, "is no address with a port: write 127.0.0.1:8088 or [::1]:8088")
	case !loopback(host) && !a.Insecure && (a.Cert == "" || a.Keys == "" && a.ClientCA == ""):
		report(listen, "is open to other machines, which needs tls_cert, tls_key and either keys_file or tls_client_ca; listen on 127.0.0.1, or set insecure: true where the network itself is trusted")
	}
	a.check(report)
}

// check reports what is wrong whatever the address.
func (a Access) check(report func(key, message string)) {
	if (a.Cert == "") != (a.Key == "") {
		report("tls_cert", "goes with tls_key: set both or neither")
	}
	if a.ClientCA != "" && a.Cert == "" {
		report("tls_client_ca", "needs tls_cert and tls_key: client certificates come with TLS only")
	}
	if a.Connections < 0 || a.Connections > 1<<16 {
		report("max_connections", "must be from 0 (the default) to 65536")
	}
}

// loopback reports whether only this machine can reach a listener on host.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// Default gives a setting that was left at zero its default.
func Default[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// First makes an error of the first thing that a Check reports, for those who
// build settings in code.
func First(part string, check func(report func(key, message string))) error {
	var first error
	check(func(key, message string) {
		if first == nil {
			first = fmt.Errorf("%s: %s: %s", part, key, message)
		}
	})
	return first
}

// stampOf is what tells that files changed: their sizes and times. A file that
// is missing has none.
func stampOf(files []string) string {
	var b strings.Builder
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintf(&b, "%d.%d ", info.ModTime().UnixNano(), info.Size())
		} else {
			b.WriteString("- ")
		}
	}
	return b.String()
}
