package serve

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/grpc/encoding"
	encproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxNesting is how deep messages may nest; the deepest that OTLP and ALS need is
// a handful, plus what a nested value adds.
const maxNesting = 100

// Unmarshal decodes a protobuf message whose strings may hold bytes that are not
// UTF-8. proto.Unmarshal refuses a whole message for one such byte, but the bytes
// are a client's: with one odd header it could make the gateway's log of a
// thousand requests unreadable (envoyproxy/envoy issue 5141). A run of such bytes
// becomes U+FFFD.
func Unmarshal(data []byte, m proto.Message) error {
	limits := proto.UnmarshalOptions{RecursionLimit: maxNesting, DiscardUnknown: true}
	err := limits.Unmarshal(data, m)
	if err == nil {
		return nil
	}
	mended, changed, mendErr := mend(nil, data, m.ProtoReflect().Descriptor(), maxNesting)
	if mendErr != nil || !changed {
		return fmt.Errorf("serve: not a %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	if err := limits.Unmarshal(mended, m); err != nil {
		return fmt.Errorf("serve: not a %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return nil
}

var errWire = errors.New("serve: the protobuf encoding is damaged")

// mend copies an encoded message to dst with its strings made valid UTF-8.
func mend(dst, src []byte, of protoreflect.MessageDescriptor, depth int) (out []byte, changed bool, err error) {
	if depth == 0 {
		return nil, false, errWire
	}
	for len(src) > 0 {
		number, kind, n := protowire.ConsumeTag(src)
		if n < 0 {
			return nil, false, errWire
		}
		size := protowire.ConsumeFieldValue(number, kind, src[n:])
		if size < 0 {
			return nil, false, errWire
		}
		field := of.Fields().ByNumber(number)
		if kind != protowire.BytesType || field == nil {
			dst = append(dst, src[:n+size]...)
			src = src[n+size:]
			continue
		}
		value, _ := protowire.ConsumeBytes(src[n:])
		dst = append(dst, src[:n]...)
		src = src[n+size:]
		value, fixed, err := mendValue(value, field, depth)
		if err != nil {
			return nil, false, err
		}
		changed = changed || fixed
		dst = protowire.AppendBytes(dst, value)
	}
	return dst, changed, nil
}

// mendValue mends a length-delimited value of a field.
func mendValue(value []byte, field protoreflect.FieldDescriptor, depth int) ([]byte, bool, error) {
	switch field.Kind() {
	case protoreflect.StringKind:
		if utf8.Valid(value) {
			return value, false, nil
		}
		return bytes.ToValidUTF8(value, []byte("\uFFFD")), true, nil
	case protoreflect.MessageKind:
		return mend(nil, value, field.Message(), depth-1)
	}
	return value, false, nil
}

// tolerant is gRPC's protobuf codec with Unmarshal for what senders say.
type tolerant struct{}

// Name implements encoding.CodecV2.
func (tolerant) Name() string { return encproto.Name }

// Marshal implements encoding.CodecV2.
func (tolerant) Marshal(v any) (mem.BufferSlice, error) {
	return encoding.GetCodecV2(encproto.Name).Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (tolerant) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("serve: cannot decode into a %T", v)
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	return Unmarshal(buf.ReadOnlyData(), m)
}
