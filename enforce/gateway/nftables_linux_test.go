package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
)

// netspace is a network namespace of a test's own, with a server in it. What happens in it
// happens on one thread.
type netspace struct {
	t     testing.TB
	fd    int
	do    chan func()
	addr4 string
	addr6 string
	ours  map[netip.Addr]bool // addresses of its loopback interface
}

// newNetspace needs root, and skips loudly without.
func newNetspace(t testing.TB) *netspace {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("network namespaces need root: run this test as root")
		}
		t.Skip("SKIPPED, a network namespace needs root: run it as root, or leave it out (-short)")
	}
	n := &netspace{t: t, do: make(chan func()), ours: map[netip.Addr]bool{}}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		ready <- err
		for f := range n.do {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	n.ip("link", "set", "lo", "up")
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	for _, a := range []struct {
		listen string
		addr   *string
	}{{"127.0.0.1:0", &n.addr4}, {"[::1]:0", &n.addr6}} {
		var l net.Listener
		n.inside(func() (err error) {
			l, err = net.Listen("tcp", a.listen)
			return err
		})
		*a.addr = l.Addr().String()
		go func() { _ = server.Serve(l) }()
	}
	t.Cleanup(func() {
		_ = server.Close()
		close(n.do)
		_ = unix.Close(n.fd)
	})
	return n
}

// inside runs something on the thread that is in the namespace.
func (n *netspace) inside(f func() error) {
	n.t.Helper()
	done := make(chan error)
	n.do <- func() { done <- f() }
	if err := <-done; err != nil {
		n.t.Fatal(err)
	}
}

// ip runs ip(8) in the namespace.
func (n *netspace) ip(args ...string) {
	n.t.Helper()
	n.inside(func() error {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
		return nil
	})
}

// status is 200 when the server answers a client, and 403 when the connection is refused or
// swallowed.
func (n *netspace) status(_ testing.TB, client netip.Addr) (status int) {
	n.t.Helper()
	if !n.ours[client] {
		n.ours[client] = true
		n.ip("addr", "add", netip.PrefixFrom(client, client.BitLen()).String(), "dev", "lo", "nodad")
	}
	to := n.addr4
	if client.Is6() {
		to = n.addr6
	}
	n.inside(func() error {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(client, 0)), Timeout: 400 * time.Millisecond}
		conn, err := d.Dial("tcp", to)
		var timeout net.Error
		for try := 0; try < 2 && errors.As(err, &timeout) && timeout.Timeout(); try++ {
			conn, err = d.Dial("tcp", to) // a new IPv6 address takes a moment to be routed
		}
		switch {
		case errors.Is(err, unix.ECONNREFUSED), errors.As(err, &timeout) && timeout.Timeout():
			status = 403
			return nil
		case err != nil:
			return err
		}
		defer conn.Close()
		if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			return err
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		status = resp.StatusCode
		return resp.Body.Close()
	})
	return status
}

func (n *netspace) gateway(cfg NftablesConfig) *Nftables {
	n.t.Helper()
	cfg.Table, cfg.netns = "portcullis", n.fd
	g, err := NewNftables(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	return g
}

func (n *netspace) want(status int, clients ...string) {
	n.t.Helper()
	for _, c := range clients {
		if got := n.status(n.t, netip.MustParseAddr(c)); got != status {
			n.t.Errorf("client %s got %d, want %d", c, got, status)
		}
	}
}

// change does something to the gateway's table.
func (n *netspace) change(g *Nftables, do func(c *nftables.Conn, table *nftables.Table) error) {
	n.t.Helper()
	c, err := g.dial()
	if err != nil {
		n.t.Fatal(err)
	}
	err = do(c, &nftables.Table{Family: nftables.TableFamilyINet, Name: "portcullis"})
	if err := errors.Join(err, c.Flush(), c.CloseLasting()); err != nil {
		n.t.Fatal(err)
	}
}

// flush deletes every table, as a restart of the machine does.
func (n *netspace) flush() {
	n.t.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(n.fd))
	if err != nil {
		n.t.Fatal(err)
	}
	conn.FlushRuleset()
	if err := conn.Flush(); err != nil {
		n.t.Fatal(err)
	}
}

func TestNftablesContract(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		n := newNetspace(t)
		g := n.gateway(NftablesConfig{Reset: true})
		return g, enforcetest.Probe{
			Status:  n.status,
			Restart: func(testing.TB) { n.flush() },
			Sabotage: enforcetest.Saboteur{ // it is the kernel: nobody kills it, and it answers
				Edit: func(testing.TB) {
					n.change(g, func(c *nftables.Conn, table *nftables.Table) error {
						set := &nftables.Set{Table: table, Name: "v4_32", KeyType: nftables.TypeIPAddr, HasTimeout: true}
						return errors.Join(c.SetDeleteElements(set, []nftables.SetElement{{Key: []byte{192, 0, 2, 1}}}),
							c.SetAddElements(set, []nftables.SetElement{{Key: []byte{198, 51, 100, 9}}}))
					})
				},
				Corrupt: func(testing.TB) {
					n.change(g, func(c *nftables.Conn, table *nftables.Table) error {
						c.FlushChain(&nftables.Chain{Name: "guard", Table: table})
						return nil
					})
				},
			},
			Break: func(testing.TB) func() {
				g.cfg.netns = 1 << 20
				return func() { g.cfg.netns = n.fd }
			},
		}
	})
}

