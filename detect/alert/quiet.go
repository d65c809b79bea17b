package alert

import (
	"fmt"
	"slices"
	"strings"
	"time"

	_ "time/tzdata" // a container may have no zones of its own

	"github.com/portcullis/portcullis/detect"
)

// QuietConfig are hours in which only grave alerts are told.
type QuietConfig struct {
	From string   `yaml:"from" doc:"when they begin, such as 22:00; empty = there are none"`
	To   string   `yaml:"to" doc:"when they end, such as 07:00, on the next day where it is before from"`
	Days []string `yaml:"days" enum:"mon,tue,wed,thu,fri,sat,sun" doc:"on which days they begin; none = on all"`
	Zone string   `yaml:"zone" default:"UTC" doc:"time zone, such as Europe/Berlin"`
	But  string   `yaml:"but" default:"critical" enum:"low,medium,high,critical" doc:"from this severity on alerts are told all the same"`
}

const hourMinute = "15:04"

// Check implements validation for the config loader.
func (q *QuietConfig) Check(report func(key, message string)) {
	if _, err := time.LoadLocation(q.Zone); err != nil {
		report("zone", fmt.Sprintf("%.64q is no time zone that is known here: %v", q.Zone, err))
	}
	if q.From == "" && q.To == "" {
		return
	}
	for _, x := range [...][2]string{{"from", q.From}, {"to", q.To}} {
		if _, err := time.Parse(hourMinute, x[1]); err != nil || len(x[1]) != len(hourMinute) {
			report(x[0], fmt.Sprintf("%.20q is no time of day: want HH:MM", x[1]))
		}
	}
	if q.From == q.To {
		report("to", "is the same as from: name the hour in which people are there")
	}
}

// holds reports whether an alert of this severity has to wait at a time. The hours of a
// day go by the clock of the zone, also on the day on which it is put forward or back.
func (q *QuietConfig) holds(t time.Time, s detect.Severity) bool {
	if q.From == "" {
		return false
	}
	if but, ok := detect.ParseSeverity(q.But); ok && s >= but {
		return false
	}
	zone, err := time.LoadLocation(q.Zone)
	if err != nil {
		return false // Check has refused it
	}
	t = t.In(zone)
	now, day := t.Format(hourMinute), t.Weekday()
	if q.From < q.To {
		return now >= q.From && now < q.To && q.on(day)
	}
	return now >= q.From && q.on(day) || now < q.To && q.on((day+6)%7)
}

func (q *QuietConfig) on(day time.Weekday) bool {
	return len(q.Days) == 0 || slices.Contains(q.Days, strings.ToLower(day.String()[:3]))
}
