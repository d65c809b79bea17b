package detect_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// summed is a rule that says of every subject and hour all that level two was told.
type summed struct {
	env   *detect.Env
	state *detect.Sparse[[]hour]
}

type hour struct {
	start                    int64
	n, good, people          int64
	requests, refused, bytes int64
	uses, first, last        int64
	low, high                uint64
	clients, ids             window.Crowd
}

func (h *hour) code(k *window.Codec) {
	for _, p := range []*int64{&h.start, &h.n, &h.good, &h.people, &h.requests, &h.refused, &h.bytes, &h.uses, &h.first, &h.last} {
		k.I64(p)
	}
	k.U64(&h.low)
	k.U64(&h.high)
	h.clients.Code(k)
	h.ids.Code(k)
}

func (r *summed) at(slot detect.Slot, sec int64) *hour {
	start := detect.WindowOf(sec)
	r.env.Wake(slot, start/1e9+detect.FindingWindow-1)
	list := r.state.At(slot)
	i := slices.IndexFunc(*list, func(h hour) bool { return h.start == start })
	if i < 0 {
		i = len(*list)
		*list = append(*list, hour{start: start, first: 1 << 62, low: 1 << 62})
	}
	return &(*list)[i]
}

func (r *summed) Observe(ev *ingest.Event, slot detect.Slot) {
	h := r.at(slot, ev.Time/1e9)
	h.n++
	h.good += r.env.Known().Successes
	h.people += r.env.Known().People
	h.bytes += int64(len(ev.Agent) + len(ev.Target) + len(ev.Consumer) + int(ev.Kind))
}

func (r *summed) Load(l *detect.Load, slot detect.Slot) {
	h := r.at(slot, l.Bucket)
	h.requests += l.Requests
	h.refused += l.Refused
	h.clients.Merge(&l.Clients)
}

func (r *summed) Use(u *detect.Use, slot detect.Slot) {
	h := r.at(slot, u.Bucket)
	h.uses += u.N
	h.first, h.last = min(h.first, u.First), max(h.last, u.Last)
	if h.high = max(h.high, u.High); u.High > 0 {
		h.low = min(h.low, u.Low)
	}
	h.ids.Merge(&u.IDs)
	h.clients.Add(u.Agent)
}

func (r *summed) Close(slot detect.Slot, sec int64) {
	list := r.state.Get(slot)
	if list == nil {
		return
	}
	i := slices.IndexFunc(*list, func(h hour) bool { return h.start == detect.WindowOf(sec) })
	if i < 0 {
		return
	}
	h := &(*list)[i]
	r.env.Report(slot, detect.Finding{Window: h.start, FiredAt: sec * 1e9, Count: h.n + h.requests + h.uses,
		Why: fmt.Sprintf("%d of good %d people %d, %d requests %d refused %d bytes, uses from %d to %d ids %d of %d to %d, %d clients",
			h.n, h.good, h.people, h.requests, h.refused, h.bytes, h.first, h.last, h.ids.Estimate(), h.low, h.high, h.clients.Estimate())})
}

// levels are rules by every wider subject.
func levels() []detect.RuleConfig {
	var list []detect.RuleConfig
	for by, concern := range map[detect.By]detect.Concern{
		detect.ByAccount: detect.Credentials, detect.ByNetwork: detect.Refused | detect.ServerError, detect.ByRoute: detect.Fresh,
		detect.ByIdentity: detect.ClientError, detect.ByASN: detect.Any, detect.ByGlobal: detect.Suspicious,
	} {
		list = append(list, detect.RuleConfig{Name: "by " + by.String(), Spec: detect.Spec{By: by, Family: detect.API, Concern: concern,
			New: func(env *detect.Env, _ any) (detect.Rule, error) {
				r := &summed{env: env}
				r.state = detect.NewSparse(env, func(h *[]hour, k *window.Codec) {
					if n := k.Len(len(*h)); k.Reading() {
						*h = make([]hour, n)
					}
					for i := range *h {
						(*h)[i].code(k)
					}
				})
				return r, nil
			}}})
	}
	return list
}

func levelConfig(t testing.TB, log detecttest.Log) detect.Config {
	cfg := detecttest.Config(t, detecttest.Setup{Late: 30}, log)
	cfg.Rules = levels()
	return cfg
}

// known gives the events of a stream somebody who calls, a network and a system.
func known(log detecttest.Log) detecttest.Log {
	for i := range log {
		ev := &log[i]
		ev.ASN = 64496 + uint32(i%3)
		ev.Country = [2]byte{'A', byte('A' + i%3)}
		ev.Duration, ev.BytesOut = int64(i)*1000, int64(i)
		if i%3 == 0 {
			ev.Consumer, ev.Key = "shop", fmt.Sprint("k", i%4)
		}
		if i%7 == 0 {
			ev.Status = 502
		}
		if ev.Route == "/items/{id}" {
			ev.Target = fmt.Sprintf("/items/%d", i)
		}
	}
	return log
}

