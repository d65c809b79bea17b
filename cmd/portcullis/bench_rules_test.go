package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

// TestNanosByLabel profiles work under two labels and reads the profile.
func TestNanosByLabel(t *testing.T) {
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err != nil {
		t.Fatal(err)
	}
	var sum [32]byte
	for _, x := range []struct {
		name string
		n    int
	}{{"short", 1_000_000}, {"long", 5_000_000}} {
		pprof.Do(context.Background(), pprof.Labels(labelRule, x.name), func(context.Context) {
			for range x.n {
				sum = sha256.Sum256(sum[:])
			}
		})
	}
	pprof.StopCPUProfile()
	data := bytes.Clone(profile.Bytes())
	nanos, err := nanosByLabel(&profile, labelRule)
	if err != nil {
		t.Fatal(err)
	}
	if nanos["short"] == 0 || nanos["long"] < 2*nanos["short"] {
		t.Errorf("%v of one part and five", nanos)
	}
	if other, err := nanosByLabel(bytes.NewReader(data), "other"); err != nil || len(other) != 1 {
		t.Errorf("under a label that nobody set: %v, %v", other, err)
	}
	if _, err := nanosByLabel(strings.NewReader("no profile"), labelRule); err == nil {
		t.Error("what is no profile is read")
	}
}

// called counts what a wrapped detector is asked.
type called struct{ observed, closed, loads, uses int }

func (c *called) Observe(*ingest.Event, detect.Slot) { c.observed++ }
func (c *called) Close(detect.Slot, int64)           { c.closed++ }

type calledLoader struct{ *called }

func (c calledLoader) Load(*detect.Load, detect.Slot) { c.loads++ }

type calledUser struct{ *called }

func (c calledUser) Use(*detect.Use, detect.Slot) { c.uses++ }

type calledBoth struct{ calledLoader }

func (c calledBoth) Use(*detect.Use, detect.Slot) { c.uses++ }

// TestLabelledRulesStayThemselves wants a wrapped detector to do what it does bare.
func TestLabelledRulesStayThemselves(t *testing.T) {
	for name, rule := range map[string]func(*called) detect.Rule{
		"plain":  func(c *called) detect.Rule { return c },
		"loader": func(c *called) detect.Rule { return calledLoader{c} },
		"user":   func(c *called) detect.Rule { return calledUser{c} },
		"both":   func(c *called) detect.Rule { return calledBoth{calledLoader{c}} },
	} {
		bare, wrapped := new(called), new(called)
		for _, r := range []detect.Rule{rule(bare), labelRuleCalls(name, rule(wrapped))} {
			r.Observe(nil, 0)
			r.Close(0, 0)
			if x, ok := r.(detect.Loader); ok {
				x.Load(nil, 0)
			}
			if x, ok := r.(detect.User); ok {
				x.Use(nil, 0)
			}
		}
		if *bare != *wrapped || bare.observed != 1 {
			t.Errorf("%s: wrapped %+v, bare %+v", name, *wrapped, *bare)
		}
	}
}
