package main

import (
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/internal/telemetry"
)

// meterDescs are what a process counts as it works. Labels come from fixed sets and
// from the settings; telemetry.Meters bounds them once more.
var meterDescs = []telemetry.Desc{
	{Name: "portcullis_findings_total", Help: "Findings of this process since its start, each once, by family and the severity with which it came.", Labels: []string{"family", "severity"}},
	{Name: "portcullis_rule_findings_total", Help: "The same by rule.", Labels: []string{"rule"}},
	{Name: "portcullis_finding_delay_seconds", Help: "From the second of the log in which a finding fired to its being found. A log that is caught up with gives long ones.", Kind: telemetry.Histogram, Labels: []string{"family"}},
	{Name: "portcullis_decision_changes_total", Help: "Changes of decisions since the start, by action and the state that was reached.", Labels: []string{"action", "state"}},
	{Name: "portcullis_decision_seconds", Help: "How long a decision took to a state: pushed, since it was made; verified and not_enforced, since the gateway took it.", Kind: telemetry.Histogram, Labels: []string{"state"}},
	{Name: "portcullis_gateway_pushes_total", Help: "Pushes to a gateway since the start, by result: taken or failed.", Labels: []string{"gateway", "result"}},
	{Name: "portcullis_gateway_answer_seconds", Help: "How long a gateway took to take a push, or to refuse it.", Kind: telemetry.Histogram, Labels: []string{"gateway"}},
	{Name: "portcullis_stage_seconds", Help: "Time of one piece of work of a stage: detect takes in a batch of lines, snapshot copies the state, save writes it, findings writes new findings.", Kind: telemetry.Histogram, Labels: []string{"stage"}},
}

// The stages of portcullis_stage_seconds.
const (
	stageDetect   = "detect"
	stageSnapshot = "snapshot"
	stageSave     = "save"
	stageFindings = "findings"
)

// countedFindings bounds the ids of findings that are known to be counted. One that
// still grows after so many others came is counted again.
const countedFindings = 1 << 16

// meters counts what a process does. It implements enforce.Meter; its methods may be
// called from any goroutine.
type meters struct {
	*telemetry.Meters
	counted *lru.Cache[string, struct{}]
	now     func() time.Time
}

func newMeters(now func() time.Time) (*meters, error) {
	m, err := telemetry.NewMeters(meterDescs)
	if err != nil {
		return nil, err
	}
	counted, err := lru.New[string, struct{}](countedFindings)
	return &meters{Meters: m, counted: counted, now: now}, err
}

// found counts a finding the first time it comes; newer copies of it are no more.
func (m *meters) found(f *detect.Finding) {
	if again, _ := m.counted.ContainsOrAdd(f.ID, struct{}{}); again {
		return
	}
	family := telemetry.OtherLabel
	if slices.Contains(findingFamilies, f.Family) {
		family = string(f.Family)
	}
	m.Add("portcullis_findings_total", 1, family, f.Severity.String())
	m.Add("portcullis_rule_findings_total", 1, f.Rule)
	m.Observe("portcullis_finding_delay_seconds", m.now().Sub(time.Unix(0, f.FiredAt)).Seconds(), family)
}

// all counts a list of findings.
func (m *meters) all(list []detect.Finding) {
	for i := range list {
		m.found(&list[i])
	}
}

// counting counts what passes on its way to emit.
func (m *meters) counting(emit func(detect.Finding)) func(detect.Finding) {
	return func(f detect.Finding) {
		m.found(&f)
		emit(f)
	}
}

// findingFamilies are the values of the label family.
var findingFamilies = []detect.Family{detect.Credential, detect.Rate, detect.Injection, detect.Recon, detect.API}

// Changed implements enforce.Meter.
func (m *meters) Changed(d enforce.Decision, c enforce.Change) {
	m.Add("portcullis_decision_changes_total", 1, string(d.Action), string(c.To))
	since := int64(0)
	switch c.To {
	case enforce.Pushed:
		since = d.Created
	case enforce.Verified, enforce.NotEnforced:
		since = d.PushedAt
	}
	if since != 0 {
		m.Observe("portcullis_decision_seconds", time.Duration(c.At-since).Seconds(), string(c.To))
	}
}

// Pushed implements enforce.Meter.
func (m *meters) Pushed(gateway string, took time.Duration, err error) {
	result := "taken"
	if err != nil {
		result = "failed"
	}
	m.Add("portcullis_gateway_pushes_total", 1, gateway, result)
	m.Observe("portcullis_gateway_answer_seconds", took.Seconds(), gateway)
}

// stage notes how long a piece of work took that began at a moment.
func (m *meters) stage(name string, began time.Time) {
	m.Observe("portcullis_stage_seconds", m.now().Sub(began).Seconds(), name)
}
