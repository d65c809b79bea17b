package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// HealthCmd is "portcullis health".
type HealthCmd struct {
	Live bool `name:"live" help:"Ask only whether the process serves requests (/healthz), not whether it is ready (/readyz)."`
}

// Help implements kong.HelpProvider.
func (*HealthCmd) Help() string {
	return `Asks the process that runs with these settings, at console.listen, and ends with status 1 where it does not answer or is not ready. For images that have no other program to probe with.

Example:
  portcullis health -c /etc/portcullis/portcullis.yaml`
}

// healthLimit is how long an answer may take; probes are often given 5 s.
const healthLimit = 4 * time.Second

// Run implements the command.
func (c *HealthCmd) Run(ctx context.Context, app *App) error {
	s, err := app.Settings()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthLimit)
	defer cancel()
	path := "/readyz"
	if c.Live {
		path = "/healthz"
	}
	scheme := "http"
	if s.Console.TLSCert != "" {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+reachable(s.Console.Listen)+path, nil)
	if err != nil {
		return fmt.Errorf("health: console.listen: %w", err)
	}
	// Nothing secret is sent, and the certificate is seldom made out to loopback.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("health: %w (does it run with these settings?)", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s: %s", resp.Status, strings.TrimSpace(string(said)))
	}
	_, err = fmt.Fprintln(app.Out, strings.TrimSpace(string(said)))
	return err
}

// reachable is the address at which this machine reaches what listens there: what
// listens everywhere is asked on loopback.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && addr == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && addr == netip.IPv6Unspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
