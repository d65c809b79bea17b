package decode

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/enrich"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/identity"
)

// plan reads source "s" in the given format.
func plan(t testing.TB, spec string, o Options) *Plan {
	t.Helper()
	f, err := format.Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	ident := identity.Config{Key: [identity.KeyBytes]byte{1}, TrustedProxies: []string{"127.0.0.0/8"}}
	o.Routes = enrich.RoutesConfig{MaxTemplates: 100}
	return NewPlan(map[string]format.Format{"s": f}, ident, o)
}

func decoder(t testing.TB, p *Plan) *Decoder {
	t.Helper()
	d, err := p.New()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// told is what became of one line, in words: "12 GET /a" or "12 bad_shape 5".
func told(d *Decoder, b *ingest.Batch) []string {
	var out []string
	d.Decode(b, func(ev *ingest.Event) {
		out = append(out, fmt.Sprintf("%d %s %s %s", ev.Pos.Offset, ev.Client, ev.Method, ev.Target))
	}, func(r ingest.Reject) {
		out = append(out, fmt.Sprintf("%d %s %d", r.Pos.Offset, r.Reason, r.Length))
	})
	return out
}

func batch(data string) *ingest.Batch {
	return &ingest.Batch{Source: "s", File: 7, Offset: 100, Data: []byte(data)}
}

// line is one of nginx's combined format.
func line(client, request string) string {
	return client + ` - - [02/Mar/2026:10:00:00 +0000] "` + request + `" 200 5 "-" "app/1"`
}

func TestDecode(t *testing.T) {
	a, b := line("192.0.2.1", "GET /a HTTP/1.1"), line("192.0.2.2", "GET /b HTTP/1.1")
	n := len(a)
	for _, c := range []struct {
		name, data string
		want       []string
	}{
		{"nothing", "", nil},
		{"in order", a + "\n" + b + "\n", []string{"100 192.0.2.1 GET /a", fmt.Sprintf("%d 192.0.2.2 GET /b", 101+n)}},
		{"rejects between", a + "\njunk\n\n" + b + "\n", []string{"100 192.0.2.1 GET /a", fmt.Sprintf("%d bad_shape 4", 101+n),
			fmt.Sprintf("%d empty 0", 106+n), fmt.Sprintf("%d 192.0.2.2 GET /b", 107+n)}},
		{"carriage returns", a + "\r\n" + b + "\r\n", []string{"100 192.0.2.1 GET /a", fmt.Sprintf("%d 192.0.2.2 GET /b", 102+n)}},
		{"an empty line of them", "\r\n", []string{"100 empty 0"}},
		{"no newline at the end", a + "\n" + b, []string{"100 192.0.2.1 GET /a", fmt.Sprintf("%d 192.0.2.2 GET /b", 101+n)}},
		{"no address (a Unix socket is this machine)", line("unix:", "GET /a HTTP/1.1") + "\n" + line("host.example", "GET /a HTTP/1.1") + "\n" + line("1.2.3.456", "GET /a HTTP/1.1") + "\n",
			[]string{"100 127.0.0.1 GET /a", "175 bad_address 81", "257 bad_address 78"}},
		{"mapped is IPv4", line("::ffff:192.0.2.1", "GET /a HTTP/1.1") + "\n", []string{"100 192.0.2.1 GET /a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := told(decoder(t, plan(t, "nginx-combined", Options{})), batch(c.data))
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestLineIsAsWritten: evidence is the line without its end, and its position is
// that of its first byte.
func TestLineIsAsWritten(t *testing.T) {
	a := line("192.0.2.1", `GET /a\x22b HTTP/1.1`)
	decoder(t, plan(t, "nginx-combined", Options{})).Decode(batch(a+"\r\n"), func(ev *ingest.Event) {
		if ev.Line != a || ev.Target != `/a"b` || ev.Pos != (ingest.Position{Source: "s", File: 7, Offset: 100}) {
			t.Errorf("line %q, target %q, position %+v", ev.Line, ev.Target, ev.Pos)
		}
	}, func(r ingest.Reject) { t.Errorf("rejected: %+v", r) })
}

// TestSamplesAreCapped and owned: they outlive the batch.
func TestSamplesAreCapped(t *testing.T) {
	data := []byte(strings.Repeat("x", 5000) + "\n")
	var kept ingest.Reject
	decoder(t, plan(t, "nginx-combined", Options{})).Decode(&ingest.Batch{Source: "s", Data: data}, func(*ingest.Event) { t.Error("an event") }, func(r ingest.Reject) { kept = r })
	clear(data)
	if kept.Length != 5000 || kept.Sample != strings.Repeat("x", ingest.SampleBytes) {
		t.Errorf("length %d, sample %q", kept.Length, kept.Sample)
	}
}

// TestEveryLineIsOneOutcome: whatever the bytes, lines are neither lost nor
// doubled, and their positions are where they stand.
func TestEveryLineIsOneOutcome(t *testing.T) {
	good := line("192.0.2.1", "GET /a HTTP/1.1")
	rapid.Check(t, func(rt *rapid.T) {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{good, good, "", "junk", "\x00", "\r", good + "\r", line("-", "GET / HTTP/1.1"), strings.Repeat("y", 300)}), 1, 30).Draw(rt, "lines")
		data := strings.Join(lines, "\n")
		if rapid.Bool().Draw(rt, "ended") || lines[len(lines)-1] == "" {
			data += "\n"
		}
		var at []int64
		decoder(t, plan(t, "nginx-combined", Options{})).Decode(batch(data),
			func(ev *ingest.Event) { at = append(at, ev.Pos.Offset) }, func(r ingest.Reject) { at = append(at, r.Pos.Offset) })
		want := int64(100)
		if len(at) != len(lines) {
			rt.Fatalf("%d outcomes of %d lines", len(at), len(lines))
		}
		for i, l := range lines {
			if at[i] != want {
				rt.Fatalf("line %d stands at %d, told %d", i, want, at[i])
			}
			want += int64(len(l)) + 1
		}
	})
}

// TestTimesOfLinesWithoutOne: lines of a format without a time get the caller's,
// and are rejected where there is none.
func TestTimesOfLinesWithoutOne(t *testing.T) {
	const untimed = `nginx:$remote_addr "$request" $status`
	data := "192.0.2.1 \"GET /a HTTP/1.1\" 200\n"
	if got := told(decoder(t, plan(t, untimed, Options{})), batch(data)); !slices.Equal(got, []string{"100 bad_time 31"}) {
		t.Errorf("without a time from anywhere: %v", got)
	}
	p := plan(t, untimed, Options{NoTime: func() int64 { return 42e9 }})
	decoder(t, p).Decode(batch(data), func(ev *ingest.Event) {
		if ev.Time != 42e9 {
			t.Errorf("time %d, want the caller's", ev.Time)
		}
	}, func(r ingest.Reject) { t.Errorf("rejected: %+v", r) })
}

// TestClientIsVouched: only a trusted hop's chain is believed.
func TestClientIsVouched(t *testing.T) {
	d := decoder(t, plan(t, `nginx:$remote_addr [$time_local] "$request" $status "$http_x_forwarded_for"`, Options{}))
	for peer, want := range map[string]string{"127.0.0.1": "198.51.100.7", "192.0.2.1": "192.0.2.1"} {
		data := peer + ` [02/Mar/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200 "203.0.113.9, 198.51.100.7"` + "\n"
		if got := told(d, batch(data)); !slices.Equal(got, []string{"100 " + want + " GET /a"}) {
			t.Errorf("peer %s: %v, want client %s", peer, got, want)
		}
	}
}

// TestAutoIsSettledOnce, for all decoders, and said once.
func TestAutoIsSettledOnce(t *testing.T) {
	var mu sync.Mutex
	var said []string
	p := plan(t, "auto", Options{Say: func(source, name, why string) { mu.Lock(); said = append(said, source+" "+name); mu.Unlock() }})
	data := strings.Repeat(line("192.0.2.1", "GET /a HTTP/1.1")+"\n", 5)
	var wg sync.WaitGroup
	for range 4 {
		d := decoder(t, p)
		wg.Go(func() {
			for range 3 {
				if got := told(d, batch(data)); len(got) != 5 || got[0] != "100 192.0.2.1 GET /a" {
					t.Errorf("decoded %v", got)
				}
			}
		})
	}
	wg.Wait()
	if !slices.Equal(said, []string{"s nginx-combined"}) {
		t.Errorf("said %q, want the format found, once", said)
	}
}

// TestAutoStaysOpen until lines tell what it is: until then they are rejected.
func TestAutoStaysOpen(t *testing.T) {
	d := decoder(t, plan(t, "auto", Options{}))
	if got := told(d, batch("junk\nmore\n")); !slices.Equal(got, []string{"100 bad_shape 4", "105 bad_shape 4"}) {
		t.Errorf("before it is known: %v", got)
	}
	if got := told(d, batch(line("192.0.2.1", "GET /a HTTP/1.1")+"\n")); !slices.Equal(got, []string{"100 192.0.2.1 GET /a"}) {
		t.Errorf("afterwards: %v", got)
	}
}

// TestRouteNumbersAreShared: the same template has the same number in every
// decoder, whatever order they meet the routes in.
func TestRouteNumbersAreShared(t *testing.T) {
	p := plan(t, "nginx-combined", Options{})
	numbers := func(targets ...string) map[string]uint32 {
		got := map[string]uint32{}
		var data strings.Builder
		for _, target := range targets {
			data.WriteString(line("192.0.2.1", "GET "+target+" HTTP/1.1") + "\n")
		}
		decoder(t, p).Decode(batch(data.String()), func(ev *ingest.Event) { got[ev.Route] = ev.RouteID }, func(ingest.Reject) {})
		return got
	}
	a, b := numbers("/orders/1", "/users/2", "/health"), numbers("/health", "/orders/3", "/users/4")
	for route, id := range a {
		if id == 0 || b[route] != id {
			t.Errorf("%s: %d in one decoder, %d in the other", route, id, b[route])
		}
	}
	if len(a) != 3 || len(b) != 3 {
		t.Errorf("routes %v and %v, want three", a, b)
	}
}

func TestNewRefusesABadIdentity(t *testing.T) {
	p := NewPlan(nil, identity.Config{TrustedProxies: []string{"not a network"}, Key: [identity.KeyBytes]byte{1}}, Options{})
	if _, err := p.New(); err == nil || !strings.HasPrefix(err.Error(), "decode: ") {
		t.Errorf("error %v", err)
	}
}
