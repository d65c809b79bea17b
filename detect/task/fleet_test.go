package task_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/ingest"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestFleet: tasks that stay go on, with the newer right; those that go save before
// Assign returns; whoever has them next goes on behind that.
func TestFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(t, 40)
		w.every = time.Hour // but for the last
		p := w.start(1)
		both := []task.Key{{Name: task.Wide}, {Name: task.Front}}
		w.assign(p, both)
		wait(2 * time.Second)
		if got := fmt.Sprint(p.fleet.Keys()); got != "[front/0 wide/0]" {
			t.Errorf("tasks %s", got)
		}
		before := w.beat("front/0")
		w.assign(p, both[1:])
		if w.shelf(task.Wide, 0).saves != 2 || w.shelf(task.Front, 0).saves != 1 || p.made["front/0"] != 1 {
			t.Errorf("%d, %d snapshots, front made %d times; want 2, 1, and once", w.shelf(task.Wide, 0).saves, w.shelf(task.Front, 0).saves, p.made["front/0"])
		}
		wait(2 * time.Second)
		if after := w.beat("front/0"); after.Epoch <= before.Epoch || after.Offset != 39 {
			t.Errorf("epoch %d, then %d with a newer right", before.Epoch, after.Epoch)
		}
		p.fleet.Assign(t.Context(), task.Owner{Epoch: 1, Check: func(context.Context) error { return nil }}, both[1:])
		wait(2 * time.Second)
		if b := w.beat("front/0"); b.Epoch < before.Epoch {
			t.Errorf("epoch %d: it went back", b.Epoch)
		}
		p.fleet.Stop()
		if len(p.fleet.Keys()) != 0 {
			t.Errorf("tasks %v after a stop", p.fleet.Keys())
		}
		again := w.start(2)
		w.assign(again, both)
		wait(2 * time.Second)
		if b := w.beat("front/0"); b.Offset != 39 || b.Rows[0].Read != 40 {
			t.Errorf("the next owner: %+v", b)
		}
		again.fleet.Stop()
	})
}

// TestFleetStartsAnew what fails, says why, and says no more once it works.
func TestFleetStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(t, 3)
		p := w.start(1)
		make, broken := p.fleet.Make, atomic.Bool{}
		broken.Store(true)
		p.fleet.Make = func(k task.Key) (*task.Task, error) {
			if broken.Load() {
				return nil, errors.New("no memory")
			}
			return make(k)
		}
		w.assign(p, []task.Key{{Name: task.Front}})
		wait(3500 * time.Millisecond)
		if got := p.fleet.Trouble(); !slices.Equal(got, []string{"task front/0: no memory"}) {
			t.Errorf("trouble %q", got)
		}
		broken.Store(false)
		wait(3 * time.Second)
		if got := p.fleet.Trouble(); len(got) != 0 || w.beat("front/0").Offset != 2 {
			t.Errorf("trouble %q, offset %d", got, w.beat("front/0").Offset)
		}
		broken.Store(true) // a stop while it pauses between two tries
		w.assign(p, []task.Key{{Name: task.Wide}})
		wait(200 * time.Millisecond)
		from := time.Now()
		p.fleet.Stop()
		if took := time.Since(from); took > 100*time.Millisecond {
			t.Errorf("a stop took %v", took)
		}
	})
}

// sightings are the requests of 192.0.2.1 that were told, and in how many messages.
func (w *world) sightings() (messages int, n int64) {
	for q := range 3 {
		for _, m := range w.topic(task.TopicFindings, q).all() {
			if string(m.Header(task.HeaderKind)) == task.KindSighting {
				s, err := detect.DecodeSightings(m.Value)
				if err != nil || s.Client != ip("192.0.2.1") || string(m.Key) != "ip:192.0.2.1" {
					w.t.Errorf("%+v with key %q: %v", s, m.Key, err)
				}
				messages++
				n += s.N
			}
		}
	}
	return messages, n
}

// TestSightings: requests of those who are watched are told, some one by one and the
// rest as a number.
func TestSightings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(t, 0)
		w.log = detecttest.Numbered{Log: guesses(40)}
		for i := range w.log.Log {
			w.log.Log[i].Time = start * 1e9
		}
		w.watch = []detect.Watch{{Subject: detect.Subject{Kind: "ip", Value: "192.0.2.1"}}}
		w.access(lines(0, 40))
		p := w.start(1)
		w.assign(p, []task.Key{{Name: task.Front}})
		wait(3 * time.Second)
		p.fleet.Stop()
		if messages, n := w.sightings(); n != 40 || messages < 2 || messages > 10 {
			t.Errorf("%d requests in %d messages, want 40 in a few", n, messages)
		}
	})
}

