package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/internal/cliout"
)

// lastCluster reads what a process of several last knew of the whole; nil where one
// process does it all.
func lastCluster(ctx context.Context, db *store.DB, h *heartbeat) (*clusterObject, error) {
	if h == nil || len(h.Roles) == 0 {
		return nil, nil
	}
	text, err := db.Meta(ctx, clusterKey)
	if err != nil || text == "" {
		return nil, err
	}
	var c clusterObject
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return nil, fmt.Errorf("overview: %w", err)
	}
	return &c, nil
}

// processes lists the processes of the pipeline.
func (st *statusObject) processes(app *App, at time.Time) *cliout.Table {
	t := app.Table(cliout.Column{Title: "PROCESS", Keep: true}, cliout.Column{Title: "ROLES", Keep: true}, cliout.Column{Title: "SINCE", Right: true},
		cliout.Column{Title: "HEARD OF", Right: true}, cliout.Column{Title: "DOES"})
	if st.Cluster == nil {
		return t
	}
	list := slices.Clone(st.Cluster.Processes)
	slices.SortFunc(list, func(a, b task.Process) int { return strings.Compare(a.ID, b.ID) })
	for _, p := range list {
		t.Row(p.ID, strings.Join(p.Roles, ","), ago(detect.FormatTime(p.Started), at), ago(detect.FormatTime(p.At), at), st.does(p))
	}
	return t
}

// does says in words what a process does.
func (st *statusObject) does(p task.Process) string {
	var parts []string
	if len(p.Rows) > 0 {
		parts = append(parts, plural(len(p.Rows), "source"))
	}
	if slices.Contains(p.Roles, roleDetect) {
		parts = append(parts, fmt.Sprintf("%d of %d parts of the detection", len(p.Tasks), st.Cluster.Layout[0]+st.Cluster.Layout[1]))
	}
	switch {
	case p.Lead != nil:
		parts = append(parts, fmt.Sprintf("decides; from the line %s found, %s decided, %s more verified", latencyText(p.Lead.Found), latencyText(p.Lead.Decided), latencyText(p.Lead.Verified)))
	case slices.Contains(p.Roles, roleEnforce):
		parts = append(parts, "stands by")
	}
	if p.Index != nil {
		parts = append(parts, fmt.Sprintf("%s documents indexed, %s rejected", cliout.Count(p.Index.Documents), cliout.Count(p.Index.Rejected)))
	}
	if len(p.Trouble) > 0 {
		parts = append(parts, plural(len(p.Trouble), "trouble"))
	}
	return strings.Join(parts, "; ")
}

// latencyText is two quantiles in words.
func latencyText(l task.Latency) string {
	if l.Count == 0 {
		return "-"
	}
	return fmt.Sprintf("p50 %.1f s, p99 %.1f s", l.P50, l.P99)
}
