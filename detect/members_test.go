package detect_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect"
)

// TestMembersRankAndReadBack: the surest come first whatever the order they are given
// in, names a client wrote stay on their line, and packing again changes nothing.
func TestMembersRankAndReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []detect.Member
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			list = append(list, detect.Member{
				Subject: detect.Subject{Kind: rapid.SampledFrom([]string{"ip", "cidr", "account"}).Draw(t, "kind"), Value: rapid.String().Draw(t, "value")},
				Score:   float64(rapid.IntRange(0, 1000).Draw(t, "score")) / 1000,
				Count:   rapid.Int64Range(0, 1e6).Draw(t, "count"),
			})
		}
		f := detect.Finding{Members: detect.PackMembers(list)}
		got := f.MemberList()
		if len(got) != len(list) || strings.Count(f.Members, "\n") != len(list) {
			t.Fatalf("%d members packed, %d read, from %q", len(list), len(got), f.Members)
		}
		for i := 1; i < len(got); i++ {
			if got[i].Score > got[i-1].Score {
				t.Fatalf("member %d is surer than the one before: %v", i, got)
			}
		}
		var again detect.Finding
		again.SetMembers(f.MembersJSON())
		if packed := detect.PackMembers(rapid.Permutation(got).Draw(t, "order")); packed != f.Members || again.Members != f.Members {
			t.Fatalf("packed again in another order: %q, by JSON %q, first %q", packed, again.Members, f.Members)
		}
	})
}

// TestMembersAreBounded: the least sure are left out, and the whole fits a message.
func TestMembersAreBounded(t *testing.T) {
	list := make([]detect.Member, detect.MaxMembers+1)
	for i := range list {
		list[i] = detect.Member{Subject: detect.Subject{Kind: "cidr", Value: "2001:db8:ffff:ffff::/64"}, Score: float64(i%1000) / 1000, Count: int64(i)}
	}
	f := detect.Finding{ID: "x", Rule: "r", Subject: detect.Subject{Kind: "route", Value: "/login"}, Members: detect.PackMembers(list)}
	if got := f.MemberList(); len(got) != detect.MaxMembers || got[len(got)-1].Score != 0 || got[0].Score != 0.999 {
		t.Errorf("%d members, from %v to %v", len(got), got[0], got[len(got)-1])
	}
	wire, err := detect.EncodeFinding(&f)
	if err != nil {
		t.Fatal(err)
	}
	back, err := detect.DecodeFinding(wire)
	if err != nil || back != f {
		t.Errorf("a finding of %d bytes does not come back from the wire: %v", len(wire), err)
	}
}

// TestMembersInOutput: the contract's members[], ranked; left out where there are none.
func TestMembersInOutput(t *testing.T) {
	f := detect.Finding{Rule: "r", Members: detect.PackMembers([]detect.Member{
		{Subject: detect.Subject{Kind: "ip", Value: "192.0.2.1"}, Score: 0.5, Count: 3},
		{Subject: detect.Subject{Kind: "account", Value: "a\nb"}, Score: 0.75, Count: 1},
	})}
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	want := `"members":[{"kind":"account","value":"a\nb","score":0.75,"count":1},{"kind":"ip","value":"192.0.2.1","score":0.5,"count":3}]`
	if !strings.Contains(string(text), want) {
		t.Errorf("%s\nhas not\n%s", text, want)
	}
	f.Members = "broken\nip x 1 a\nip 1 x a\nip 1 1 \"a\n 1 1 a\n"
	if got := f.MembersJSON(); got != nil {
		t.Errorf("members of broken lines: %v", got)
	}
}
