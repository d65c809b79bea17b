package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
)

// linesConfig is the section of the exporter.
type linesConfig struct {
	Path string `mapstructure:"path"`
}

// Validate implements xconfmap.Validator.
func (c *linesConfig) Validate() error {
	if !filepath.IsAbs(c.Path) {
		return errors.New("path must be that of a file, from the root on")
	}
	return nil
}

// lines is an exporter that appends each request to a file as a line of OTLP/JSON, before
// the receiver answers it. The file exporter of the contributed parts keeps a second of them
// in memory, of which a test that kills the collector could not tell who lost them.
func lines() exporter.Factory {
	return exporter.NewFactory(component.MustNewType("lines"), func() component.Config { return new(linesConfig) },
		exporter.WithLogs(newLines, component.StabilityLevelDevelopment))
}

func newLines(_ context.Context, _ exporter.Settings, cfg component.Config) (exporter.Logs, error) {
	return &linesExporter{path: cfg.(*linesConfig).Path}, nil
}

type linesExporter struct {
	path string
	file *os.File
}

// Start implements component.Component.
func (l *linesExporter) Start(context.Context, component.Host) (err error) {
	if l.file, err = os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	_, err = l.file.WriteString("\n") // ends a line that a kill cut off, which nobody was told to be safe
	return err
}

// Shutdown implements component.Component.
func (l *linesExporter) Shutdown(context.Context) error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// Capabilities implements consumer.Logs.
func (l *linesExporter) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// ConsumeLogs implements consumer.Logs. One write appends one line, also of several
// goroutines.
func (l *linesExporter) ConsumeLogs(_ context.Context, logs plog.Logs) error {
	line, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	return err
}
