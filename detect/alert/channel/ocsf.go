package channel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/portcullis/portcullis/detect/alert"
)

func init() {
	alert.Register("ocsf", alert.Spec{
		Doc:    "a file of JSON lines by the Open Cybersecurity Schema Framework: detection findings (class 2004)",
		Tested: "files, and the attributes that the schema requires",
		Config: func() any { return new(OCSFConfig) },
		Open:   func(config any) (alert.Notifier, error) { return &OCSF{cfg: *config.(*OCSFConfig)}, nil },
	})
}

// OCSFConfig is the "ocsf" section of a channel.
type OCSFConfig struct {
	Path    string `yaml:"path" doc:"file to append to; it is made, its folder is not"`
	MaxSize int64  `yaml:"max_size" default:"64MiB" min:"1MiB" unit:"bytes" doc:"a file that is larger is renamed to PATH.1, and a new one begun"`
	Files   int    `yaml:"files" default:"5" min:"1" max:"100" doc:"how many renamed files are kept"`
}

// Check implements validation for the config loader.
func (c *OCSFConfig) Check(report func(key, message string)) {
	if !filepath.IsAbs(c.Path) {
		report("path", "want a whole path, such as /var/log/portcullis/alerts.ocsf.json")
	}
}

// OCSF appends lines. Each is on the disk when it is taken.
type OCSF struct{ cfg OCSFConfig }

// Notify implements alert.Notifier.
func (o *OCSF) Notify(ctx context.Context, n *alert.Notice) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	line, err := encode(ocsfOf(n))
	if err != nil {
		return err
	}
	if err := o.rotate(); err != nil {
		return err
	}
	f, err := os.OpenFile(o.cfg.Path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("the file cannot be written: %w", err)
	}
	if err := appendLine(f, line); err != nil {
		return errors.Join(fmt.Errorf("the file cannot be written: %w", err), f.Close())
	}
	return f.Close()
}

// appendLine puts a line behind the others; half a line that a kill has left is ended.
func appendLine(f *os.File, line []byte) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if size := info.Size(); size > 0 {
		var last [1]byte
		if _, err := f.ReadAt(last[:], size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = append([]byte("\n"), line...)
		}
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return err
	}
	return f.Sync()
}

// rotate makes room for a new file.
func (o *OCSF) rotate() error {
	info, err := os.Stat(o.cfg.Path)
	if err != nil || info.Size() < o.cfg.MaxSize {
		return nil // there is none yet, or writing tells what is wrong
	}
	for i := o.cfg.Files - 1; i >= 0; i-- {
		from := fmt.Sprintf("%s.%d", o.cfg.Path, i)
		if i == 0 {
			from = o.cfg.Path
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", o.cfg.Path, i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the file cannot be renamed: %w", err)
		}
	}
	return nil
}

// Numbers of OCSF: https://schema.ocsf.io/1.4.0/classes/detection_finding
const (
	ocsfVersion  = "1.4.0"
	ocsfFindings = 2
	ocsfClass    = 2004

	ocsfCreate = 1
	ocsfUpdate = 2
	ocsfClose  = 3

	ocsfNew        = 1
	ocsfInProgress = 2
	ocsfResolved   = 4
)

var ocsfSeverity = map[string]int{"info": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}

// ocsfObservable are the numbers of what a subject may be; others have none.
var ocsfObservable = map[string]int{"ip": 2, "account": 4, "consumer": 4}

func ocsfOf(n *alert.Notice) map[string]any {
	activity, status := ocsfUpdate, ocsfInProgress
	switch {
	case n.Over():
		activity, status = ocsfClose, ocsfResolved
	case n.Kind == alert.Firing, n.Kind == alert.Test:
		activity, status = ocsfCreate, ocsfNew
	}
	var observables []map[string]any
	for _, s := range n.Subjects {
		kind, value, _ := strings.Cut(s, ":")
		id, known := ocsfObservable[kind]
		if !known {
			id = 99
		}
		observables = append(observables, map[string]any{"name": "client." + kind, "type_id": id, "value": value})
	}
	event := map[string]any{
		"activity_id": activity, "category_uid": ocsfFindings, "class_uid": ocsfClass, "type_uid": ocsfClass*100 + activity, "time": n.At.UnixMilli(),
		"severity_id": ocsfSeverity[n.Severity], "status_id": status, "is_alert": !n.Over(), "count": max(n.Findings, 1),
		"confidence_score": int(math.Round(100 * n.Confidence)), "message": n.Title,
		"metadata": map[string]any{"version": ocsfVersion, "uid": n.ID, "product": map[string]string{"name": "Portcullis", "vendor_name": "Portcullis", "version": n.Version}},
		"finding_info": map[string]any{"uid": n.Alert, "title": n.Title, "desc": n.Why, "types": []string{n.Family}, "analytic": map[string]any{"name": n.Rule, "type_id": 1, "uid": n.Rule},
			"created_time": n.Opened.UnixMilli(), "first_seen_time": n.First.UnixMilli(), "last_seen_time": n.Last.UnixMilli()},
		"unmapped": map[string]any{"kind": n.Kind, "campaign": n.Campaign, "route": n.Route, "clients": n.Clients, "requests": n.Requests, "tags": n.Tags},
	}
	if len(observables) > 0 {
		event["observables"] = observables
	}
	if !n.First.IsZero() && !n.Last.Before(n.First) {
		event["start_time"], event["end_time"] = n.First.UnixMilli(), n.Last.UnixMilli()
	}
	if n.Link != "" {
		event["finding_info"].(map[string]any)["src_url"] = n.Link
	}
	return event
}
