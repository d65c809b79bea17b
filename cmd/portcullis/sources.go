package main

import (
	"log/slog"
	"path/filepath"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/source"
)

// SourceSettings is one log to follow.
type SourceSettings struct {
	source.FileConfig `yaml:",inline"`
	Format            string `yaml:"format" default:"auto" doc:"format of the lines: a name, nginx:LOG_FORMAT with the string of nginx.conf, or auto"`
}

// Check implements validation for the config loader.
func (s *SourceSettings) Check(report func(key, message string)) {
	s.FileConfig.Check(report)
	if _, err := format.Open(s.Format); err != nil {
		report("format", err.Error())
	}
}

func (s *SourceSettings) name() string {
	if s.Name != "" {
		return s.Name
	}
	return filepath.Clean(s.Path)
}

// healthySource is a source that runs for good and knows how it is.
type healthySource interface {
	ingest.Source
	Health() source.Health
}

// liveSource is a source of the running service.
type liveSource struct {
	healthySource
	name string
}

// open makes the source that the settings describe; it opens no log yet.
func (s *SourceSettings) open(stateDir string, log *slog.Logger) (*liveSource, error) {
	cfg := s.FileConfig
	cfg.Log = log
	f, err := source.NewFile(cfg)
	return &liveSource{f, s.name()}, err
}
