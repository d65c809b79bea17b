package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/enforce"
)

func init() {
	Register("nftables", Spec{
		Doc:     "the packet filter of Linux, by netlink: packets of a blocked address are dropped or reset",
		How:     "netlink: sets with timeouts",
		Tested:  "the running kernel, in a network namespace",
		Holds:   "addresses and prefixes of the peer; they lapse by themselves",
		Actions: []enforce.Action{enforce.Block},
		Config:  func() any { return new(NftablesConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewNftables(*config.(*NftablesConfig)) },
		Setup: func(ctx context.Context, w io.Writer, config any, _ bool) error {
			return SetupNftables(ctx, w, *config.(*NftablesConfig))
		},
	})
}

// NftablesConfig is the "nftables" section of a gateway.
type NftablesConfig struct {
	Table string   `yaml:"table" default:"portcullis" doc:"Name of the table (family inet), which is Portcullis' own."`
	Reset bool     `yaml:"reset" default:"false" doc:"Answer TCP with a reset instead of dropping: the client learns at once, and the kernel keeps less waiting."`
	Ports []string `yaml:"ports" doc:"TCP ports to be guarded, such as ['80', '443']; empty = everything that the address sends, remote shells too."`

	netns int // file of a network namespace, 0 = this process's own; for tests
}

// Check reports settings that cannot work, by the rules of internal/config.
func (c NftablesConfig) Check(report func(key, message string)) {
	if !plainWord.MatchString(c.Table) {
		report("table", fmt.Sprintf("%.64q is no name of a table", c.Table))
	}
	for i, p := range c.Ports {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			report(fmt.Sprintf("ports[%d]", i), fmt.Sprintf("%.32q is no port", p))
		}
	}
}

// Nftables is the packet filter of this machine. It fails open: without Portcullis each
// address is let go when its time is over, by the kernel's own clock. After a restart of the
// machine the table is gone, until the next push.
//
// It sees the peer of a connection, so it is of no use behind a load balancer; and what it
// drops never shows in the gateway's log, so a decision stays pushed and is not verified.
//
// There is a hash set for each length of prefix in use, which addresses are masked for:
// interval sets take seconds for a change once they are large. A push is one transaction.
type Nftables struct {
	ability
	cfg NftablesConfig
	mu  sync.Mutex // one Apply at a time
}

// NewNftables makes the gateway; it touches nothing until Apply.
func NewNftables(cfg NftablesConfig) (*Nftables, error) {
	if err := settled("nftables", cfg.Check); err != nil {
		return nil, err
	}
	return &Nftables{cfg: cfg, ability: ability{name: "nftables", actions: []enforce.Action{enforce.Block}}}, nil
}

// Name implements enforce.Gateway.
func (g *Nftables) Name() string { return g.name }

const (
	nftChain = "guard"
	nftChunk = 500 // elements of one message, which may have 64 KB
	// nftSlack is how far the kernel's clock may be off before an element is set anew.
	nftSlack = 5 * time.Second
	nftSpare = 16 << 20 // bytes of the socket's buffers
)

// Apply implements enforce.Gateway.
func (g *Nftables) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	list, err := g.normal(want)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway nftables: %w", err)
	}
	changed, err := g.become(list, start)
	if err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway nftables: %w", explainNetlink(err))
	}
	done := enforce.Applied{Entries: len(list), Changed: changed, At: time.Now()}
	done.Took = done.At.Sub(start)
	return done, nil
}

// explainNetlink adds what an operator can do.
func explainNetlink(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w (Portcullis needs CAP_NET_ADMIN: AmbientCapabilities=CAP_NET_ADMIN in its unit)", err)
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%w (this kernel has no nf_tables)", err)
	}
	return err
}

// dial opens a connection to the kernel.
func (g *Nftables) dial() (*nftables.Conn, error) {
	options := []nftables.ConnOption{nftables.AsLasting(), nftables.WithSockOptions(nftBuffers)}
	if g.cfg.netns != 0 {
		options = append(options, nftables.WithNetNSFd(g.cfg.netns))
	}
	return nftables.New(options...)
}

// nftWanted is what one set should hold: addresses, and when they lapse (0 = never).
type nftWanted map[netip.Addr]time.Duration

// nftWant renders what each set should hold.
func nftWant(list []enforce.Entry, now time.Time) map[nftLength]nftWanted {
	wanted := map[nftLength]nftWanted{}
	for i := range list {
		p := list[i].Prefix
		l := nftLength{p.Addr().Is6(), p.Bits()}
		if wanted[l] == nil {
			wanted[l] = nftWanted{}
		}
		wanted[l][p.Addr()] = lapse(list[i].Until, now)
	}
	return wanted
}

// become makes the table what is wanted, in one transaction.
func (g *Nftables) become(list []enforce.Entry, now time.Time) (changed int, err error) {
	conn, err := g.dial()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.CloseLasting()) }()
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: g.cfg.Table}
	have, whole, err := g.sets(conn, table)
	if err != nil {
		return 0, err
	}
	wanted := nftWant(list, now)
	for l := range have {
		if wanted[l] == nil {
			wanted[l] = nftWanted{}
		}
	}
	if !whole {
		g.frame(conn, table, wanted)
		have = nil
	}
	for _, l := range nftSorted(wanted) {
		set := l.set(table)
		var elements []nftables.SetElement
		switch {
		case !whole: // the frame has made it
		case have[l]:
			if elements, err = conn.GetSetElements(set); err != nil {
				return 0, err
			}
		default:
			g.guard(conn, table, set, l)
		}
		n, err := l.fill(conn, set, elements, wanted[l])
		if err != nil {
			return 0, err
		}
		changed += n
	}
	if changed == 0 && whole {
		return 0, nil
	}
	return max(changed, 1), conn.Flush()
}

// Check implements enforce.Gateway: the kernel has nf_tables and lets us use it.
func (g *Nftables) Check(context.Context) (err error) {
	conn, err := g.dial()
	if err != nil {
		return fmt.Errorf("gateway nftables: %w", explainNetlink(err))
	}
	defer func() { err = errors.Join(err, conn.CloseLasting()) }()
	if _, err := conn.ListTablesOfFamily(nftables.TableFamilyINet); err != nil {
		return fmt.Errorf("gateway nftables: %w", explainNetlink(err))
	}
	return nil
}

// SetupNftables tells on w what is to be known of it.
func SetupNftables(ctx context.Context, w io.Writer, cfg NftablesConfig) error {
	g, err := NewNftables(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, `nftables needs no preparation: Portcullis makes the table inet %s and keeps it level.

It sees the peer of a connection: behind a load balancer it would drop the balancer.
Name all of those in guard.untouchable. What is dropped never shows in the gateway's
log, so that decisions stay "pushed". To lift everything by hand: nft delete table inet %s

`, g.cfg.Table, g.cfg.Table)
	if err := g.Check(ctx); err != nil {
		_, err = fmt.Fprintf(w, "As it stands: %v\n", err)
		return err
	}
	_, err = fmt.Fprintln(w, "As it stands: the kernel lets Portcullis use it.")
	return err
}

// nftBuffers makes room for the answers to a large transaction.
func nftBuffers(c *netlink.Conn) error {
	return errors.Join(c.SetReadBuffer(nftSpare), c.SetWriteBuffer(nftSpare))
}
