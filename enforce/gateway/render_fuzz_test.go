package gateway

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
)

// Each fuzz target renders entries on subjects that are called anything, and reads back what
// would be written by a parser that knows the format and nothing of the renderer: it must
// find just these entries.

// hostileAddresses are addresses as a log may have them.
var hostileAddresses = []string{"192.0.2.9", "192.0.2.64/26", "2001:db8:7::9", "2001:db8:7::/60", "fe80::1%eth0", "fe80::1%eth0;victim", "fe80::1%a\nb", "fe80::%\x00/64",
	"::ffff:192.0.2.9", "::ffff:192.0.2.0/120", "::ffff:0:0/90", "192.0.2.9/33", "0.0.0.0/0", "::/0", "192.0.2.9 ", "192.0.2.9;", "01.2.3.4"}

// fuzzRender seeds a target, and gives it the entries that a gateway holds of what is so
// called, normal as it would render them.
func fuzzRender(f *testing.F, g enforce.Gateway, normal func([]enforce.Entry) ([]enforce.Entry, error), check func(t *testing.T, list []enforce.Entry)) {
	for i, v := range enforcetest.HostileValues {
		f.Add(v, hostileAddresses[i%len(hostileAddresses)], byte(i))
	}
	for i, a := range hostileAddresses {
		f.Add("alice", a, byte(i/3))
	}
	f.Fuzz(func(t *testing.T, value, address string, turn byte) {
		list, err := normal(called(g, value, address, turn))
		if err != nil {
			t.Fatalf("it says that it can hold them, and does not: %v", err)
		}
		check(t, list)
	})
}

// called are entries on what is so called, each with the first action, from one that is
// chosen by turn, of which the gateway says that it holds it.
func called(g enforce.Gateway, value, address string, turn byte) (list []enforce.Entry) {
	add := func(e enforce.Entry) {
		e.Decision, e.Why, e.Rate, e.Burst = value, value, 2, 7
		for i := range 3 {
			e.Action = []enforce.Action{enforce.Block, enforce.Throttle, enforce.Revoke}[(int(turn)+i)%3]
			if enforce.Holds(g, e.Target(), e.Action) == nil {
				list = append(list, e)
				return
			}
		}
	}
	for _, kind := range []string{"consumer", "key", "session", "account"} {
		add(enforce.Entry{Subject: detect.Subject{Kind: kind, Value: value}})
		add(enforce.Entry{Subject: detect.Subject{Kind: kind, Value: "victim"}, Route: "/" + value})
	}
	for _, kind := range []string{"ip", "cidr"} {
		if p, err := enforce.Prefix(detect.Subject{Kind: kind, Value: address}); err == nil {
			add(enforce.Entry{Prefix: p})
			add(enforce.Entry{Prefix: p, Route: "/" + value})
		}
	}
	add(block("198.51.100.1/32"))
	return list
}

// found is what was read back: a target, and what happens to it.
type found map[enforce.Target]string

func (f found) add(t *testing.T, target enforce.Target, what string) {
	t.Helper()
	if had, twice := f[target]; twice {
		t.Fatalf("%v is there twice: %s, %s", target, had, what)
	}
	f[target] = what
}

// prefix adds an address or a prefix.
func (f found) prefix(t *testing.T, text, what string) {
	t.Helper()
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			t.Fatalf("an address %q: %v", text, err)
		}
		text = fmt.Sprintf("%s/%d", text, a.BitLen())
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p != p.Masked() {
		t.Fatalf("a prefix %q: %v", text, err)
	}
	f.add(t, enforce.Target{Prefix: p}, what)
}

func (f found) subject(t *testing.T, kind, value, what string) {
	t.Helper()
	f.add(t, enforce.Target{Subject: detect.Subject{Kind: kind, Value: value}}, what)
}

