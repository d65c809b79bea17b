package source

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/ingest"
)

// FileConfig says which log to follow and how.
type FileConfig struct {
	Name     string        `yaml:"name" default:"" doc:"name of the source in positions, metrics and the ledger; the path where empty"`
	Path     string        `yaml:"path" default:"" doc:"the log as the gateway writes it; a symlink is followed, also when it is swapped"`
	From     string        `yaml:"from" default:"start" doc:"where a first start without a saved position begins: start (nothing is lost) or end; rotated files are never read on a first start"`
	Archives string        `yaml:"archives" default:"" doc:"glob of the rotated files; where empty, those beside the path that carry its name and a number or a date, plain or compressed (.gz, .zst, .xz, .bz2)"`
	MaxLine  int           `yaml:"max_line" default:"1048576" doc:"longest line in bytes; a longer one is rejected as too_long; gateways cap a request line at 8 to 64 KiB, JSON logs with bodies reach 1 MiB"`
	Block    int           `yaml:"block" default:"262144" doc:"bytes read at once; larger than 256 KiB brought nothing in our benchmark"`
	Poll     time.Duration `yaml:"poll" default:"250ms" doc:"how often to look at the file where no notification came, such as on network file systems"`
	PollOnly bool          `yaml:"poll_only" default:"false" doc:"do not ask the kernel for change notifications"`
	Grace    time.Duration `yaml:"grace" default:"500ms" doc:"how long a file that was rotated away must stay quiet, once its successor has content, before it counts as finished; gateways reopen their log within milliseconds"`

	Log *slog.Logger `yaml:"-"` // nil: slog.Default
}

// withDefaults fills in what was left at zero.
func (c FileConfig) withDefaults() FileConfig {
	if c.Name == "" {
		c.Name = c.Path
	}
	if c.From == "" {
		c.From = "start"
	}
	if c.MaxLine <= 0 {
		c.MaxLine = 1 << 20
	}
	if c.Block <= 0 {
		c.Block = 256 << 10
	}
	if c.Poll <= 0 {
		c.Poll = 250 * time.Millisecond
	}
	if c.Grace <= 0 {
		c.Grace = 500 * time.Millisecond
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Check reports what is wrong with the settings, by key.
func (c FileConfig) Check(report func(key, message string)) {
	if c.Path == "" {
		report("path", "is empty: name the gateway's access log")
	}
	if _, packed := unpackedName(c.Path); packed {
		report("path", "is a compressed file, which no gateway appends to: read it with \"portcullis replay\"")
	}
	if c.From != "" && c.From != "start" && c.From != "end" {
		report("from", "must be start or end")
	}
	if c.Archives != "" {
		if _, err := filepath.Match(c.Archives, ""); err != nil {
			report("archives", "is not a glob pattern: a [ or \\ is not closed")
		}
	}
	if c.MaxLine != 0 && (c.MaxLine < 1<<10 || c.MaxLine > 64<<20) {
		report("max_line", "must be from 1 KiB to 64 MiB: lines are held in memory whole")
	}
	if c.Block != 0 && (c.Block < 4<<10 || c.Block > 16<<20) {
		report("block", "must be from 4 KiB to 16 MiB")
	}
	if c.Poll < 0 || c.Poll > time.Minute {
		report("poll", "must be from 0 (the default) to 1m")
	}
	if c.Grace < 0 || c.Grace > 5*time.Minute {
		report("grace", "must be from 0 (the default) to 5m")
	}
}

// problem is the first thing wrong with a config; it makes an error of Check.
type problem struct{ key, message string }

func (p *problem) Error() string { return "source: " + p.key + ": " + p.message }

// File follows one log through its rotations. It implements ingest.Source; one
// Run at a time.
type File struct {
	cfg    FileConfig
	health health
}

// NewFile checks the settings and returns a source that has opened nothing yet:
// a log that is missing or unreadable is waited for, not an error.
func NewFile(cfg FileConfig) (*File, error) {
	var bad *problem
	cfg.Check(func(key, message string) {
		if bad == nil {
			bad = &problem{key, message}
		}
	})
	if bad != nil {
		return nil, bad
	}
	cfg = cfg.withDefaults()
	cfg.Path = filepath.Clean(cfg.Path)
	return &File{cfg: cfg}, nil
}

// Health is what a source knows about itself, for metrics and status.
type Health struct {
	Lag       int64  // bytes known to be unread, as of the last look
	Rotations int64  // times the source went on to another file
	Losses    int64  // times unread bytes were destroyed or could not be found again
	LostBytes int64  // how many of them, as far as known
	Error     string // what keeps the source from reading now; empty is well

	// What a source that is sent its lines counts, since its start.
	Received int64 // records taken in
	Dropped  int64 // records lost, because nobody could be told to wait (UDP)
	Refused  int64 // requests told to come again, and times that reading was held back
	Rejected int64 // records that could not be read at all
	Senders  int64 // connections open now
}

// health is written by Run and read by anyone.
type health struct {
	lag, rotations, losses, lost atomic.Int64
	err                          atomic.Pointer[string]
}

// Health may be called at any time by any goroutine.
func (f *File) Health() Health {
	h := Health{
		Lag: f.health.lag.Load(), Rotations: f.health.rotations.Load(),
		Losses: f.health.losses.Load(), LostBytes: f.health.lost.Load(),
	}
	if e := f.health.err.Load(); e != nil {
		h.Error = *e
	}
	return h
}

// hint adds what the operator can do about an error of the file system.
func hint(err error) string {
	switch {
	case os.IsNotExist(err):
		return "does the gateway write to this path? it is read as soon as it appears"
	case os.IsPermission(err):
		return "let the user of this process read the file and enter its directory (group adm on Debian)"
	}
	return "it is tried again until it works"
}

var _ ingest.Source = (*File)(nil)
