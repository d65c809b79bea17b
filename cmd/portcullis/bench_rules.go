package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

// labelRule is the profile label that holds the name of the detector at work.
const labelRule = "rule"

// emptyRule is the name of a detector that is called for every line and does nothing: what
// it costs is the measuring.
const emptyRule = "an empty one, called for each line"

// profiledFor is how much CPU time the cost of detectors is measured over. A profile has
// 100 samples a second.
const profiledFor = 12 * time.Second

// rulesInside measures the time inside each detector, all being on: the whole path runs on one
// core under a profile whose samples are labelled. What a detector makes the engine do for it,
// such as handing requests to level two, is not inside.
func (b *bencher) rulesInside(ctx context.Context) ([]benchRow, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err != nil {
		return nil, err
	}
	lines, start := 0, cpuTime()
	var err error
	for round := 0; err == nil && (round < b.cmd.Rounds || cpuTime()-start < profiledFor && start > 0); round++ {
		_, err = b.labelled()
		lines += b.lines
		err = errors.Join(err, ctx.Err())
	}
	pprof.StopCPUProfile()
	if err != nil {
		return nil, err
	}
	nanos, err := nanosByLabel(&profile, labelRule)
	if err != nil {
		return nil, fmt.Errorf("bench: read the profile: %w", err)
	}
	var rows []benchRow
	for _, name := range append(ruleNames(b.settings.rules()), emptyRule) {
		rows = append(rows, benchRow{Stage: "inside " + name, Workers: 1, Lines: lines, NanosPerLine: float64(nanos[name]) / float64(lines)})
	}
	return rows, nil
}

func ruleNames(rules []detect.RuleConfig) []string {
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.Name
	}
	return names
}

// labelled runs the whole path once with labelled detectors.
func (b *bencher) labelled() (int, error) {
	e, err := b.engineOf(1, b.settings.rules(), func(list []detect.RuleConfig) []detect.RuleConfig {
		out := []detect.RuleConfig{{Name: emptyRule, Config: struct{}{}, Spec: detect.Spec{Concern: detect.Any, New: func(*detect.Env, any) (detect.Rule, error) {
			return labelRuleCalls(emptyRule, idleRule{}), nil
		}}}}
		for _, r := range list {
			build, name := r.Spec.New, r.Name
			r.Spec.New = func(env *detect.Env, cfg any) (detect.Rule, error) {
				rule, err := build(env, cfg)
				if err != nil {
					return nil, err
				}
				return labelRuleCalls(name, rule), nil
			}
			out = append(out, r)
		}
		return out
	})
	if err != nil {
		return 0, err
	}
	defer e.Close()
	batches(b.data, e.Feed)
	return len(e.Finish().Findings), nil
}

// idleRule does nothing.
type idleRule struct{}

func (idleRule) Observe(*ingest.Event, detect.Slot) {}
func (idleRule) Close(detect.Slot, int64)           {}

// labelledRule sets the label while its detector works.
type labelledRule struct {
	detect.Rule
	in, out context.Context
}

func (l *labelledRule) Observe(ev *ingest.Event, slot detect.Slot) {
	pprof.SetGoroutineLabels(l.in)
	l.Rule.Observe(ev, slot)
	pprof.SetGoroutineLabels(l.out)
}

func (l *labelledRule) Close(slot detect.Slot, sec int64) {
	pprof.SetGoroutineLabels(l.in)
	l.Rule.Close(slot, sec)
	pprof.SetGoroutineLabels(l.out)
}

// labelledLoader is one of those that take loads.
type labelledLoader struct {
	*labelledRule
	loader detect.Loader
}

func (l labelledLoader) Load(x *detect.Load, slot detect.Slot) {
	pprof.SetGoroutineLabels(l.in)
	l.loader.Load(x, slot)
	pprof.SetGoroutineLabels(l.out)
}

// labelledUser is one of those that take uses.
type labelledUser struct {
	*labelledRule
	user detect.User
}