// TestSightingsOfASecond are few however they are spread over messages, and none is
// held back when the task ends.
func TestSightingsOfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(t, 0)
		w.log = detecttest.Numbered{Log: guesses(24)}
		for i := range w.log.Log {
			w.log.Log[i].Time = start * 1e9
		}
		w.every = time.Hour
		w.watch = []detect.Watch{{Subject: detect.Subject{Kind: "ip", Value: "192.0.2.1"}}}
		p := w.start(1)
		w.assign(p, []task.Key{{Name: task.Front}})
		for i := range 12 {
			w.access(lines(2*i, 2*i+2))
			wait(250 * time.Millisecond)
		}
		p.fleet.Stop()
		if messages, n := w.sightings(); n != 24 || messages > 10 {
			t.Errorf("%d requests in %d messages, want 24 in a few", n, messages)
		}
	})
}

// TestPlacesAreBounded: of very many files the latest are remembered.
func TestPlacesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const files = 5000
		w := calmWorld(t, 0)
		w.log = detecttest.Numbered{Log: guesses(1)}
		put := func(file uint64) {
			b := lines(0, 1)
			b.File = file
			w.access(b)
		}
		for i := range uint64(files) {
			put(i)
		}
		put(0)         // forgotten: it counts again
		put(files - 1) // not forgotten
		p := w.start(1)
		w.assign(p, []task.Key{{Name: task.Front}})
		wait(10 * time.Second)
		p.fleet.Stop()
		var head struct{ Part []byte }
		var part struct{ Seen []json.RawMessage }
		if err := errors.Join(json.Unmarshal(w.shelf(task.Front, 0).saved.Meta, &head), json.Unmarshal(head.Part, &part)); err != nil {
			t.Fatal(err)
		}
		if n, read := len(part.Seen), w.beat("front/0").Rows[0].Read; n != 4096 || read != files+1 {
			t.Errorf("%d files are remembered, %d lines read; want 4096 and %d", n, read, files+1)
		}
	})
}

// TestRejectsRoundTrip: what a line was made of does not change on the way.
func TestRejectsRoundTrip(t *testing.T) {
	p := newWorld(t, nil, 1, 1).start(1)
	p.w.calm.set()
	want := []ingest.Reject{
		{Pos: ingest.Position{Source: "s", File: 1<<64 - 1, Offset: 7}, Reason: ingest.HasNUL, Length: 5, Sample: "\x00\xff\"<"},
		{Pos: ingest.Position{Source: "t", Offset: 1 << 40}, Reason: ingest.TooLong, Length: 1 << 40, Sample: strings.Repeat("x", 3*ingest.SampleBytes)},
	}
	if err := errors.Join(p.topics.Rejects(t.Context(), nil), p.topics.Rejects(t.Context(), want)); err != nil {
		t.Fatal(err)
	}
	var got []ingest.Reject
	for q := range 3 {
		for _, m := range p.w.topic(task.TopicFindings, q).all() {
			list, err := task.DecodeRejects(m.Value)
			if err != nil || string(m.Header(task.HeaderKind)) != task.KindReject {
				t.Error(err, m.Headers)
			}
			got = append(got, list...)
		}
	}
	want[1].Sample = want[1].Sample[:ingest.SampleBytes]
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// FuzzDecode: whatever is in the findings topic, reading it ends with an error or with
// something bounded that can be written again and is then the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`[{"source":"s","file":1,"offset":2,"reason":3,"length":4,"sample":"AP8="}]`))
	f.Add([]byte(`[{"reason":255,"length":-1,"sample":null}]`))
	f.Add([]byte(`{"task":"front","partition":1,"rows":[{"source":"s","read":1}],"trouble":"t"}`))
	f.Add([]byte(`{"id":"a/1","lead":{"gateways":[{"name":"nginx"}],"decisions":{"x":1}},"rows":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if list, err := task.DecodeRejects(data); err == nil {
			for _, r := range list {
				if len(r.Sample) > ingest.SampleBytes || r.Reason.String() == "" {
					t.Errorf("%+v", r)
				}
			}
		}
		var b, b2 task.Beat
		again(t, data, &b, &b2)
		var p, p2 task.Process
		again(t, data, &p, &p2)
	})
}

func again[T any](t *testing.T, data []byte, v, v2 *T) {
	if !utf8.Valid(data) || json.Unmarshal(data, v) != nil {
		return
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v2); err != nil {
		t.Fatal(err)
	}
	if text2, _ := json.Marshal(v2); string(text2) != string(text) {
		t.Errorf("%s, then %s", text, text2)
	}
}