func runLevels(t testing.TB, log detecttest.Log, change func(*detect.Config)) map[string]detect.Finding {
	cfg := levelConfig(t, log)
	if change != nil {
		change(&cfg)
	}
	e, err := detect.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	feed(e, 0, len(log))
	return detecttest.ByID(nil, e.Finish().Findings)
}

// runApart runs level one as several engines and level two as several parts.
func runApart(t testing.TB, log detecttest.Log, engines, parts int) map[string]detect.Finding {
	logs := make([]detecttest.Log, engines)
	for _, ev := range log {
		b := ev.Client.As16()
		n := int(b[15]) % engines
		if ev.Client.Is6() {
			n = 0 // one /64
		}
		logs[n] = append(logs[n], ev)
	}
	wides := make([]*detect.Wide, parts)
	for i := range wides {
		var err error
		if wides[i], err = detect.NewWide(levelConfig(t, nil), engines); err != nil {
			t.Fatal(err)
		}
	}
	for n, l := range logs {
		cfg := levelConfig(t, l)
		cfg.Forward = true
		e, err := detect.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		send := func() {
			p := e.Partials()
			if p == nil {
				return
			}
			for i, part := range p.Split(parts) {
				got, err := detect.ParsePartials(part.Append(nil))
				if err == nil {
					err = wides[i].Feed(n, got)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := 0; i < len(l); i += 40 {
			b := detecttest.Batch(i, min(i+40, len(l)))
			b.Newest = l[b.Mark.Offset-1].Time / 1e9 // as a collector says that it saw the whole stream
			e.Feed(b)
			send()
		}
		e.Advance(log[len(log)-1].Time / 1e9)
		e.Finish()
		send()
		e.Close()
	}
	found := map[string]detect.Finding{}
	for _, w := range wides {
		detecttest.ByID(found, w.Findings())
	}
	return found
}

// TestLevelsAgree: what level two is told of accounts, networks, routes, identities,
// systems and the whole is the same in any order, with several workers, after a restart
// in the middle, and where it is in other processes.
func TestLevelsAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		log := known(detecttest.Stream(rt))
		want := runLevels(t, log, nil)
		check := func(what string, got map[string]detect.Finding) {
			if d := detecttest.Diff(want, got); d != "" {
				rt.Fatalf("%s:\n%s", what, d)
			}
		}
		check("shuffled", runLevels(t, detecttest.Shuffle(rt, log, 29), nil))
		check("three workers", runLevels(t, log, func(c *detect.Config) { c.Workers = 3 }))
		check("in two processes and three", runApart(t, log, 2, 3))

		cfg := levelConfig(t, log)
		first, err := detect.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		cut := rapid.IntRange(0, len(log)).Draw(rt, "cut")
		feed(first, 0, cut)
		s := first.Snapshot()
		first.Close()
		second, err := detect.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		if err := second.Restore(s); err != nil {
			rt.Fatal(err)
		}
		feed(second, cut, len(log))
		got := detecttest.ByID(nil, s.Findings)
		maps.Copy(got, detecttest.ByID(nil, second.Finish().Findings))
		check("restored", got)
	})
}

// TestLevelsSubjects: whom the findings of each level are about.
func TestLevelsSubjects(t *testing.T) {
	ev := refused(start, "192.0.2.77")
	ev.User, ev.Consumer, ev.Key, ev.ASN, ev.Target = "ann", "shop", "key:1", 64496, "/login?x=' OR 1=1--"
	ev.BytesOut = detect.TellingBytes // else level two is not told
	in, six := ev, plain(start+1, "2001:db8:1:2::3")
	in.Status, in.Session, in.Time = 204, "sess:9", ev.Time+1e9
	six.Status, six.Agent = 503, ""
	log := logOf([]ingest.Event{ev, in, six})
	got := map[string]int64{}
	for _, f := range runLevels(t, log, nil) {
		got[f.Rule+": "+f.Subject.Kind+" "+f.Subject.Value] += f.Count
	}
	want := map[string]int64{
		"by account: account ann": 2, "by network: cidr 192.0.2.0/24": 1, "by network: cidr 2001:db8:1::/48": 1,
		"by route: route /login": 4, "by route: route /items/{id}": 2, "by autonomous system: asn AS64496": 2, "by all traffic: global all": 5,
		"by identity: consumer shop": 3, "by identity: key key:1": 1, "by identity: session sess:9": 1, "by identity: account ann": 1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("findings\n%v\nwant\n%v", got, want)
	}
}

// TestObjectID: what stands for the last open place of a template.
func TestObjectID(t *testing.T) {
	for _, c := range [][3]string{
		{"/orders/{id}", "/orders/4711", "4711"}, {"/orders/{id}", "/orders/4711?x=/1", "4711"}, {"/orders/{id}/items", "/orders/7/items", "7"},
		{"/a/{id}/b/{id}", "/a/1/b/2", "2"}, {"/orders", "/orders", ""}, {"/a/{id}", "/", ""}, {"/a/{id}/b/{id}", "/a/1", ""}, {"", "/x", ""},
	} {
		if got := detect.ObjectID(c[0], c[1]); got != c[2] {
			t.Errorf("%s of %s: %q, want %q", c[1], c[0], got, c[2])
		}
	}
}