// TestNftablesLapses: an address is let go by the kernel when its time is over, whatever
// becomes of us; one whose time changes is set anew.
func TestNftablesLapses(t *testing.T) {
	n := newNetspace(t)
	g := n.gateway(NftablesConfig{Reset: true})
	short, long := block("192.0.2.1/32"), block("192.0.2.2/32")
	short.Until, long.Until = time.Now().Add(700*time.Millisecond).UnixNano(), time.Now().Add(time.Hour).UnixNano()
	apply(t, g, short, long)
	n.want(403, "192.0.2.1", "192.0.2.2")
	if done := apply(t, g, short, long); done.Changed != 0 {
		t.Errorf("again: %+v", done)
	}
	for deadline := time.Now().Add(10 * time.Second); n.status(t, netip.MustParseAddr("192.0.2.1")) != 200; {
		if time.Now().After(deadline) {
			t.Fatal("it does not lapse")
		}
	}
	n.want(403, "192.0.2.2")
	long.Until += int64(time.Hour)
	if done := apply(t, g, long); done.Changed != 1 {
		t.Errorf("extended: %+v", done)
	}
	if done := apply(t, g, long); done.Changed != 0 {
		t.Errorf("extended, again: %+v", done)
	}
}

// TestNftablesSabotage: what somebody does to the table is mended, other tables are left
// alone, and a changed setting takes effect.
func TestNftablesSabotage(t *testing.T) {
	n := newNetspace(t)
	drops := n.gateway(NftablesConfig{})
	apply(t, drops, block("192.0.2.1/32"), block("2001:db8::/64"))
	n.want(403, "192.0.2.1", "2001:db8::5")
	g := n.gateway(NftablesConfig{Reset: true})
	apply(t, g, block("192.0.2.1/32"), block("2001:db8::/64"))
	n.want(403, "192.0.2.1", "2001:db8::5")
	n.want(200, "192.0.2.2", "2001:db8:0:1::5")
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: "portcullis"}
	other := &nftables.Table{Family: nftables.TableFamilyINet, Name: "site"}
	for what, damage := range map[string]func(c *nftables.Conn) error{
		"the set emptied": func(c *nftables.Conn) error { c.FlushSet(&nftables.Set{Table: table, Name: "v4_32"}); return nil },
		"the rules gone":  func(c *nftables.Conn) error { c.FlushChain(&nftables.Chain{Name: "guard", Table: table}); return nil },
		"the table gone":  func(c *nftables.Conn) error { c.DelTable(table); return nil },
		"a foreign set": func(c *nftables.Conn) error {
			return c.AddSet(&nftables.Set{Table: table, Name: "mine", KeyType: nftables.TypeIPAddr}, nil)
		},
		"a foreign address": func(c *nftables.Conn) error {
			return c.SetAddElements(&nftables.Set{Table: table, Name: "v4_32", KeyType: nftables.TypeIPAddr, HasTimeout: true}, []nftables.SetElement{{Key: []byte{192, 0, 2, 2}}})
		},
	} {
		c, err := g.dial()
		if err != nil {
			t.Fatal(err)
		}
		c.AddTable(other)
		if err := damage(c); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Flush(), c.CloseLasting()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if done := apply(t, g, block("192.0.2.1/32"), block("2001:db8::/64")); done.Changed == 0 {
			t.Errorf("%s: nothing was mended", what)
		}
		n.want(403, "192.0.2.1", "2001:db8::5")
		n.want(200, "192.0.2.2")
	}
	c, err := g.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseLasting()
	if list, err := c.ListTablesOfFamily(nftables.TableFamilyINet); err != nil || len(list) != 2 {
		t.Errorf("tables %v, %v", list, err)
	}
	_, port, _ := net.SplitHostPort(n.addr4)
	guarded, elsewhere := n.gateway(NftablesConfig{Reset: true, Ports: []string{"1", port}}), n.gateway(NftablesConfig{Reset: true, Ports: []string{"1"}})
	apply(t, guarded, block("192.0.2.1/32"))
	n.want(403, "192.0.2.1")
	apply(t, elsewhere, block("192.0.2.1/32"))
	n.want(200, "192.0.2.1")
}

// TestNftablesMeasured: one more address among many, from the call to the refusal.
func TestNftablesMeasured(t *testing.T) {
	n := newNetspace(t)
	g := n.gateway(NftablesConfig{Reset: true})
	for _, size := range measured() {
		list := addresses(size)
		for i := range list {
			list[i].Action = enforce.Block
		}
		apply(t, g, list...)
		var took []time.Duration
		for i := range 3 {
			client := netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)})
			n.want(200, client.String())
			start := time.Now()
			apply(t, g, append(list[:len(list):len(list)], block(client.String()+"/32"))...)
			n.want(403, client.String())
			took = append(took, time.Since(start))
		}
		t.Logf("MEASURED nftables: %d entries: %s to the first refusal", size, median(took).Round(time.Millisecond))
	}
}

// TestNftablesNeedsRights: without them it says which.
func TestNftablesNeedsRights(t *testing.T) {
	err := explainNetlink(fmt.Errorf("netlink: %w", unix.EPERM))
	wantError(t, err, "CAP_NET_ADMIN")
}
