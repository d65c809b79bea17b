package main

import (
	"context"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/indexed"
)

// elasticStore opens the Elasticsearch of an installation of several processes, where
// that is the store; nil: the database in the state folder is, which --state-dir asks
// for too.
func (a *App) elasticStore() (*elastic.Store, error) {
	if a.StateDir != "" {
		return nil, nil
	}
	s, err := a.Settings()
	if err != nil || !s.Elasticsearch.Enabled || !s.Kafka.Enabled {
		return nil, err
	}
	return a.elasticOf()
}

// withFindings runs do on the stored findings.
func (a *App) withFindings(do func(console.Findings) error) error {
	es, err := a.elasticStore()
	if err != nil {
		return err
	}
	if es != nil {
		defer es.Close()
		return do(es)
	}
	return a.withStore(store.OpenReadOnly, func(db *store.DB) error { return do(db) })
}

// withDecisions runs do on the decisions and their history.
func (a *App) withDecisions(ctx context.Context, do func(console.Decisions) error) error {
	es, err := a.elasticStore()
	if err != nil {
		return err
	}
	if es != nil {
		defer es.Close()
		return do(indexed.New(es, nil))
	}
	return a.withLedger(ctx, func(_ *store.DB, l *enforce.Ledger) error { return do(l) })
}
