package render

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/url"
	"path"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// The parts of SARIF 2.1.0 (OASIS Standard, 27 March 2020) that are written.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"semanticVersion,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID       string         `json:"id"`
		Short    sarifText      `json:"shortDescription"`
		Help     sarifText      `json:"help"`
		HelpURI  string         `json:"helpUri"`
		Config   sarifRuleLevel `json:"defaultConfiguration"`
		Property map[string]any `json:"properties"`
	}
	sarifRuleLevel struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID      string            `json:"ruleId"`
		RuleIndex   int               `json:"ruleIndex"`
		Level       string            `json:"level"`
		Message     sarifText         `json:"message"`
		Locations   []sarifLocation   `json:"locations,omitempty"`
		Fingerprint map[string]string `json:"partialFingerprints"`
		Fixes       []sarifFix        `json:"fixes,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine,omitempty"`
		// Byte offsets: SARIF counts columns in characters, bytes are exact.
		ByteOffset *int `json:"byteOffset,omitempty"`
		ByteLength *int `json:"byteLength,omitempty"`
	}
	sarifFix struct {
		Description sarifText     `json:"description"`
		Changes     []sarifChange `json:"artifactChanges"`
	}
	sarifChange struct {
		Artifact     sarifArtifact      `json:"artifactLocation"`
		Replacements []sarifReplacement `json:"replacements"`
	}
	sarifReplacement struct {
		Deleted  sarifRegion `json:"deletedRegion"`
		Inserted sarifText   `json:"insertedContent"`
	}
)

// level is a severity as SARIF has it.
func level(s audit.Severity) string {
	switch {
	case s >= audit.High:
		return "error"
	case s == audit.Medium:
		return "warning"
	}
	return "note"
}

// score is a severity as code hosts show it, on the scale of CVSS.
func score(s audit.Severity) string {
	return [...]string{"0.0", "3.0", "5.5", "8.0", "9.5"}[s]
}

// uri is a file's name as a relative reference.
func uri(name string) string {
	u := url.URL{Path: path.Clean(name)}
	return strings.TrimPrefix(u.String(), "./")
}

// SARIF writes a report as a SARIF log of one run.
func SARIF(w io.Writer, r *audit.Report, version string) error {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "portcullis audit", Version: version, Rules: []sarifRule{}}}, Results: []sarifResult{}}
	index := map[string]int{}
	for i, c := range audit.Checks() {
		index[c.ID] = i
		var refs []string
		for _, ref := range c.Refs {
			refs = append(refs, ref.Name)
		}
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{ID: c.ID, Short: sarifText{c.Title}, Help: sarifText{c.Fix + ". " + strings.Join(refs, "; ")},
			HelpURI: c.Refs[0].URL, Config: sarifRuleLevel{level(c.Severity)},
			Property: map[string]any{"tags": []string{"security", string(c.Practice)}, "security-severity": score(c.Severity)}})
	}
	for _, f := range r.Findings {
		run.Results = append(run.Results, sarifOf(f, index[f.Check.ID]))
	}
	return write(w, sarifLog{Schema: "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

func sarifOf(f audit.Finding, rule int) sarifResult {
	// What a finding is known by in the next run: not its line, which moves.
	sum := sha256.Sum256([]byte(f.Check.ID + "\x00" + f.At.Name() + "\x00" + f.Subject + "\x00" + f.At.Text()))
	out := sarifResult{RuleID: f.Check.ID, RuleIndex: rule, Level: level(f.Severity), Message: sarifText{f.Subject + ": " + f.Saw + ". " + f.Check.Fix + "."},
		Fingerprint: map[string]string{"portcullis/v1": hex.EncodeToString(sum[:12])}}
	if f.At.File != nil {
		p := sarifPhysical{Artifact: sarifArtifact{uri(f.At.Name())}}
		if len(f.At.File.Text) > 0 {
			p.Region = &sarifRegion{StartLine: f.At.Line()}
		}
		out.Locations = []sarifLocation{{p}}
	}
	files, by := doc.Group(f.Mend)
	if len(files) == 0 {
		return out
	}
	fix := sarifFix{Description: sarifText{f.Check.Fix}}
	for _, file := range files {
		change := sarifChange{Artifact: sarifArtifact{uri(file.Name)}}
		for _, e := range by[file] {
			start, length := e.Start, e.End-e.Start
			change.Replacements = append(change.Replacements, sarifReplacement{sarifRegion{ByteOffset: &start, ByteLength: &length}, sarifText{e.Text}})
		}
		fix.Changes = append(fix.Changes, change)
	}
	out.Fixes = []sarifFix{fix}
	return out
}
