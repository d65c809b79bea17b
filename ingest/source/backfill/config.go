// Package backfill reads finished logs of a span of time: files, directories and
// globs of rotated archives, plain or compressed. It is an ingest.Source that ends.
//
// Files are read one after the other, by the time of their first event, each from
// its beginning to its end; lines outside the span are passed over and counted.
// Where several gateways wrote at the same time, give each a source of its own, so
// that their lines are merged by time and not appended.
//
// What is lost: the rest of a damaged archive behind the damage. What could be read
// of it is delivered, the file is named, and the others are read. After a restart
// reading goes on behind the saved mark; files that were added since and begin
// before it are not looked at.
package backfill

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Config says which logs to read.
type Config struct {
	Name  string   `yaml:"name" default:"backfill" doc:"name of the source in positions, metrics and the ledger"`
	Paths []string `yaml:"paths" doc:"files, directories (with all below them) and globs; plain, gzip, zstd, xz or bzip2, told by content"`
	Since string   `yaml:"since" default:"" doc:"leave out what is older: a time (RFC 3339), a day (2026-01-31, UTC), or how long ago (36h, 7d, 2w); empty = everything"`
	Until string   `yaml:"until" default:"" doc:"leave out what is younger, in the same way; a day means its beginning"`

	// TimeOf reads the time of a line, Unix nanoseconds; false: it has none. It is
	// called by the goroutine of Run only, and must not keep the line.
	TimeOf func(line []byte) (int64, bool) `yaml:"-"`
	Now    func() time.Time                `yaml:"-"` // what "7d" counts from; nil: time.Now
	Log    *slog.Logger                    `yaml:"-"` // nil: slog.Default
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "backfill"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Check reports what is wrong with the settings, by key.
func (c Config) Check(report func(key, message string)) {
	c = c.withDefaults()
	if len(c.Paths) == 0 {
		report("paths", "is empty: name files, directories or globs of logs")
	}
	for _, p := range c.Paths {
		if _, err := filepath.Match(p, ""); err != nil {
			report("paths", fmt.Sprintf("%.80q is not a glob pattern: a [ or \\ is not closed", p))
		}
	}
	now := c.Now()
	since, err := Instant(c.Since, now, math.MinInt64)
	if err != nil {
		report("since", err.Error())
	}
	until, err2 := Instant(c.Until, now, math.MaxInt64)
	if err2 != nil {
		report("until", err2.Error())
	}
	if err == nil && err2 == nil && since >= until {
		report("since", "is not before until: no line lies between")
	}
}

var errInstant = errors.New("is neither a time such as 2026-01-31T08:00:00Z, nor a day such as 2026-01-31, nor an age such as 36h, 7d or 2w")

// earliest and latest are the years that Unix nanoseconds can tell, in round
// numbers.
var earliest, latest = time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2250, 1, 1, 0, 0, 0, 0, time.UTC)

// Instant reads a bound of a span: a time (RFC 3339), a day (UTC), or how long ago; empty
// stands for none.
func Instant(s string, now time.Time, none int64) (int64, error) {
	if s == "" {
		return none, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			if t.Before(earliest) || t.After(latest) {
				return 0, errors.New("lies outside the years 1700 to 2250")
			}
			return t.UnixNano(), nil
		}
	}
	age, err := parseAge(s)
	if err != nil || age < 0 {
		return 0, errInstant
	}
	return now.Add(-age).UnixNano(), nil
}

// parseAge reads a duration as package time does, and whole days and weeks.
func parseAge(s string) (time.Duration, error) {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if digits, ok := strings.CutSuffix(s, unit); ok {
			n, err := strconv.ParseUint(digits, 10, 16)
			if err == nil && time.Duration(n) > 100*365*24*time.Hour/length {
				err = errInstant
			}
			return time.Duration(n) * length, err
		}
	}
	return time.ParseDuration(s)
}
