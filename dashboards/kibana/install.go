package kibana

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/internal/telemetry"
)

// Outcome is what became of one object.
type Outcome struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Name string `json:"name"`
	Did  string `json:"did"`           // one of the constants
	Why  string `json:"why,omitempty"` // of failed
}

// What became of an object.
const (
	DidMake    = "installed"
	DidFail    = "failed"
	WouldMake  = "missing" // a dry run would make it
	WouldLeave = "there"   // a dry run found it
)

// oldest is the first Kibana that takes the objects.
const oldest = 8.09

// Version asks Kibana which it is, and refuses one that is too old.
func (c *Client) Version(ctx context.Context) (string, error) {
	var status struct {
		Version struct{ Number string }
	}
	if err := c.call(ctx, http.MethodGet, "/api/status", "", nil, &status); err != nil {
		return "", fmt.Errorf("kibana: status: %w", err)
	}
	v := status.Version.Number
	if v == "" {
		return "", nil // who may not look at the status in full is not told
	}
	major, rest, _ := strings.Cut(v, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(minor)
	if errA != nil || errB != nil {
		return "", fmt.Errorf("kibana: status: %s is no version: is this Kibana?", telemetry.Quote(v))
	}
	if float64(a)+float64(b)/100 < oldest {
		return v, fmt.Errorf("kibana: version %s is too old: the dashboards need 8.9 or newer", v)
	}
	return v, nil
}

// Install imports the saved objects. Without overwrite those that are there stay, and are
// reported as failed. err is what kept all of them from being imported.
func (c *Client) Install(ctx context.Context, overwrite bool) ([]Outcome, error) {
	objects, err := Objects()
	if err != nil {
		return nil, err
	}
	data, err := NDJSON(objects)
	if err != nil {
		return nil, err
	}
	var answer importAnswer
	path := "/api/saved_objects/_import?overwrite=" + strconv.FormatBool(overwrite)
	if err := c.upload(ctx, path, "portcullis.ndjson", data, &answer); err != nil {
		return nil, fmt.Errorf("kibana: import of saved objects: %w", err)
	}
	why := map[string]string{}
	for _, e := range answer.Errors {
		why[e.Type+" "+e.ID] = e.Error.said()
	}
	done := map[string]bool{}
	for _, s := range answer.Results {
		done[s.Type+" "+s.ID] = true
	}
	var out []Outcome
	for _, o := range objects {
		r := Outcome{Type: o.Type, ID: o.ID, Name: o.name(), Did: DidMake}
		if w, failed := why[o.Type+" "+o.ID]; failed {
			r.Did, r.Why = DidFail, w
		} else if !done[o.Type+" "+o.ID] {
			r.Did, r.Why = DidFail, "Kibana says nothing about it: an object that it refers to has failed"
		}
		out = append(out, r)
	}
	return out, nil
}

// name is what people call an object.
func (o Object) name() string {
	if n, ok := o.Attributes["name"].(string); ok {
		return n
	}
	n, _ := o.Attributes["title"].(string)
	return n
}

// importAnswer is what POST /api/saved_objects/_import gives.
type importAnswer struct {
	Success bool
	Results []struct{ Type, ID string } `json:"successResults"`
	Errors  []struct {
		Type, ID string
		Error    importError
	}
}

type importError struct {
	Type       string
	Message    string
	StatusCode int
	References []struct{ Type, ID string }
}

func (e importError) said() string {
	switch e.Type {
	case "conflict", "ambiguous_conflict":
		return "it is there already: --overwrite replaces it"
	case "missing_references":
		var missing []string
		for _, r := range e.References {
			missing = append(missing, r.Type+" "+r.ID)
		}
		return "it refers to what is not there: " + telemetry.Quote(strings.Join(missing, ", "))
	case "unsupported_type":
		return "this Kibana does not know objects of its type: it is switched off, or another edition"
	}
	return fmt.Sprintf("%d %s", e.StatusCode, telemetry.Quote(e.Message))
}

// Look says which of the saved objects are there, and changes nothing.
func (c *Client) Look(ctx context.Context) ([]Outcome, error) {
	objects, err := Objects()
	if err != nil {
		return nil, err
	}
	asked := make([]object, len(objects))
	for i, o := range objects {
		asked[i] = object{"type": o.Type, "id": o.ID, "fields": list{"title"}}
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Objects []struct {
			Type, ID string
			Error    *struct {
				StatusCode int
				Message    string
			}
		} `json:"saved_objects"`
	}
	if err := c.call(ctx, http.MethodPost, "/api/saved_objects/_bulk_get", "application/json", body, &answer); err != nil {
		return nil, fmt.Errorf("kibana: look for saved objects: %w", err)
	}
	out := make([]Outcome, len(objects))
	for i, o := range objects {
		out[i] = Outcome{Type: o.Type, ID: o.ID, Name: o.name(), Did: WouldMake}
		for _, a := range answer.Objects {
			if a.Type != o.Type || a.ID != o.ID {
				continue
			}
			switch {
			case a.Error == nil:
				out[i].Did = WouldLeave
			case a.Error.StatusCode != http.StatusNotFound:
				out[i].Did, out[i].Why = DidFail, fmt.Sprintf("%d %s", a.Error.StatusCode, telemetry.Quote(a.Error.Message))
			}
		}
	}
	return out, nil
}

// InstallDetections imports the rules of Elastic Security.
func (c *Client) InstallDetections(ctx context.Context, overwrite bool) ([]Outcome, error) {
	rules := DetectionRules()
	data, err := NDJSON(rules)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Success bool
		Errors  []struct {
			RuleID string `json:"rule_id"`
			Error  struct {
				StatusCode int `json:"status_code"`
				Message    string
			}
		}
	}
	path := "/api/detection_engine/rules/_import?overwrite=" + strconv.FormatBool(overwrite)
	if err := c.upload(ctx, path, "portcullis-rules.ndjson", data, &answer); err != nil {
		return nil, fmt.Errorf("kibana: import of detection rules: %w", err)
	}
	var out []Outcome
	for _, r := range rules {
		o := Outcome{Type: "detection rule", ID: r["rule_id"].(string), Name: r["name"].(string), Did: DidMake}
		for _, e := range answer.Errors {
			switch {
			case e.RuleID != o.ID && e.RuleID != "":
			case e.Error.StatusCode == http.StatusConflict:
				o.Did, o.Why = DidFail, "it is there already: --overwrite replaces it"
			default:
				o.Did, o.Why = DidFail, fmt.Sprintf("%d %s", e.Error.StatusCode, telemetry.Quote(e.Error.Message))
			}
		}
		out = append(out, o)
	}
	return out, nil
}

