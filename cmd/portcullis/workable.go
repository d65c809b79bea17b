package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
)

// workable says why settings that are well-formed cannot be worked with, as far
// as can be told beforehand.
func (s *Settings) workable() error {
	if len(s.Sources) == 0 {
		return errors.New("no source: name the gateway's log under sources in the settings (portcullis config example shows how)")
	}
	_, err := s.openGateways()
	return err
}

// replaceable says why these settings cannot take the place of old ones: it
// tries what would otherwise fail only after the old ones are gone.
func (s *Settings) replaceable(old *Settings, r roles) error {
	if err := r.workable(s); err != nil {
		return err
	}
	e, err := newEngine(s, engineOptions{workers: 1, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	e.Close()
	if s.StateDir != old.StateDir {
		if err := usableDir(s.StateDir); err != nil {
			return fmt.Errorf("state_dir: %w", err)
		}
	}
	if err := s.Console.Usable(); err != nil {
		return err
	}
	if err := bindable(s, old); err != nil {
		return err
	}
	if err := inlineBindable(s, old); err != nil {
		return err
	}
	if s.Console.Listen != old.Console.Listen {
		l, err := net.Listen("tcp", s.Console.Listen)
		if err != nil {
			return fmt.Errorf("console.listen: %w", err)
		}
		return l.Close()
	}
	return nil
}

// usableDir makes a folder, if need be, and writes a file in it.
func usableDir(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".portcullis-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(filepath.Clean(f.Name())))
}
