package enforce

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/portcullis/portcullis/detect"
)

// selector names subjects: by prefix, or by kind and value.
type selector struct {
	prefix  netip.Prefix // valid for addresses
	subject detect.Subject
}

// subjectKinds are the kinds that a person may name as kind:value. An IPv6
// address holds colons too, hence the list.
var subjectKinds = [...]string{"ip", "cidr", "consumer", "account", "key", "session", "fingerprint", "asn", "country", "route", "class", "campaign"}

func newSelector(s string) (selector, error) {
	s = strings.TrimSpace(s)
	kind, value, ok := strings.Cut(s, ":")
	for _, k := range subjectKinds {
		if !ok || kind != k || value == "" {
			continue
		}
		if k == "ip" || k == "cidr" {
			return newSelector(value)
		}
		return selector{subject: detect.Subject{Kind: kind, Value: value}}, nil
	}
	p, err := parsePrefix(s)
	if err != nil {
		return selector{}, fmt.Errorf("enforce: %s is neither an address, a prefix nor kind:value such as consumer:alice", quoted(s))
	}
	return selector{prefix: p}, nil
}

func newSelectors(list []string) ([]selector, error) {
	out := make([]selector, 0, len(list))
	for _, s := range list {
		sel, err := newSelector(s)
		if err != nil {
			return nil, err
		}
		out = append(out, sel)
	}
	return out, nil
}

// matches reports whether acting on the subject would touch the selected.
func (s selector) matches(sub detect.Subject) bool {
	if s.subject != (detect.Subject{}) {
		return s.subject == sub
	}
	p, err := Prefix(sub)
	return err == nil && s.prefix.Overlaps(p)
}

// String is the form in which the selector is kept.
func (s selector) String() string {
	if s.subject != (detect.Subject{}) {
		return s.subject.Kind + ":" + s.subject.Value
	}
	if s.prefix.IsSingleIP() {
		return s.prefix.Addr().String()
	}
	return s.prefix.String()
}
