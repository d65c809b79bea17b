package detect

import (
	"encoding/binary"
	"net/netip"

	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// excerpt is what level two reads of one request.
type excerpt struct {
	ev     ingest.Event
	need   Concern
	known  Standing // of its client
	attack Attack   // where need has Suspicious
}

// in reports whether the credentials were not refused.
func (x *excerpt) in() bool { return x.need&Refused == 0 }

// longestWord caps the texts of an excerpt, which a client may write.
const longestWord = 128

// longestTarget caps the path of an excerpt; its query stays behind.
const longestTarget = 256

// code passes it. Its line has no secrets, is capped, and may be missing, see
// forwarder.excerpt.
func (x *excerpt) code(k *window.Codec) {
	ev, need, kind, class, crawler, flags := &x.ev, uint16(x.need), uint8(x.ev.Kind), uint8(x.ev.Class), uint8(x.ev.Crawler), uint16(x.ev.Flags)
	k.U16(&need)
	k.I64(&x.known.Successes)
	k.I64(&x.known.People)
	k.I64(&x.known.Since)
	k.I64(&ev.Time)
	codeAddr(k, &ev.Client)
	for _, s := range []*string{&ev.User, &ev.Method, &ev.Route, &ev.Agent, &ev.Consumer, &ev.Key, &ev.Token, &ev.Session, &ev.Print} {
		if !k.Reading() {
			*s = (*s)[:min(len(*s), longestWord)]
		}
		k.String(s)
	}
	if !k.Reading() {
		ev.Target = path(ev.Target)
		ev.Target = ev.Target[:min(len(ev.Target), longestTarget)]
	}
	k.String(&ev.Target)
	k.U16(&ev.Status)
	for _, b := range []*uint8{&kind, &class, &crawler} {
		k.U8(b)
	}
	k.U16(&flags)
	k.U32(&ev.ASN)
	numbered := ev.RouteID != 0 // numbers are of a process, that there is one is not
	if k.Bool(&numbered); k.Reading() && numbered {
		ev.RouteID = 1
	}
	codeCountry(k, &ev.Country)
	k.I64(&ev.BytesOut)
	k.I64(&ev.Duration)
	k.String(&ev.Pos.Source)
	k.U64(&ev.Pos.File)
	k.I64(&ev.Pos.Offset)
	k.String(&ev.Line)
	if need&uint16(Suspicious) != 0 {
		x.attack.code(k)
	}
	x.need, ev.Kind, ev.Class, ev.Crawler, ev.Flags = Concern(need), ingest.RouteKind(kind), ingest.AgentClass(class), ingest.Crawler(crawler), ingest.Flags(flags)
}

// path cuts the query off.
func path(target string) string {
	for i := range len(target) {
		if target[i] == '?' {
			return target[:i]
		}
	}
	return target
}

func codeCountry(k *window.Codec, c *[2]byte) {
	k.U8(&c[0])
	k.U8(&c[1])
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
