package gateway

import (
	"net"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/enforce/enforcetest"
)

// saboteur is what a test can do to any of the gateways, and what it does to this one.
func (r *rig) saboteur(edit, corrupt func(t testing.TB), hang func(t testing.TB) func()) enforcetest.Saboteur {
	return enforcetest.Saboteur{Edit: edit, Corrupt: corrupt, Hang: hang,
		Kill: func(testing.TB) func() { r.stop(); return r.start },
		Honest: func(testing.TB) func() (int64, int64) {
			stop := r.honest()
			return func() (int64, int64) {
				bad, dropped, all := stop()
				if r.drops {
					dropped = 0
				}
				return bad + dropped, all
			}
		}}
}

// silent listens where nobody ever answers, until close.
func silent(t testing.TB, network, addr string) (at string, close func()) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return l.Addr().String(), func() { _ = l.Close() }
}

// hanging has a client of an API speak to one who never answers.
func hanging(base *string) func(t testing.TB) func() {
	return func(t testing.TB) func() {
		was := *base
		at, close := silent(t, "tcp", "127.0.0.1:0")
		*base = "http://" + at
		return func() { *base = was; close() }
	}
}

// replaced is a change of one address for another in a file, made as an editor does.
func replaced(path, from, to string) func(t testing.TB) {
	return func(t testing.TB) {
		t.Helper()
		text := readString(t, path)
		if !strings.Contains(text, from) {
			t.Fatalf("%s has no %s", path, from)
		}
		if err := writeAtomic(path, []byte(strings.ReplaceAll(text, from, to))); err != nil {
			t.Fatal(err)
		}
	}
}
