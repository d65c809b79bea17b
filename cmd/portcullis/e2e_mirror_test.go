package main

import (
	"bytes"
	"fmt"
	"os"
	"testing"
)

// TestE2EMirror: one process alone copies what it finds and decides to Elasticsearch,
// also what was found while that was away and while the process was killed.
func TestE2EMirror(t *testing.T) {
	t.Parallel()
	search := newSearchNode(t)
	search.now.Store("down")
	dir := t.TempDir()
	lines := generated(t, 6000)
	lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
	g := newGatewayLog(t, dir, false)
	v := newVictim(t, dir, g.path)
	text, err := os.ReadFile(v.config)
	if err != nil {
		t.Fatal(err)
	}
	text = fmt.Appendf(text, "elasticsearch: {enabled: true, urls: [%q], layout: index, replicas: 0, refresh: 1s, bulk: {interval: 100ms}}\n", search.proxy.URL)
	if err := os.WriteFile(v.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	v.start()
	g.write(lines[:4000])
	v.awaitLines(4000)
	v.kill()
	v.start()
	g.write(lines[4000:])
	v.awaitLines(int64(len(lines)))
	search.now.Store("")
	want := replay(t, v.state, bytes.Join(lines, nil))
	whole := `{"term":{"portcullis.route":""}}`
	said := func() string {
		return fmt.Sprintf("%d findings of %d, %d lines of %d, %d decisions, %d changes\n%s", search.count("finding"), len(want),
			search.sum("traffic", "portcullis.requests", whole), len(lines), search.count("decision"), search.count("audit"), tail(v.said.String(), 2000))
	}
	await(t, "everything is in Elasticsearch, once", said, func() bool {
		return search.count("finding") == len(want) && search.sum("traffic", "portcullis.requests", whole) == len(lines) &&
			search.count("decision") >= 3 && search.count("audit") >= 3
	})
	if len(want) < 4 {
		t.Errorf("%d findings, want one for each of the four attackers", len(want))
	}
	t.Log(said())
	v.stop()
	backtestIndexed(t, search, lines)
}

// backtestIndexed has another process copy all requests, and decides about these.
func backtestIndexed(t *testing.T, search *searchNode, lines [][]byte) {
	dir := t.TempDir()
	g := newGatewayLog(t, dir, false)
	v := newVictim(t, dir, g.path)
	text, err := os.ReadFile(v.config)
	if err != nil {
		t.Fatal(err)
	}
	text = fmt.Appendf(text, "elasticsearch: {enabled: true, urls: [%q], namespace: all, layout: index, replicas: 0, refresh: 1s, index: {access: all}, bulk: {interval: 100ms}}\n", search.proxy.URL)
	if err := os.WriteFile(v.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	before := search.count("access")
	v.start()
	g.write(lines)
	await(t, "all requests are in Elasticsearch", func() string { return fmt.Sprint(search.count("access")-before, " of ", len(lines)) },
		func() bool { return search.count("access") == before+len(lines) })
	v.stop()
	sameBacktest(t, v, g.path)
}
