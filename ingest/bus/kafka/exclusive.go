package kafka

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/portcullis/portcullis/ingest/kafkanet"
)

// BusyError says that a group has members.
type BusyError struct {
	Group   string   // in full
	Members []string // their addresses; empty where they left just now
}

// Error implements error.
func (e *BusyError) Error() string {
	return fmt.Sprintf("kafka: group %s is at work: %d members, on %s", e.Group, len(e.Members), strings.Join(e.Members, ", "))
}

// joinWait bounds how long a coordinator that is moving is waited for.
const joinWait = 30 * time.Second

// Exclusive lets work on while no other can be a member of a group: it joins with a
// way to give out partitions that nobody else knows, so the brokers refuse others for
// as long as work takes. *BusyError: the group has members. The context of work ends
// with ctx, and when the group may have let others in because no broker was reached
// within the session timeout; the error is then ErrLost.
func (c *Client) Exclusive(ctx context.Context, group string, work func(ctx context.Context) error) error {
	m := &member{Client: c, group: c.Group(group), protocol: "portcullis-alone-" + rand.Text()}
	defer m.leave(ctx)
	pause := kafkanet.Pause{First: 50 * time.Millisecond, Last: time.Second}
	for until := time.Now().Add(joinWait); ; {
		g, err := m.join(ctx)
		switch {
		case err == nil:
			return m.alone(ctx, g, work)
		case errors.Is(err, kafkago.MemberIDRequired): // which we have now
			continue
		case errors.Is(err, kafkago.InconsistentGroupProtocol):
			who, err := c.Members(ctx, group)
			if err != nil {
				return err
			}
			return &BusyError{m.group, who}
		case errors.Is(err, kafkago.UnknownMemberId):
			m.id = ""
		}
		if time.Now().After(until) || !kafkanet.Sleep(ctx, pause.Next()) {
			return fmt.Errorf("kafka: group %s: %w", m.group, c.problem(State, err))
		}
	}
}

// alone works in a generation of one member.
func (m *member) alone(ctx context.Context, g *Generation, work func(ctx context.Context) error) error {
	life, end := context.WithCancel(ctx)
	defer end()
	var outcome error
	m.serve(life, g, func(working context.Context, _ *Generation) {
		defer end()
		if outcome = work(working); outcome != nil && working.Err() != nil && ctx.Err() == nil {
			outcome = fmt.Errorf("%w: %w", ErrLost, outcome)
		}
	})
	return outcome
}

// Members lists the addresses of who is in a group now, one for each member.
func (c *Client) Members(ctx context.Context, group string) ([]string, error) {
	name := c.Group(group)
	answer, err := c.link.Client.DescribeGroups(ctx, &kafkago.DescribeGroupsRequest{GroupIDs: []string{name}})
	if err != nil {
		return nil, fmt.Errorf("kafka: group %s: %w", name, c.problem(State, err))
	}
	var out []string
	for _, g := range answer.Groups {
		if g.GroupID != name {
			continue
		}
		if g.Error != nil && !errors.Is(g.Error, kafkago.GroupIdNotFound) {
			return nil, fmt.Errorf("kafka: group %s: %w", name, c.problem(State, g.Error))
		}
		for _, m := range g.Members {
			out = append(out, strings.TrimPrefix(m.ClientHost, "/"))
		}
	}
	slices.Sort(out)
	return out, nil
}
