package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/enforce"
)

// FuzzNftablesRender reads the messages to the kernel, attribute by attribute, as
// include/uapi/linux/netfilter/nf_tables.h of Linux has them.
func FuzzNftablesRender(f *testing.F) {
	g, err := NewNftables(NftablesConfig{Table: "portcullis"})
	if err != nil {
		f.Fatal(err)
	}
	fuzzRender(f, g, g.normal, func(t *testing.T, list []enforce.Entry) {
		var sent []netlink.Message
		sentAll := errors.New("the kernel is not asked")
		conn, err := nftables.New(nftables.WithTestDial(func(req []netlink.Message) ([]netlink.Message, error) {
			sent = append(sent, req...)
			return nil, sentAll
		}))
		if err != nil {
			t.Fatal(err)
		}
		wanted := nftWant(list, time.Now())
		for _, l := range nftSorted(wanted) {
			set := l.set(&nftables.Table{Family: nftables.TableFamilyINet, Name: g.cfg.Table})
			if n, err := l.fill(conn, set, nil, wanted[l]); err != nil || n != len(wanted[l]) {
				t.Fatalf("%d of %d, %v", n, len(wanted[l]), err)
			}
		}
		if err := conn.Flush(); err != nil && !errors.Is(err, sentAll) {
			t.Fatal(err)
		}
		back := found{}
		for _, m := range sent {
			if m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWSETELEM {
				readElements(t, m.Data[4:], back)
			}
		}
		back.want(t, list)
	})
}

// readElements adds the elements of one message.
func readElements(t *testing.T, attributes []byte, back found) {
	t.Helper()
	name, bits := "", 0
	each(t, attributes, unix.NFTA_SET_ELEM_LIST_SET, func(b []byte) {
		name = string(b[:len(b)-1]) // it ends by a NUL
		if _, err := fmt.Sscanf(name[1:], "4_%d", &bits); err != nil {
			if _, err := fmt.Sscanf(name[1:], "6_%d", &bits); err != nil {
				t.Fatalf("a set %q", name)
			}
		}
	})
	each(t, attributes, unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(elements []byte) {
		each(t, elements, anyType, func(element []byte) {
			each(t, element, unix.NFTA_SET_ELEM_KEY, func(key []byte) {
				each(t, key, unix.NFTA_DATA_VALUE, func(value []byte) {
					a, ok := netip.AddrFromSlice(value)
					if !ok || a.Is4() != (name[:2] == "v4") {
						t.Fatalf("the set %s has %x", name, value)
					}
					back.prefix(t, fmt.Sprintf("%s/%d", a, bits), "block")
				})
			})
		})
	})
}

// anyType stands for all types: of a list the kernel looks at none.
const anyType = 0

// each calls do with each attribute of a type.
func each(t *testing.T, attributes []byte, of uint16, do func([]byte)) {
	t.Helper()
	d, err := netlink.NewAttributeDecoder(attributes)
	if err != nil {
		t.Fatal(err)
	}
	for d.Next() {
		if of == anyType || d.Type() == of {
			do(d.Bytes())
		}
	}
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
}
