package als

import (
	"bufio"
	"encoding/json"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	logpb "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/portcullis/portcullis/ingest/source/serve"
)

// samples are the entries of a real Envoy 1.40.0 as protojson wrote them.
func samples(t testing.TB) (lines []string, entries []*logpb.HTTPAccessLogEntry) {
	t.Helper()
	f, err := os.Open("testdata/envoy-als_protojson.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		e := &logpb.HTTPAccessLogEntry{}
		if err := protojson.Unmarshal(in.Bytes(), e); err != nil {
			t.Fatal(err)
		}
		lines, entries = append(lines, in.Text()), append(entries, e)
	}
	if len(lines) == 0 {
		t.Fatal("no samples")
	}
	return lines, entries
}

// TestSamples: what a real Envoy sent is written byte for byte as protojson wrote
// it, in the order of the fields, before the identifier.
func TestSamples(t *testing.T) {
	lines, entries := samples(t)
	tail := appendIdentifier(nil, "edge\n\"1\"", &corepb.Node{Id: "envoy-1", Cluster: "front"})
	for i, e := range entries {
		want := strings.TrimSuffix(lines[i], "}") + `,"identifier":{"logName":"edge\n\"1\"","node":{"id":"envoy-1","cluster":"front"}}}` + "\n"
		if got := string(appendHTTP(nil, e, tail)); got != want {
			t.Errorf("sample %d:\ngot  %s\nwant %s", i, got, want)
		}
	}
	if got := string(appendHTTP(nil, &logpb.HTTPAccessLogEntry{}, nil)); got != "{}\n" {
		t.Errorf("an empty entry: %q", got)
	}
	if got := string(appendTCP(nil, &logpb.TCPAccessLogEntry{}, tail)); !strings.HasPrefix(got, `{"connectionProperties":{},"identifier":{`) {
		t.Errorf("a connection: %q", got)
	}
}

// same compares a line with what protojson makes of the same message; false means
// that it makes nothing of it.
func same(t *testing.T, m proto.Message, line []byte) bool {
	t.Helper()
	slow, err := protojson.Marshal(m)
	if err != nil {
		return false // a message that has no JSON form, such as a time beyond the year 9999
	}
	var got, want any
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("no JSON: %v: %q", err, line)
	}
	if err := json.Unmarshal(slow, &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %s\nwant %s", line, slow)
	}
	if strings.Count(string(line), "\n") != 1 {
		t.Fatalf("not one line: %q", line)
	}
	return true
}

// withoutTyped empties what protojson cannot write without knowing the types, and
// what nests deeper than the writer goes.
func withoutTyped(e *logpb.HTTPAccessLogEntry) *logpb.HTTPAccessLogEntry {
	if c := e.GetCommonProperties(); c != nil {
		c.FilterStateObjects = nil
		if c.Metadata != nil {
			c.Metadata.TypedFilterMetadata = nil
		}
	}
	return e
}

// TestTwin: entries with every field filled with odd values are what protojson
// makes of them, so that no field is forgotten or misnamed.
func TestTwin(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	compared := 0
	for range 2000 {
		e := &logpb.HTTPAccessLogEntry{}
		fill(rng, e.ProtoReflect(), 6)
		if withoutTyped(e); same(t, e, appendHTTP(nil, e, nil)) {
			compared++
		}
	}
	if compared < 500 {
		t.Errorf("only %d of 2000 entries could be compared", compared)
	}
}

// fill sets about half of the fields of a message at random.
func fill(rng *rand.Rand, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if depth == 0 || rng.IntN(2) == 0 {
			continue
		}
		switch {
		case f.IsMap():
			value := m.NewField(f)
			for range rng.IntN(3) {
				v := value.Map().NewValue()
				if f.MapValue().Kind() == protoreflect.MessageKind {
					fill(rng, v.Message(), depth-1)
				} else {
					v = scalar(rng, f.MapValue())
				}
				value.Map().Set(scalar(rng, f.MapKey()).MapKey(), v)
			}
			m.Set(f, value)
		case f.IsList():
			if f.Kind() == protoreflect.MessageKind {
				fill(rng, m.Mutable(f).List().AppendMutable().Message(), depth-1)
			}
		case f.Kind() == protoreflect.MessageKind:
			fill(rng, m.Mutable(f).Message(), depth-1)
		default:
			m.Set(f, scalar(rng, f))
		}
	}
}

