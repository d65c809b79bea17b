package als

import (
	"encoding/base64"
	"strconv"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/portcullis/portcullis/ingest/source/serve"
)

// object writes JSON members in the order in which they are told, leaving out
// zero values as protobuf's JSON mapping does
// (https://protobuf.dev/programming-guides/json/). It is the fast twin of
// protojson.
type object struct{ buf []byte }

// key begins a member. Names are our own, with nothing to escape.
func (o *object) key(name string) {
	if o.buf[len(o.buf)-1] != '{' {
		o.buf = append(o.buf, ',')
	}
	o.buf = append(o.buf, '"')
	o.buf = append(o.buf, name...)
	o.buf = append(o.buf, '"', ':')
}

// key of a map, which the sender chose.
func (o *object) foreignKey(name string) {
	if o.buf[len(o.buf)-1] != '{' {
		o.buf = append(o.buf, ',')
	}
	o.buf = append(serve.AppendString(o.buf, name), ':')
}

func (o *object) open(name string) {
	o.key(name)
	o.buf = append(o.buf, '{')
}

func (o *object) close() { o.buf = append(o.buf, '}') }

func (o *object) text(name, v string) {
	if v != "" {
		o.key(name)
		o.buf = serve.AppendString(o.buf, v)
	}
}

func (o *object) flag(name string, v bool) {
	if v {
		o.key(name)
		o.buf = append(o.buf, "true"...)
	}
}

func (o *object) uint32(name string, v uint32) {
	if v != 0 {
		o.number(name, v)
	}
}

// number writes a number even where it is zero: those that are told apart from
// absent ones.
func (o *object) number(name string, v uint32) {
	o.key(name)
	o.buf = strconv.AppendUint(o.buf, uint64(v), 10)
}

// uint64 writes a string: JSON numbers lose bits beyond 53.
func (o *object) uint64(name string, v uint64) {
	if v != 0 {
		o.key(name)
		o.buf = append(o.buf, '"')
		o.buf = append(strconv.AppendUint(o.buf, v, 10), '"')
	}
}

func (o *object) wrapped(name string, v *wrapperspb.UInt32Value) {
	if v != nil {
		o.number(name, v.GetValue())
	}
}

func (o *object) double(name string, v float64) {
	if v != 0 {
		o.key(name)
		o.buf = serve.AppendFloat(o.buf, v)
	}
}

// enum writes the name of a value, or its number where it has none.
func (o *object) enum(name string, v int32, names map[int32]string) {
	if v == 0 {
		return
	}
	o.key(name)
	if text, ok := names[v]; ok {
		o.buf = serve.AppendString(o.buf, text)
		return
	}
	o.buf = strconv.AppendInt(o.buf, int64(v), 10)
}

// time writes RFC 3339 with 0, 3, 6 or 9 digits, as protobuf does. A time that
// has no such form is left out.
func (o *object) time(name string, v *timestamppb.Timestamp) {
	if v == nil || v.CheckValid() != nil {
		return
	}
	o.key(name)
	o.buf = append(o.buf, '"')
	o.buf = v.AsTime().AppendFormat(o.buf, "2006-01-02T15:04:05")
	o.buf = append(appendFraction(o.buf, v.GetNanos()), 'Z', '"')
}

// duration writes seconds with 0, 3, 6 or 9 digits and "s".
func (o *object) duration(name string, v *durationpb.Duration) {
	if v == nil || v.CheckValid() != nil {
		return
	}
	o.key(name)
	o.buf = append(o.buf, '"')
	seconds, nanos := v.GetSeconds(), v.GetNanos()
	if seconds < 0 || nanos < 0 {
		o.buf = append(o.buf, '-')
		seconds, nanos = -seconds, -nanos
	}
	o.buf = strconv.AppendInt(o.buf, seconds, 10)
	o.buf = append(appendFraction(o.buf, nanos), 's', '"')
}

// appendFraction appends nanoseconds behind a dot in the fewest of 0, 3, 6 and 9
// digits.
func appendFraction(dst []byte, nanos int32) []byte {
	if nanos == 0 {
		return dst
	}
	digits := 9
	for nanos%1000 == 0 {
		nanos /= 1000
		digits -= 3
	}
	dst = append(dst, '.')
	at := len(dst)
	dst = append(dst, "000000000"[:digits]...)
	for i := at + digits - 1; nanos > 0; i-- {
		dst[i] = byte('0' + nanos%10)
		nanos /= 10
	}
	return dst
}