// want compares it with what was meant.
func (f found) want(t *testing.T, list []enforce.Entry) {
	t.Helper()
	meant := found{}
	for i := range list {
		meant.add(t, list[i].Target(), string(list[i].Action))
	}
	if !maps.Equal(f, meant) {
		t.Fatalf("read back\n%.2000q\nmeant\n%.2000q", fmt.Sprint(f), fmt.Sprint(meant))
	}
}

// strictly reads JSON that has these fields and no others.
func strictly(t *testing.T, text []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil || d.More() {
		t.Fatalf("%.300q: %v", text, err)
	}
}

func written(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// FuzzApacheRender reads maps as https://httpd.apache.org/docs/2.4/rewrite/rewritemap.html#txt
// says: a key, blanks, a value; # begins a comment.
func FuzzApacheRender(f *testing.F) {
	g, err := NewApache(ApacheConfig{Dir: "/d", Subjects: map[string]string{"consumer": "X-Consumer", "key": "X-Api-Key"}})
	if err != nil {
		f.Fatal(err)
	}
	fuzzRender(f, g, g.normal, func(t *testing.T, list []enforce.Entry) {
		names, covered := map[string]string{}, map[netip.Prefix]int{}
		for i := range list {
			if e := &list[i]; !e.Prefix.IsValid() {
				sum := sha1.Sum([]byte(e.Subject.Value))
				names[e.Subject.Kind+" "+hex.EncodeToString(sum[:])] = "not there"
			}
		}
		for file, text := range g.maps(list) {
			lines := bufio.NewScanner(strings.NewReader(text))
			for lines.Scan() {
				fields := strings.Fields(lines.Text())
				if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
					continue
				}
				kind := strings.TrimSuffix(strings.TrimPrefix(file, "portcullis-"), ".txt")
				switch {
				case len(fields) != 2 || fields[1] != "block":
					t.Fatalf("%s has a line %.200q", file, lines.Text())
				case kind == "address":
					covered[inApache(t, list, fields[0])]++
				case names[kind+" "+fields[0]] != "not there":
					t.Fatalf("%s has a key %.200q", file, fields[0])
				default:
					names[kind+" "+fields[0]] = "there"
				}
			}
		}
		for name, state := range names {
			if state != "there" {
				t.Fatalf("%s is %s", name, state)
			}
		}
		for i := range list {
			if p := list[i].Prefix; p.IsValid() && covered[p] == 0 {
				t.Fatalf("%s is not there", p)
			}
		}
	})
}

// inApache is the entry that a key of the map of addresses is a part of.
func inApache(t *testing.T, list []enforce.Entry, key string) netip.Prefix {
	t.Helper()
	a, err := netip.ParseAddr(key)
	bits := a.BitLen()
	if err != nil {
		if octets := strings.Count(key, ".") + 1; octets > 1 {
			a, err = netip.ParseAddr(key + strings.Repeat(".0", 4-octets))
			bits = octets * 8
		} else {
			a, err = netip.ParseAddr(key + "::")
			bits = (strings.Count(key, ":") + 1) * 16
		}
	}
	for i := range list {
		if p := list[i].Prefix; err == nil && p.IsValid() && bits >= p.Bits() && p.Contains(a) {
			return p
		}
	}
	t.Fatalf("a key %.200q, which no entry has: %v", key, err)
	return netip.Prefix{}
}

// everything is all that a side of somebody's own may be said to hold.
var everything = OwnKinds{Kinds: []string{"ip", "cidr", "consumer", "account", "key", "session"}, Actions: []string{"block", "throttle", "revoke"}, Routes: true}

// toldEntry is an entry as setup describes it to programs of others.
type toldEntry struct {
	ID, Kind, Value, Route, Action, Until string
	Rate                                  float64
	Burst                                 int
}

