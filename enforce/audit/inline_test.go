package audit

import (
	"strings"
	"testing"

	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// TestInline: what a gateway leaves to Portcullis is judged by its settings, where they are
// known; a decision service of another make is judged by what the gateway says.
func TestInline(t *testing.T) {
	f := doc.NewFile("x", []byte("ask\na\nb\nc\n"))
	full := &Inline{Addresses: []string{"127.0.0.1:8471"}, Inspects: true, Needs: func(path string) bool { return path != "/docs" },
		Limits: []InlineLimit{{Rate: 20}, {Route: "/login", Rate: 0.2}}}
	slack := &Inline{Addresses: []string{"127.0.0.1:8471"}, Limits: []InlineLimit{{Route: "/login", Rate: 30}}}
	const bare = "docs-public /docs, auth-missing /v1, limit-missing /v1, limit-missing /docs, limit-login /login, inspection-missing /docs" // the last is one for all, at one place
	for _, c := range []struct {
		name  string
		asks  Asked
		in    *Inline
		found string
		blind int
	}{
		{"settings are known", Asked{Portcullis: true}, full, "docs-public /docs", 0},
		{"by the address", Asked{Address: "127.0.0.1:8471"}, full, "docs-public /docs", 0},
		{"settings that do little", Asked{Portcullis: true}, slack, bare, 0},
		{"settings are not known", Asked{Portcullis: true}, nil, "", 1},
		{"another service", Asked{Address: "127.0.0.1:9000"}, full, "limit-missing /login, limit-missing /v1, limit-missing /docs", 0},
		{"another service, no settings", Asked{Address: "127.0.0.1:8471"}, nil, "limit-missing /login, limit-missing /v1, limit-missing /docs", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := NewConfig("test")
			conf.options.Inline = c.in
			c.asks.At = f.At(0, 3)
			for i, path := range []string{"/login", "/v1", "/docs"} {
				at := f.At(4+2*i, 5+2*i)
				conf.Add(&Route{Name: path, Path: path, At: at, Forwards: true, Asks: c.asks,
					Auth: Fact{State: Good, At: c.asks.At}, Inspects: Fact{State: Good, At: c.asks.At}, Limit: Limit{State: Bad, At: at}})
			}
			r := Audit(conf)
			have, want := map[string]bool{}, map[string]bool{}
			for _, f := range r.Findings {
				have[f.Check.ID+" "+f.Subject] = true
			}
			for name := range strings.SplitSeq(c.found, ", ") {
				if want[name] = name != ""; want[name] && !have[name] {
					t.Errorf("%s is not found", name)
				}
			}
			for name := range have {
				if !want[name] {
					t.Errorf("%s is found", name)
				}
			}
			if len(r.Blind) != c.blind {
				t.Errorf("not judged: %q", r.Blind)
			}
		})
	}
}
