package detect

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Member is one of those who together are the subject of a finding: a client of a
// fleet that attacks a route, an account that is sprayed.
type Member struct {
	Subject Subject
	Score   float64 // 0 to 1: how sure it is that it takes part
	Count   int64   // its requests that count
}

// MaxMembers bounds the members that a finding lists; those with the lowest score are
// left out.
const MaxMembers = 16384

// maxMemberValue caps a member's name, which a client may write.
const maxMemberValue = 128

// PackMembers ranks members, the surest first, and packs them into one string, so that
// a Finding stays comparable. Scores keep three digits; what is no UTF-8 in a name is
// replaced.
func PackMembers(list []Member) string {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Member) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Count, a.Count),
			cmp.Compare(a.Subject.Kind, b.Subject.Kind), cmp.Compare(a.Subject.Value, b.Subject.Value))
	})
	var out []byte
	for _, m := range list[:min(len(list), MaxMembers)] {
		out = append(out, m.Subject.Kind...)
		out = append(out, ' ')
		out = strconv.AppendFloat(out, m.Score, 'f', 3, 64)
		out = append(out, ' ')
		out = strconv.AppendInt(out, m.Count, 10)
		out = append(out, ' ')
		out = append(out, memberValue(m.Subject.Value)...)
		out = append(out, '\n')
	}
	return string(out)
}

// memberValue is a name that has no line break and reads back as it is, unless it is
// odd: then it is quoted.
func memberValue(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxMemberValue)], "\uFFFD")
	if q := strconv.Quote(s); s == "" || q != `"`+s+`"` {
		return q
	}
	return s
}

// MemberList unpacks Members. Lines that are none are left out.
func (f *Finding) MemberList() []Member {
	var out []Member
	for line := range strings.Lines(f.Members) {
		if m, ok := parseMember(strings.TrimSuffix(line, "\n")); ok {
			out = append(out, m)
		}
	}
	return out
}

func parseMember(line string) (Member, bool) {
	kind, rest, _ := strings.Cut(line, " ")
	score, rest, _ := strings.Cut(rest, " ")
	count, value, ok := strings.Cut(rest, " ")
	if !ok || kind == "" {
		return Member{}, false
	}
	m := Member{Subject: Subject{Kind: kind, Value: value}}
	var err error
	if m.Score, err = strconv.ParseFloat(score, 64); err != nil {
		return Member{}, false
	}
	if m.Count, err = strconv.ParseInt(count, 10, 64); err != nil {
		return Member{}, false
	}
	if strings.HasPrefix(value, `"`) {
		if m.Subject.Value, err = strconv.Unquote(value); err != nil {
			return Member{}, false
		}
	}
	return m, true
}

// MemberJSON is a member as output and documents show it.
type MemberJSON struct {
	Kind  string  `json:"kind"`
	Value string  `json:"value"`
	Score float64 `json:"score"`
	Count int64   `json:"count"`
}

// MembersJSON is the list of members of the output contract, nil if there are none.
func (f *Finding) MembersJSON() []MemberJSON {
	list := f.MemberList()
	if list == nil {
		return nil
	}
	out := make([]MemberJSON, len(list))
	for i, m := range list {
		out[i] = MemberJSON{m.Subject.Kind, m.Subject.Value, m.Score, m.Count}
	}
	return out
}

// SetMembers is the inverse of MembersJSON.
func (f *Finding) SetMembers(list []MemberJSON) {
	members := make([]Member, len(list))
	for i, m := range list {
		members[i] = Member{Subject{m.Kind, m.Value}, m.Score, m.Count}
	}
	f.Members = PackMembers(members)
}
