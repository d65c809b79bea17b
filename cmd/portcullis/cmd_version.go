package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// VersionCmd is "portcullis version".
type VersionCmd struct{}

// build is what the binary knows of itself.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"` // of the commit
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// buildInfo reads what the Go tool stamped into the binary.
func buildInfo() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String is the version on one line.
func (b build) String() string {
	s := "portcullis " + b.Version
	if b.Revision != "" {
		s += " " + b.Revision[:min(len(b.Revision), 12)]
	}
	if b.Modified {
		s += " (modified)"
	}
	if b.Time != "" {
		s += " of " + b.Time
	}
	return s + ", " + b.Go + ", " + b.Platform
}

// Run implements the command.
func (*VersionCmd) Run(app *App) error {
	b := buildInfo()
	if app.JSONL() {
		return app.object(b)
	}
	_, err := fmt.Fprintln(app.Out, b)
	return err
}
