package kafkanet

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// witness is a broker as far as it says which topics there are: a real one that has lost
// its controller answers just so, from what it knew before.
type witness struct {
	net.Listener
	topics []string
	closed string // a topic that the user may not see
	asked  atomic.Int32
}

func testify(t *testing.T, topics ...string) *witness {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{Listener: listen, topics: topics}
	t.Cleanup(func() { listen.Close() })
	go func() {
		for {
			conn, err := listen.Accept()
			if err != nil {
				return // closed
			}
			go w.answer(conn)
		}
	}()
	return w
}

func (w *witness) answer(conn net.Conn) {
	defer conn.Close()
	for {
		version, id, _, asked, err := protocol.ReadRequest(conn)
		if err != nil {
			return // the client has gone
		}
		var answer protocol.Message
		switch asked.(type) {
		case *apiversions.Request:
			answer = &apiversions.Response{ApiKeys: []apiversions.ApiKeyResponse{
				{ApiKey: int16(protocol.ApiVersions), MaxVersion: 2}, {ApiKey: int16(protocol.Metadata), MaxVersion: 8}}}
		case *metadata.Request:
			w.asked.Add(1)
			answer = w.metadata()
		default:
			return
		}
		if err := protocol.WriteResponse(conn, version, id, answer); err != nil {
			return
		}
	}
}

func (w *witness) metadata() *metadata.Response {
	host, port, _ := net.SplitHostPort(w.Addr().String())
	n, _ := strconv.Atoi(port)
	r := &metadata.Response{Brokers: []metadata.ResponseBroker{{NodeID: 1, Host: host, Port: int32(n)}}}
	for _, name := range w.topics {
		r.Topics = append(r.Topics, metadata.ResponseTopic{Name: name, Partitions: []metadata.ResponsePartition{{LeaderID: 1}}})
	}
	if w.closed != "" {
		r.Topics = append(r.Topics, metadata.ResponseTopic{Name: w.closed, ErrorCode: int16(kafkago.TopicAuthorizationFailed)})
	}
	return r
}

// A topic that one broker has not heard of is found at another, also where the library
// happened on the deaf one first.
func TestDeafBroker(t *testing.T) {
	t.Parallel()
	deaf, hears := testify(t), testify(t, "access")
	network, err := New(Access{Brokers: []string{deaf.Addr().String(), hears.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(time.Minute); ; {
		first := deaf.asked.Load()
		link := network.Open(t.Context(), []string{"access", "missing"}, time.Hour)
		_, err := link.Partitions(t.Context(), "access")
		misled := deaf.asked.Load() > first
		for err != nil && time.Now().Before(limit) {
			if !errors.Is(err, kafkago.UnknownTopicOrPartition) {
				t.Fatalf("access: %v", err)
			}
			Sleep(t.Context(), 50*time.Millisecond)
			_, err = link.Partitions(t.Context(), "access")
		}
		if err != nil {
			t.Fatalf("access is not found in a minute; asked %d and %d times", deaf.asked.Load(), hears.asked.Load())
		}
		if _, err := link.Partitions(t.Context(), "missing"); !errors.Is(err, kafkago.UnknownTopicOrPartition) {
			t.Fatalf("missing: %v", err)
		}
		link.Close()
		if misled {
			return
		}
	}
}

// Whoever lost the right to a topic is told that, not that there is no such topic, also
// where the library has asked for its partitions since and was given none.
func TestClosedTopic(t *testing.T) {
	t.Parallel()
	broker := testify(t)
	broker.closed = "access"
	network, err := New(Access{Brokers: []string{broker.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	link := network.Open(t.Context(), []string{"access", "missing"}, time.Hour)
	for topic, want := range map[string]error{"access": kafkago.TopicAuthorizationFailed, "missing": kafkago.UnknownTopicOrPartition} {
		_, err := link.Client.RawProduce(t.Context(), &kafkago.RawProduceRequest{Topic: topic, RequiredAcks: kafkago.RequireAll,
			RawRecords: protocol.RawRecordSet{Reader: strings.NewReader("x")}})
		if err == nil || errors.Is(err, want) {
			t.Fatalf("%s: the library itself says %v: nothing is left to ask", topic, err)
		}
		if why := link.Why(t.Context(), topic, err); !errors.Is(why, want) {
			t.Errorf("%s: %v, want %v", topic, why, want)
		}
	}
	if other := link.Why(t.Context(), "access", net.ErrClosed); other != net.ErrClosed {
		t.Errorf("an error of another kind became %v", other)
	}
}