// texts writes a map of strings, such as headers, in no particular order.
func (o *object) texts(name string, m map[string]string) {
	if len(m) == 0 {
		return
	}
	o.open(name)
	for k, v := range m {
		o.foreignKey(k)
		o.buf = serve.AppendString(o.buf, v)
	}
	o.close()
}

// anys writes a map of messages whose types are not known here.
func (o *object) anys(name string, m map[string]*anypb.Any) {
	if len(m) == 0 {
		return
	}
	o.open(name)
	for k, v := range m {
		o.foreignKey(k)
		o.buf = append(o.buf, '{')
		o.text("@type", v.GetTypeUrl())
		o.key("value")
		o.buf = append(o.buf, '"')
		o.buf = append(base64.StdEncoding.AppendEncode(o.buf, v.GetValue()), '"')
		o.close()
	}
	o.close()
}

// maxDepth is how deep a value of dynamic metadata may nest; what lies deeper is
// written as null.
const maxDepth = 32

// value writes a google.protobuf.Value.
func (o *object) value(v *structpb.Value, depth int) {
	if depth == 0 {
		o.buf = append(o.buf, "null"...)
		return
	}
	switch v := v.GetKind().(type) {
	case *structpb.Value_NumberValue:
		o.buf = serve.AppendFloat(o.buf, v.NumberValue)
	case *structpb.Value_StringValue:
		o.buf = serve.AppendString(o.buf, v.StringValue)
	case *structpb.Value_BoolValue:
		o.buf = strconv.AppendBool(o.buf, v.BoolValue)
	case *structpb.Value_StructValue:
		o.fields(v.StructValue, depth)
	case *structpb.Value_ListValue:
		o.buf = append(o.buf, '[')
		for i, e := range v.ListValue.GetValues() {
			if i > 0 {
				o.buf = append(o.buf, ',')
			}
			o.value(e, depth-1)
		}
		o.buf = append(o.buf, ']')
	default:
		o.buf = append(o.buf, "null"...)
	}
}

// fields writes a google.protobuf.Struct.
func (o *object) fields(s *structpb.Struct, depth int) {
	o.buf = append(o.buf, '{')
	for k, v := range s.GetFields() {
		o.foreignKey(k)
		o.value(v, depth-1)
	}
	o.close()
}

// metadata writes the dynamic metadata of the filters.
func (o *object) metadata(name string, m *corepb.Metadata) {
	if m == nil {
		return
	}
	o.open(name)
	if len(m.GetFilterMetadata()) > 0 {
		o.open("filterMetadata")
		for k, s := range m.GetFilterMetadata() {
			o.foreignKey(k)
			o.fields(s, maxDepth)
		}
		o.close()
	}
	o.anys("typedFilterMetadata", m.GetTypedFilterMetadata())
	o.close()
}

// address writes who is at an end of a connection.
func (o *object) address(name string, a *corepb.Address) {
	if a == nil {
		return
	}
	o.open(name)
	switch a := a.GetAddress().(type) {
	case *corepb.Address_SocketAddress:
		o.socket(a.SocketAddress)
	case *corepb.Address_Pipe:
		o.open("pipe")
		o.text("path", a.Pipe.GetPath())
		o.uint32("mode", a.Pipe.GetMode())
		o.close()
	case *corepb.Address_EnvoyInternalAddress:
		o.open("envoyInternalAddress")
		if v, ok := a.EnvoyInternalAddress.GetAddressNameSpecifier().(*corepb.EnvoyInternalAddress_ServerListenerName); ok {
			o.key("serverListenerName")
			o.buf = serve.AppendString(o.buf, v.ServerListenerName)
		}
		o.text("endpointId", a.EnvoyInternalAddress.GetEndpointId())
		o.close()
	}
	o.close()
}

// socket writes an IP address with its port, which is told even where it is zero.
func (o *object) socket(s *corepb.SocketAddress) {
	o.open("socketAddress")
	o.enum("protocol", int32(s.GetProtocol()), corepb.SocketAddress_Protocol_name)
	o.text("address", s.GetAddress())
	switch p := s.GetPortSpecifier().(type) {
	case *corepb.SocketAddress_PortValue:
		o.number("portValue", p.PortValue)
	case *corepb.SocketAddress_NamedPort:
		o.key("namedPort")
		o.buf = serve.AppendString(o.buf, p.NamedPort)
	}
	o.text("resolverName", s.GetResolverName())
	o.flag("ipv4Compat", s.GetIpv4Compat())
	o.text("networkNamespaceFilepath", s.GetNetworkNamespaceFilepath())
	o.close()
}
