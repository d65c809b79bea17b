package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/internal/config"
)

// service runs the real enforcer on the store of a folder until the script ends,
// with the store's findings offered to it and a heartbeat left: "service dir".
// It returns once the enforcer has made its decisions.
func service(ts *testscript.TestScript, _ bool, args []string) {
	ctx, stop := context.WithCancel(context.Background())
	path := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(path, 0o700))
	db, err := store.Open(filepath.Join(path, storeFile))
	ts.Check(err)
	l, err := enforce.OpenLedger(ctx, db.SQL())
	ts.Check(err)
	var cfg enforce.Config
	ts.Check(config.Load("defaults", nil, nil, &cfg))
	e, err := enforce.New(cfg, l, nil, nil, slog.New(slog.DiscardHandler), time.Now)
	ts.Check(err)
	keepBeating(ctx, stop, ts, db, gatewayBeats(e.Health()))
	found, err := db.Findings(ctx, store.FindingQuery{})
	ts.Check(err)
	for _, f := range found {
		e.Offer(f)
	}
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	ts.Defer(func() {
		stop()
		<-done // it ends because of stop
		ts.Check(db.Close())
	})
	awaitDecisions(ts, l, len(found) > 0)
}

// keepBeating leaves heartbeats until ctx ends, the first before it returns.
func keepBeating(ctx context.Context, stop func(), ts *testscript.TestScript, db *store.DB, gateways []gatewayBeat) {
	beat := heartbeat{PID: os.Getpid(), Version: "test", Started: detect.FormatTime(time.Now().UnixNano()),
		LinesPerSecond: 12345.6, Console: "http://127.0.0.1:9480/", Trouble: []string{"disk\x1b[2J nearly full"},
		Gateways: append(gateways, gatewayBeat{Name: "nginx", Entries: 2, Fails: 3, Error: "nginx -t refused it"})}
	send := func() error {
		beat.At = detect.FormatTime(time.Now().UnixNano())
		return beat.save(ctx, db)
	}
	ts.Check(send())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(heartbeatEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := send(); err != nil && ctx.Err() == nil {
					ts.Logf("heartbeat: %v", err)
				}
			}
		}
	}()
	ts.Defer(func() {
		stop()
		<-stopped
	})
}

// awaitDecisions polls until the enforcer has decided, with a deadline.
func awaitDecisions(ts *testscript.TestScript, l *enforce.Ledger, any bool) {
	if !any {
		return
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		list, err := l.Decisions(context.Background(), enforce.DecisionQuery{})
		ts.Check(err)
		if len(list) > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-limit.C:
			ts.Fatalf("the enforcer made no decision")
		}
	}
}