// InstallAlerts makes the alert rules one by one: there is no import for them. With
// overwrite those that are there are brought up to date; whether they are switched on
// and what they do stays as it is.
func (c *Client) InstallAlerts(ctx context.Context, overwrite bool) ([]Outcome, error) {
	var out []Outcome
	for _, r := range AlertRules(c.opt.Space) {
		o := Outcome{Type: "alert rule", ID: r.ID, Name: r.Body["name"].(string), Did: DidMake}
		err := c.alert(ctx, r, overwrite)
		var refused *refusal
		switch {
		case err == nil:
		case errors.As(err, &refused) && refused.status == http.StatusConflict:
			o.Did, o.Why = DidFail, "it is there already: --overwrite replaces it"
		case errors.As(err, &refused) && refused.status == http.StatusBadRequest:
			o.Did, o.Why = DidFail, err.Error()
		default: // the others would fail in the same way
			return out, fmt.Errorf("kibana: alert rules: %w", err)
		}
		out = append(out, o)
	}
	return out, nil
}

func (c *Client) alert(ctx context.Context, r AlertRule, overwrite bool) error {
	path := "/api/alerting/rule/" + r.ID
	body, err := json.Marshal(r.Body)
	if err != nil {
		return err
	}
	err = c.call(ctx, http.MethodPost, path, "application/json", body, nil)
	var refused *refusal
	if !overwrite || !errors.As(err, &refused) || refused.status != http.StatusConflict {
		return err
	}
	var have struct{ Actions []object }
	if err := c.call(ctx, http.MethodGet, path, "", nil, &have); err != nil {
		return err
	}
	update := object{"actions": keptActions(have.Actions)}
	for _, field := range []string{"name", "tags", "schedule", "params"} {
		update[field] = r.Body[field]
	}
	if body, err = json.Marshal(update); err != nil {
		return err
	}
	return c.call(ctx, http.MethodPut, path, "application/json", body, nil)
}

// keptActions are the actions of a rule in the form in which they are written: what is
// read has more.
func keptActions(have []object) list {
	out := list{}
	for _, a := range have {
		kept := object{}
		for _, field := range []string{"group", "id", "params", "frequency", "uuid", "alerts_filter", "use_alert_data_for_template"} {
			if v, ok := a[field]; ok {
				kept[field] = v
			}
		}
		out = append(out, kept)
	}
	return out
}
