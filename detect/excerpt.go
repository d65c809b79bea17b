package detect

import (
	"encoding/binary"
	"net/netip"

	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// longestWord caps the short texts of an excerpt, which a client may write.
const longestWord = 128

// codeExcerpt passes what detectors by account read of a refused request. Its line
// has no secrets, is capped, and may be missing, see forwarder.account.
func codeExcerpt(k *window.Codec, ev *ingest.Event) {
	k.I64(&ev.Time)
	codeAddr(k, &ev.Client)
	for _, s := range []*string{&ev.User, &ev.Method, &ev.Route} {
		if !k.Reading() && len(*s) > longestWord {
			*s = (*s)[:longestWord]
		}
		k.String(s)
	}
	k.U16(&ev.Status)
	kind := uint8(ev.Kind)
	k.U8(&kind)
	ev.Kind = ingest.RouteKind(kind)
	k.String(&ev.Pos.Source)
	k.U64(&ev.Pos.File)
	k.I64(&ev.Pos.Offset)
	k.String(&ev.Line)
}

// codeAddr passes an address without its zone.
func codeAddr(k *window.Codec, a *netip.Addr) {
	b := a.As16()
	hi, lo, four := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), a.Is4()
	k.U64(&hi)
	k.U64(&lo)
	k.Bool(&four)
	if !k.Reading() {
		return
	}
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	if *a = netip.AddrFrom16(b); four {
		*a = a.Unmap()
	}
}