// add finds whom it is about.
func (e toldEntry) add(t *testing.T, back found) {
	t.Helper()
	target := enforce.Target{Subject: detect.Subject{Kind: e.Kind, Value: e.Value}, Route: e.Route}
	if e.Kind == "ip" || e.Kind == "cidr" {
		only := found{}
		only.prefix(t, e.Value, "")
		target.Subject, target.Prefix = detect.Subject{}, slices.Collect(maps.Keys(only))[0].Prefix
	}
	if (e.Action == "throttle") != (e.Rate == 2 && e.Burst == 7) || strings.Trim(e.ID, "0123456789abcdef") != "" {
		t.Fatalf("told as %+v", e)
	}
	back.add(t, target, e.Action)
}

// fuzzChange reads what a program or a service is told.
func fuzzChange(f *testing.F, g enforce.Gateway, normal func([]enforce.Entry) ([]enforce.Entry, error)) {
	type change struct {
		Version                 int
		Whole                   bool
		Entries, Added, Removed []toldEntry
	}
	fuzzRender(f, g, normal, func(t *testing.T, list []enforce.Entry) {
		whole, now, _ := changeTo(nil, list)
		more, _, _ := changeTo(map[enforce.Target]wireEntry{}, list)
		less, _, _ := changeTo(now, nil)
		for _, c := range []wireChange{whole, more, less} {
			var told change
			strictly(t, written(t, c), &told)
			back := found{}
			for _, e := range slices.Concat(told.Entries, told.Added, told.Removed) {
				e.add(t, back)
			}
			back.want(t, list)
		}
	})
}

func FuzzCommandRender(f *testing.F) {
	g, err := NewCommand(CommandConfig{Command: []string{"/bin/true"}, Timeout: time.Second, OwnKinds: everything})
	if err != nil {
		f.Fatal(err)
	}
	fuzzChange(f, g, g.normal)
}

func FuzzWebhookRender(f *testing.F) {
	g, err := NewWebhook(WebhookConfig{URL: "https://hook.example.org/", Secret: "s", Repeat: time.Hour, Timeout: time.Second, OwnKinds: everything})
	if err != nil {
		f.Fatal(err)
	}
	fuzzChange(f, g, g.normal)
}

// FuzzFileRender reads both formats, line by line.
func FuzzFileRender(f *testing.F) {
	objects, err := NewFile(FileConfig{Path: "/d/list", Format: "jsonl", OwnKinds: everything})
	if err != nil {
		f.Fatal(err)
	}
	addresses, err := NewFile(FileConfig{Path: "/d/list", Format: "addresses"})
	if err != nil {
		f.Fatal(err)
	}
	fuzzRender(f, objects, objects.normal, func(t *testing.T, list []enforce.Entry) {
		text, err := objects.render(list)
		if err != nil {
			t.Fatal(err)
		}
		back := found{}
		for line := range strings.Lines(text) {
			var e toldEntry
			strictly(t, []byte(line), &e)
			e.add(t, back)
		}
		back.want(t, list)
		plain := slices.DeleteFunc(slices.Clone(list), func(e enforce.Entry) bool { return addresses.Holds(e.Target(), e.Action) != nil })
		if text, err = addresses.render(plain); err != nil {
			t.Fatal(err)
		}
		back = found{}
		for line := range strings.Lines(text) {
			back.prefix(t, strings.TrimSuffix(line, "\n"), "block")
		}
		back.want(t, plain)
	})
}

// TestEveryRendererIsFuzzed: a kind of gateway without a fuzz target of its name is not done.
func TestEveryRendererIsFuzzed(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var targets string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func Fuzz(\w+)\(f \*testing\.F\)`).FindAllStringSubmatch(string(text), -1) {
			targets += " " + strings.ToLower(m[1])
		}
	}
	for _, kind := range Names() {
		name := strings.TrimSuffix(strings.ReplaceAll(kind, "-", ""), "revoke")
		if !regexp.MustCompile(` ` + name + `(render|changes)\b`).MatchString(targets) {
			t.Errorf("%s: there is no Fuzz%sRender; there are%s", kind, name, targets)
		}
	}
}
