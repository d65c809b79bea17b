package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest/identity"
)

func TestHidingHandler(t *testing.T) {
	c, err := identity.NewCloak([identity.KeyBytes]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	const addr = "203.0.113.7"
	hidden := c.HideText(addr)
	var said bytes.Buffer
	log := slog.New(hidingHandler{slog.NewTextHandler(&said, nil), c})
	log.With("subject", addr).WithGroup("g").Warn("of "+addr, "text", "by "+addr, "error", errors.New("bad "+addr), "addr", netip.MustParseAddr(addr),
		slog.Group("inner", "deep", addr), "n", 7)
	line := said.String()
	if strings.Contains(line, addr) || strings.Count(line, hidden) != 6 || !strings.Contains(line, "g.n=7") || !strings.Contains(line, "g.inner.deep="+hidden) {
		t.Errorf("%s", line)
	}
	said.Reset()
	log.InfoContext(context.Background(), "console: serving", "address", "127.0.0.1:8443", "who", "console (192.0.2.1)", "remote", "192.0.2.1:5")
	if line := said.String(); strings.Contains(line, "ip_") {
		t.Errorf("our own addresses are hidden: %s", line)
	}
}