// scalar makes a value, zero and the largest among them.
func scalar(rng *rand.Rand, f protoreflect.FieldDescriptor) protoreflect.Value {
	texts := []string{"", "a", "\"\\\n\r\t\x00\x1f\u2028é\u00ff<>&", "/orders/4711?q=1"}
	numbers := []uint64{0, 1, 999, 1000, 250_000, 999_000_000, 1_700_000_000, 1<<32 - 1, 1<<64 - 1}
	n := numbers[rng.IntN(len(numbers))]
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(texts[rng.IntN(len(texts))])
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(texts[rng.IntN(len(texts))]))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(n%2 == 1)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rng.IntN(20)))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(n % 1e10))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(n)
	}
	return protoreflect.ValueOfFloat64(float64(n) / 3)
}

// TestTyped: messages of types that are not known here keep their bytes.
func TestTyped(t *testing.T) {
	e := &logpb.HTTPAccessLogEntry{CommonProperties: &logpb.AccessLogCommon{
		FilterStateObjects: map[string]*anypb.Any{"k": {TypeUrl: "type.googleapis.com/x.Y", Value: []byte{1, 2}}},
		Metadata:           &corepb.Metadata{TypedFilterMetadata: map[string]*anypb.Any{"f": {TypeUrl: "t"}}},
	}}
	want := `{"commonProperties":{"metadata":{"typedFilterMetadata":{"f":{"@type":"t","value":""}}},` +
		`"filterStateObjects":{"k":{"@type":"type.googleapis.com/x.Y","value":"AQI="}}}}` + "\n"
	if got := string(appendHTTP(nil, e, nil)); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

// TestAllocations: a line costs no allocation but the growth of the buffer.
func TestAllocations(t *testing.T) {
	_, entries := samples(t)
	buf := make([]byte, 0, 1<<16)
	tail := appendIdentifier(nil, "edge", nil)
	if n := testing.AllocsPerRun(100, func() { buf = appendHTTP(buf[:0], entries[0], tail) }); n > 0 {
		t.Errorf("%.0f allocations a line, want none", n)
	}
}

// FuzzEntry: whatever bytes a sender calls an entry, what can be decoded is one
// line that says the same as protojson.
func FuzzEntry(f *testing.F) {
	_, entries := samples(f)
	for _, e := range entries {
		data, err := proto.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		e := &logpb.HTTPAccessLogEntry{}
		fill(rng, e.ProtoReflect(), 6)
		data, err := proto.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("\x1a\x05\x2a\x03/\xff/")) // a path that is no UTF-8
	f.Fuzz(func(t *testing.T, data []byte) {
		e := &logpb.HTTPAccessLogEntry{}
		if serve.Unmarshal(data, e) != nil {
			return
		}
		line := appendHTTP(nil, e, nil)
		if !json.Valid(line) || strings.Count(string(line), "\n") != 1 {
			t.Fatalf("not one line of JSON: %q", line)
		}
		if deep(e) < maxDepth {
			same(t, withoutTyped(e), appendHTTP(nil, e, nil))
		}
	})
}

// deep is a bound of how deep dynamic metadata nests.
func deep(e *logpb.HTTPAccessLogEntry) int {
	n := 0
	for _, s := range e.GetCommonProperties().GetMetadata().GetFilterMetadata() {
		n += strings.Count(s.String(), "{") + strings.Count(s.String(), "list_value")
	}
	return n
}

// BenchmarkEntry writes lines, and protojson beside for comparison.
func BenchmarkEntry(b *testing.B) {
	_, entries := samples(b)
	b.Run("hand-written", func(b *testing.B) {
		var buf []byte
		for b.Loop() {
			buf = appendHTTP(buf[:0], entries[0], nil)
		}
		b.SetBytes(int64(len(buf)))
	})
	b.Run("protojson", func(b *testing.B) {
		for b.Loop() {
			if _, err := protojson.Marshal(entries[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
