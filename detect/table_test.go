package detect

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

const testSeed = 0x1234_5678_9abc_def0

func TestKey(t *testing.T) {
	for _, c := range []struct{ addr, kind, value, prefix string }{
		{"192.0.2.7", "ip", "192.0.2.7", "192.0.2.7/32"},
		{"::ffff:192.0.2.7", "ip", "192.0.2.7", "192.0.2.7/32"},
		{"0.0.0.0", "ip", "0.0.0.0", "0.0.0.0/32"},
		{"255.255.255.255", "ip", "255.255.255.255", "255.255.255.255/32"},
		{"2001:db8:1:2:3:4:5:6", "cidr", "2001:db8:1:2::/64", "2001:db8:1:2::/64"},
		{"2001:db8:1:2::", "cidr", "2001:db8:1:2::/64", "2001:db8:1:2::/64"},
		{"2001:db8:1:3::1", "cidr", "2001:db8:1:3::/64", "2001:db8:1:3::/64"},
		{"::1", "cidr", "::/64", "::/64"},
		{"fe80::1%eth0", "cidr", "fe80::/64", "fe80::/64"},
	} {
		k := keyOf(netip.MustParseAddr(c.addr))
		if got := k.subject(); got != (Subject{c.kind, c.value}) {
			t.Errorf("%s: subject %v, want %s %s", c.addr, got, c.kind, c.value)
		}
		if got := k.prefix().String(); got != c.prefix {
			t.Errorf("%s: prefix %s, want %s", c.addr, got, c.prefix)
		}
	}
}

// TestKeyCoversItsAddress: the prefix holds the address, and equal prefixes mean
// equal keys.
func TestKeyCoversItsAddress(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string) netip.Addr {
			b := [16]byte(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0xff}), 16, 16).Draw(rt, name))
			a := netip.AddrFrom16(b)
			if rapid.Bool().Draw(rt, "unmap") {
				a = a.Unmap()
			}
			return a
		}
		a, b := draw("a"), draw("b")
		ka, kb := keyOf(a), keyOf(b)
		if !ka.prefix().Contains(a.Unmap()) {
			rt.Fatalf("%v is not in its own prefix %v", a, ka.prefix())
		}
		if (ka == kb) != (ka.prefix() == kb.prefix()) {
			rt.Fatalf("%v and %v: keys equal %v, prefixes %v and %v", a, b, ka == kb, ka.prefix(), kb.prefix())
		}
		if ka == kb && ka.hash(testSeed) != kb.hash(testSeed) {
			rt.Fatalf("%v and %v have one key and two hashes", a, b)
		}
	})
}

// TestShardsAreEven: the seed moves clients between shards, and neighbouring
// addresses spread over all of them.
func TestShardsAreEven(t *testing.T) {
	for _, seed := range []uint64{0, 7, testSeed} {
		var v4, v6 [Shards]int
		for i := range 64 * Shards {
			v4[key{lo: v4Mark | uint64(0x0a000000+i)}.hash(seed)>>56]++
			v6[key{hi: 0x20010db8<<32 | uint64(i)}.hash(seed)>>56]++
		}
		for n := range Shards {
			if v4[n] < 16 || v4[n] > 160 || v6[n] < 16 || v6[n] > 160 {
				t.Errorf("seed %x: shard %d has %d IPv4 and %d IPv6 clients; 64 would be even", seed, n, v4[n], v6[n])
			}
		}
	}
	a := key{lo: v4Mark | 0x0a000001}
	if a.hash(1) == a.hash(2) {
		t.Error("the seed does not change the hash")
	}
}

// tableTwin drives a table and a map side by side. Keys come from a small space,
// so that they come again after they were removed.
type tableTwin struct {
	table   table
	clients []client
	free    []Slot
	twin    map[key]Slot
	hash    func(key) uint64
	seed    uint64
}

func newTableTwin() *tableTwin {
	return &tableTwin{table: newTable(1), twin: map[key]Slot{}, seed: testSeed, hash: func(k key) uint64 { return k.hash(testSeed) }}
}

func (x *tableTwin) step(k key) {
	h := x.hash(k)
	if s, known := x.twin[k]; known {
		x.table.remove(h, s)
		x.clients[s] = client{}
		x.free = append(x.free, s)
		delete(x.twin, k)
		return
	}
	var s Slot
	if n := len(x.free); n > 0 {
		s, x.free = x.free[n-1], x.free[:n-1]
	} else {
		s = Slot(len(x.clients))
		x.clients = append(x.clients, client{})
	}
	x.clients[s] = client{key: k, flags: flagLive}
	x.table.insert(h, s, x.clients, x.seed)
	x.twin[k] = s
}

// check looks every key of the space up, present or not.
func (x *tableTwin) check(fatal func(string, ...any), space []key) {
	if x.table.live != len(x.twin) {
		fatal("%d live, want %d", x.table.live, len(x.twin))
	}
	if x.table.used < x.table.live || x.table.used >= len(x.table.entries) {
		fatal("%d used of %d entries with %d live", x.table.used, len(x.table.entries), x.table.live)
	}
	for _, k := range space {
		s, ok := x.table.find(x.hash(k), k, x.clients)
		want, known := x.twin[k]
		if ok != known || ok && s != want {
			fatal("find(%v) = %d %v, want %d %v", k, s, ok, want, known)
		}
	}
}

func TestTableTwin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := newTableTwin()
		var space []key
		for i := range rapid.SampledFrom([]int{10, 60, 400}).Draw(rt, "keys") {
			space = append(space, key{hi: uint64(i) << 40}, key{lo: v4Mark | uint64(i)})
		}
		pick := rapid.IntRange(0, len(space)-1)
		for _, i := range rapid.SliceOfN(pick, 0, 1500).Draw(rt, "steps") {
			x.step(space[i])
		}
		x.check(rt.Fatalf, space)
		if most := 64 + 4*len(space); len(x.table.entries) > most {
			rt.Fatalf("%d entries for at most %d keys: tombstones were not cleared away", len(x.table.entries), len(space))
		}
	})
}

func FuzzTable(f *testing.F) {
	f.Add([]byte{1, 2, 3, 1, 2, 3})
	f.Add([]byte("the quick brown fox jumps over the lazy dog"))
	var space []key
	for i := range 256 {
		space = append(space, key{hi: uint64(i)})
	}
	f.Fuzz(func(t *testing.T, steps []byte) {
		x := newTableTwin()
		for _, b := range steps {
			x.step(space[b])
		}
		x.check(t.Fatalf, space)
	})
}