func (l labelledUser) Use(x *detect.Use, slot detect.Slot) {
	pprof.SetGoroutineLabels(l.in)
	l.user.Use(x, slot)
	pprof.SetGoroutineLabels(l.out)
}

// labelRuleCalls wraps a detector, and keeps what else it can do.
func labelRuleCalls(name string, r detect.Rule) detect.Rule {
	l := &labelledRule{Rule: r, in: pprof.WithLabels(context.Background(), pprof.Labels(labelRule, name)), out: context.Background()}
	loader, loads := r.(detect.Loader)
	user, uses := r.(detect.User)
	switch {
	case loads && uses:
		return struct {
			labelledLoader
			use
		}{labelledLoader{l, loader}, use{labelledUser{l, user}}}
	case loads:
		return labelledLoader{l, loader}
	case uses:
		return labelledUser{l, user}
	}
	return l
}

// use hands on Use alone, so that a detector that also takes loads has one Observe.
type use struct{ to labelledUser }

func (u use) Use(x *detect.Use, slot detect.Slot) { u.to.Use(x, slot) }

var errProfile = errors.New("it is no CPU profile as this version of Go writes it")

// The numbers of the fields of a profile (github.com/google/pprof, proto/profile.proto).
const (
	profileSample  = 2
	profileStrings = 6
	sampleValue    = 2
	sampleLabel    = 3
	labelKey       = 1
	labelText      = 2
)

// nanosByLabel sums the CPU time of a profile by the value of a label.
func nanosByLabel(in io.Reader, key string) (map[string]int64, error) {
	zip, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(zip)
	if err != nil {
		return nil, err
	}
	var texts []string
	var samples [][]byte
	err = eachField(data, func(n protowire.Number, v []byte, _ uint64) error {
		switch n {
		case profileSample:
			samples = append(samples, v)
		case profileStrings:
			texts = append(texts, string(v))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sum := map[string]int64{}
	for _, s := range samples {
		name, nanos, err := sampleOf(s, texts, key)
		if err != nil {
			return nil, err
		}
		sum[name] += nanos
	}
	return sum, nil
}

// sampleOf reads a sample: the value of its label, "" if it has none, and its last value,
// which is nanoseconds.
func sampleOf(data []byte, texts []string, key string) (name string, nanos int64, err error) {
	text := func(i uint64) string {
		if i < uint64(len(texts)) {
			return texts[i]
		}
		return ""
	}
	err = eachField(data, func(n protowire.Number, v []byte, x uint64) error {
		switch n {
		case sampleValue: // packed or one by one
			if v == nil {
				nanos = int64(x) //nolint:gosec // never near the limit
			}
			for len(v) > 0 {
				x, size := protowire.ConsumeVarint(v)
				if size < 0 {
					return errProfile
				}
				nanos, v = int64(x), v[size:] //nolint:gosec // never near the limit
			}
		case sampleLabel:
			var k, t uint64
			if err := eachField(v, func(n protowire.Number, _ []byte, x uint64) error {
				switch n {
				case labelKey:
					k = x
				case labelText:
					t = x
				}
				return nil
			}); err != nil {
				return err
			}
			if text(k) == key {
				name = text(t)
			}
		}
		return nil
	})
	return name, nanos, err
}

// eachField calls use for each field of a message, with its bytes or its number.
func eachField(data []byte, use func(n protowire.Number, v []byte, x uint64) error) error {
	for len(data) > 0 {
		n, kind, size := protowire.ConsumeTag(data)
		if size < 0 {
			return errProfile
		}
		data = data[size:]
		var v []byte
		var x uint64
		switch kind {
		case protowire.BytesType:
			v, size = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			x, size = protowire.ConsumeVarint(data)
		default:
			size = protowire.ConsumeFieldValue(n, kind, data)
		}
		if size < 0 {
			return errProfile
		}
		data = data[size:]
		if err := use(n, v, x); err != nil {
			return err
		}
	}
	return nil
}
