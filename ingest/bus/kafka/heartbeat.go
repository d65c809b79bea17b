package kafka

import (
	"context"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/heartbeat"
)

// heartbeatAnswer is what a coordinator says to a sign of life. The library reads
// its fields in the wrong order (0.4.51), so that its Client.Heartbeat never sees an
// error: https://kafka.apache.org/protocol.html#The_Messages_Heartbeat
type heartbeatAnswer struct {
	_ struct{} `kafka:"min=v4,max=v4,tag"`

	ThrottleTimeMs int32 `kafka:"min=v1,max=v4"`
	ErrorCode      int16 `kafka:"min=v0,max=v4"`
}

// ApiKey implements protocol.Message.
func (*heartbeatAnswer) ApiKey() protocol.ApiKey { return protocol.Heartbeat }

// The type takes the place of the library's in the whole process; nothing else
// here uses its Client.Heartbeat, and its own groups and readers have another way.
func init() { protocol.Register(&heartbeat.Request{}, &heartbeatAnswer{}) }

// heartbeat sends a sign of life.
func (c *Client) heartbeat(ctx context.Context, group, member string, generation int32) error {
	answer, err := c.link.Client.Transport.RoundTrip(ctx, c.link.Client.Addr, &heartbeat.Request{
		GroupID: group, GenerationID: generation, MemberID: member,
	})
	if err != nil {
		return err
	}
	got, ok := answer.(*heartbeatAnswer)
	switch {
	case !ok:
		return fmt.Errorf("the coordinator answered a heartbeat with %T", answer)
	case got.ErrorCode != 0:
		return kafkago.Error(got.ErrorCode)
	}
	return nil
}
