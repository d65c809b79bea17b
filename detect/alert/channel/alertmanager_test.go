package channel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/detect/alert/alerttest"
	"github.com/portcullis/portcullis/fixtures/testbed"
)

// manager is a real Alertmanager.
type manager struct{ url string }

func newManager(t *testing.T) *manager {
	path := testbed.Found(t, "prometheus-alertmanager")
	if path == "" {
		path = testbed.Found(t, "alertmanager")
	}
	if path == "" {
		t.Skip("SKIPPED, no Alertmanager: apt-get install prometheus-alertmanager, or deploy/testbed/fetch.sh alertmanager")
	}
	dir, p := t.TempDir(), ports(t, 1)
	m := &manager{"http://" + address(p[0])}
	conf := writeFile(t, filepath.Join(dir, "alertmanager.yml"), "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
	server := testbed.Launch(t, path, "--config.file="+conf, "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+address(p[0]), "--cluster.listen-address=")
	await(t, "alertmanager is ready", server.Said, func() bool { return get(t, m.url+"/api/v2/alerts", &[]any{}) == nil })
	return m
}

// shown is an alert as Alertmanager shows it.
type shown struct {
	Labels, Annotations map[string]string
	EndsAt              time.Time
	GeneratorURL        string
	Status              struct {
		State      string
		SilencedBy []string
	}
}

func (m *manager) alerts(t *testing.T) (list []shown) {
	t.Helper()
	if err := get(t, m.url+"/api/v2/alerts", &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestAlertmanager: the real one shows the alert, silences it by its labels, and drops it
// when it is resolved.
func TestAlertmanager(t *testing.T) {
	m := newManager(t)
	a := NewAlertmanager(AlertmanagerConfig{URLs: []string{m.url}, Labels: map[string]string{"site": "edge"}})
	n := alerttest.Notice(alert.Firing)
	n.Opened = time.Now().Add(-time.Minute).UTC()
	for range 3 { // it is told again and again
		if err := a.Notify(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	list := m.alerts(t)
	if len(list) != 1 || list[0].Labels["alert_id"] != n.Alert || list[0].Labels["severity"] != "high" || list[0].Labels["site"] != "edge" || list[0].Annotations["findings"] != "112" ||
		list[0].Annotations["summary"] != n.Title || list[0].GeneratorURL != n.Link || list[0].Status.State == "suppressed" || time.Until(list[0].EndsAt) < 2*time.Minute {
		t.Fatalf("shows %+v", list)
	}
	body, err := json.Marshal(map[string]any{"matchers": []map[string]any{{"name": "alert_id", "value": n.Alert, "isRegex": false, "isEqual": true}},
		"startsAt": time.Now().Add(-time.Second).UTC(), "endsAt": time.Now().Add(time.Hour).UTC(), "createdBy": "ann", "comment": "a pentest"})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(m.url+"/api/v2/silences", "application/json", bytes.NewReader(body))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("silence: %v, %v", resp, err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "it is silenced", func() string { return fmt.Sprintf("%+v", m.alerts(t)) }, func() bool {
		list := m.alerts(t)
		return len(list) == 1 && list[0].Status.State == "suppressed" && len(list[0].Status.SilencedBy) == 1
	})
	over := alerttest.Notice(alert.Resolved)
	over.Opened, over.Closed = n.Opened, time.Now().Add(-time.Second).UTC()
	if err := a.Notify(t.Context(), over); err != nil {
		t.Fatal(err)
	}
	await(t, "it is gone", func() string { return fmt.Sprintf("%+v", m.alerts(t)) }, func() bool { return len(m.alerts(t)) == 0 })
	if err := a.Notify(t.Context(), alerttest.Hostile()); err != nil {
		t.Errorf("hostile text: %v", err)
	}
}

// TestAlertmanagerMembers: one of a cluster is enough; if none takes it that is said.
func TestAlertmanagerMembers(t *testing.T) {
	m := newManager(t)
	gone := "http://" + address(ports(t, 1)[0])
	a := NewAlertmanager(AlertmanagerConfig{URLs: []string{gone, m.url}})
	if err := a.Notify(t.Context(), alerttest.Notice(alert.Firing)); err != nil {
		t.Errorf("one of two is there: %v", err)
	}
	a = NewAlertmanager(AlertmanagerConfig{URLs: []string{gone, gone}})
	if err := a.Notify(t.Context(), alerttest.Notice(alert.Firing)); err == nil || strings.Count(err.Error(), "cannot be reached") != 2 {
		t.Errorf("none is there: %v", err)
	}
}
